package keys_test

import (
	"bytes"
	"crypto"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func pause(t testing.TB, r *keys.Ring, id string) {
	t.Helper()
	if err := r.Pause(t.Context(), id, actor, "suspicion"); err != nil {
		t.Fatal(err)
	}
}

func activeSigner(t testing.TB, r *keys.Ring, k keys.Key) crypto.Signer {
	t.Helper()
	_, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestPause(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r, replica := open(t, keys.Options{DB: d}), open(t, keys.Options{DB: d})
		k := created(t, r, spec(keys.PurposePermit, "donghu-amr"), keys.Active)
		other := created(t, r, spec(keys.PurposePermit, "xishan-amr"), keys.Active)
		run(t, replica)
		eventually(t, 2*time.Second, "the replica knows both", func() bool {
			_, _, err := replica.Active(t.Context(), other.Purpose, other.Owner)
			return err == nil
		})
		held := []crypto.Signer{activeSigner(t, r, k), activeSigner(t, replica, k)}
		half := keys.PrivateHalf(held[0])

		for range 2 { // the second changes nothing
			pause(t, r, k.ID)
		}
		wantKind(t, trySign(held[0]), fault.Unavailable)
		eventually(t, 2*time.Second, "the replica stops", func() bool { return trySign(held[1]) != nil })
		for i, ring := range []*keys.Ring{r, replica} {
			wantKind(t, trySign(held[i]), fault.Unavailable)
			_, _, err := ring.Active(t.Context(), k.Purpose, k.Owner)
			wantKind(t, err, fault.Unavailable)
			if got := fault.Public(err); got != "this key is paused" {
				t.Errorf("active: %q", got)
			}
			_, err = ring.Signer(t.Context(), k.ID)
			wantKind(t, err, fault.Unavailable)
			signs(t, activeSigner(t, ring, other), other.Public)
		}
		if got := find(t, r, k.ID); got.State != keys.Active || got.Paused.IsZero() {
			t.Errorf("state %s, paused %v", got.State, got.Paused)
		}
		fresh := open(t, keys.Options{DB: d})
		_, _, err := fresh.Active(t.Context(), k.Purpose, k.Owner)
		wantKind(t, err, fault.Unavailable)

		if err := replica.Resume(t.Context(), k.ID, actor, "cleared"); err != nil {
			t.Fatal(err)
		}
		signs(t, held[1], k.Public)
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		signs(t, held[0], k.Public)
		if keys.PrivateHalf(held[0]) != half {
			t.Error("the private half was decrypted anew")
		}
		wantKind(t, r.Resume(t.Context(), k.ID, actor, ""), fault.Conflict)
		if diff := cmp.Diff(k, find(t, r, k.ID)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
		wantEvents(t, d, k.ID, "keys.create", "keys.move published", "keys.move active", "keys.pause", "keys.resume")
		if e := events(t, d, "key:"+k.ID)[3]; e.Data["reason"] != "suspicion" || e.Data["purpose"] != k.Purpose || e.Data["owner"] != k.Owner {
			t.Errorf("event %+v", e)
		}
	})
}

// TestPausedMoves: a paused key goes no further towards use.
func TestPausedMoves(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		for _, c := range []struct {
			from keys.State
			good []keys.State
		}{
			{keys.Staged, []keys.State{keys.Retired, keys.Compromised}},
			{keys.Published, []keys.State{keys.Compromised}},
			{keys.Active, []keys.State{keys.Retiring, keys.Compromised}},
			{keys.Retiring, []keys.State{keys.Retired, keys.Compromised}},
		} {
			for _, to := range everyState {
				t.Run(string(c.from)+" to "+string(to), func(t *testing.T) {
					k := created(t, r, spec(keys.PurposePermit, string(c.from)+"-"+string(to)), c.from)
					signer, err := r.Signer(t.Context(), k.ID)
					if err != nil {
						t.Fatal(err)
					}
					pause(t, r, k.ID)
					wantKind(t, trySign(signer), fault.Unavailable)
					before := find(t, r, k.ID)
					err = r.Move(t.Context(), k.ID, to, actor, "test")
					if slices.Contains(c.good, to) {
						if after := find(t, r, k.ID); err != nil || after.State != to || !after.Paused.Equal(before.Paused) {
							t.Fatalf("state %s, paused %v, %v", after.State, after.Paused, err)
						}
						if err := trySign(signer); err == nil {
							t.Error("it signs")
						}
						return
					}
					wantKind(t, err, fault.Conflict)
					if diff := cmp.Diff(before, find(t, r, k.ID)); diff != "" {
						t.Errorf("a refused move left something:\n%s", diff)
					}
				})
			}
		}
	})
}

// TestPausedPromote: a paused standby is passed over, and a paused key in use
// makes room for it, still paused.
func TestPausedPromote(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		clock := time.Now()
		r := open(t, keys.Options{DB: d, Now: func() time.Time { clock = clock.Add(time.Second); return clock }})
		bad := created(t, r, spec(keys.PurposeToken, "city"), keys.Active)
		first := created(t, r, spec(keys.PurposeToken, "city"), keys.Published)
		signer := activeSigner(t, r, bad)
		pause(t, r, bad.ID)
		pause(t, r, first.ID)
		_, _, err := r.Promote(t.Context(), keys.PurposeToken, "city", actor)
		wantKind(t, err, fault.Conflict)
		if got := find(t, r, bad.ID); got.State != keys.Active {
			t.Errorf("a refused promotion left the key %s", got.State)
		}
		second := created(t, r, spec(keys.PurposeToken, "city"), keys.Published)
		active, retiring, err := r.Promote(t.Context(), keys.PurposeToken, "city", actor)
		if err != nil || active.ID != second.ID || retiring.ID != bad.ID || retiring.Paused.IsZero() {
			t.Fatalf("active %+v, retiring %+v, %v", active, retiring, err)
		}
		signs(t, activeSigner(t, r, second), second.Public)
		wantKind(t, trySign(signer), fault.Unavailable)
		if err := r.Resume(t.Context(), bad.ID, actor, ""); err != nil {
			t.Fatal(err)
		}
		signs(t, signer, bad.Public) // a retiring key finishes what is its own
		if got := find(t, r, first.ID); got.State != keys.Published {
			t.Errorf("the paused standby became %s", got.State)
		}
	})
}

func TestPauseRefused(t *testing.T) {
	d := testkit.SQLite(t)
	r := open(t, keys.Options{DB: d})
	k := created(t, r, spec(keys.PurposeToken, "city"), keys.Active)
	retired := created(t, r, spec(keys.PurposeToken, "a"), keys.Retired)
	compromised := created(t, r, spec(keys.PurposeToken, "b"), keys.Published)
	pause(t, r, compromised.ID)
	move(t, r, compromised.ID, keys.Compromised)
	long := string(bytes.Repeat([]byte("x"), 501))
	before := find(t, r, k.ID)
	for name, f := range map[string]func(id, actor, reason string) error{
		"pause":  func(id, actor, reason string) error { return r.Pause(t.Context(), id, actor, reason) },
		"resume": func(id, actor, reason string) error { return r.Resume(t.Context(), id, actor, reason) },
	} {
		for _, c := range []struct {
			name, id, actor, reason string
			kind                    fault.Kind
		}{
			{"unknown key", db.NewID(), actor, "", fault.NotFound}, {"impossible id", "\x00'", actor, "", fault.NotFound},
			{"no actor", k.ID, "", "", fault.Invalid}, {"long reason", k.ID, actor, long, fault.Invalid},
			{"reason with a line feed", k.ID, actor, "a\nb", fault.Invalid},
			{"retired", retired.ID, actor, "", fault.Conflict}, {"compromised", compromised.ID, actor, "", fault.Conflict},
		} {
			t.Run(name+": "+c.name, func(t *testing.T) { wantKind(t, f(c.id, c.actor, c.reason), c.kind) })
		}
	}
	if diff := cmp.Diff(before, find(t, r, k.ID)); diff != "" {
		t.Errorf("something is left:\n%s", diff)
	}
	if n := len(events(t, d, "key:"+k.ID)); n != 3 {
		t.Errorf("%d events", n)
	}
}

// TestPausedLog: checkpoints stop too.
func TestPausedLog(t *testing.T) {
	r := open(t, keys.Options{DB: testkit.SQLite(t)})
	k := created(t, r, spec(keys.PurposeLog, "city"), keys.Active)
	signer, err := r.NoteSigner(t.Context(), "city.test/log")
	if err != nil {
		t.Fatal(err)
	}
	pause(t, r, k.ID)
	_, err = signer.Sign([]byte("a checkpoint"))
	wantKind(t, err, fault.Unavailable)
	_, err = r.NoteSigner(t.Context(), "city.test/log")
	wantKind(t, err, fault.Unavailable)
	if err := r.Resume(t.Context(), k.ID, actor, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign([]byte("a checkpoint")); err != nil {
		t.Error(err)
	}
}

func TestCompromise(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		made := time.Date(2026, 5, 1, 0, 0, 0, 7000, time.UTC)
		clock := made
		r := open(t, keys.Options{DB: d, Now: func() time.Time { return clock }})
		fresh := func(owner string, state keys.State) keys.Key {
			clock = made
			k := created(t, r, spec(keys.PurposePermit, owner), state)
			clock = made.Add(time.Hour)
			return k
		}
		for i, c := range []struct {
			name  string
			from  keys.State
			since time.Time
			kind  fault.Kind // Internal for none
		}{
			{"between", keys.Active, made.Add(time.Minute), fault.Internal},
			{"when it was made", keys.Active, made, fault.Internal},
			{"now", keys.Active, made.Add(time.Hour), fault.Internal},
			{"staged", keys.Staged, made, fault.Internal},
			{"retiring", keys.Retiring, made, fault.Internal},
			{"another zone", keys.Published, made.In(time.FixedZone("", 8*3600)), fault.Internal},
			{"still to come", keys.Active, made.Add(time.Hour + time.Microsecond), fault.Invalid},
			{"before it was made", keys.Active, made.Add(-time.Microsecond), fault.Invalid},
			{"no time", keys.Active, time.Time{}, fault.Invalid},
			{"retired", keys.Retired, made, fault.Conflict},
			{"compromised", keys.Compromised, made, fault.Conflict},
		} {
			t.Run(c.name, func(t *testing.T) {
				k := fresh("owner"+string(rune('a'+i)), c.from)
				n := len(events(t, d, "key:"+k.ID))
				err := r.Compromise(t.Context(), k.ID, c.since, actor, "stolen")
				got := find(t, r, k.ID)
				list := events(t, d, "key:"+k.ID)
				if c.kind != fault.Internal {
					wantKind(t, err, c.kind)
					if diff := cmp.Diff(k, got); diff != "" || len(list) != n {
						t.Errorf("a refusal left something:\n%s", diff)
					}
					return
				}
				if err != nil || got.State != keys.Compromised || !got.Since.Equal(c.since) || !got.Compromised.Equal(clock) {
					t.Fatalf("%+v, %v", got, err)
				}
				last := list[len(list)-1]
				if len(list) != n+1 || last.Kind != "keys.move" || last.Data["to"] != "compromised" || last.Data["since"] != db.Micros(c.since) {
					t.Errorf("event %+v", last)
				}
			})
		}
		wantKind(t, r.Compromise(t.Context(), db.NewID(), made, actor, ""), fault.NotFound)
		k := fresh("last", keys.Active)
		wantKind(t, r.Compromise(t.Context(), k.ID, made, "", ""), fault.Invalid)

		// Move means from now on; so does what an earlier program wrote.
		signer := activeSigner(t, r, k)
		pause(t, r, k.ID)
		wantKind(t, trySign(signer), fault.Unavailable)
		move(t, r, k.ID, keys.Compromised)
		wantKind(t, trySign(signer), fault.Conflict) // for good
		if got := find(t, r, k.ID); !got.Since.Equal(clock) || !got.Compromised.Equal(clock) {
			t.Errorf("since %v, compromised %v", got.Since, got.Compromised)
		}
		exec(t, d, `UPDATE keys SET since = 0 WHERE id = $1`, k.ID)
		if got := find(t, r, k.ID); !got.Since.Equal(clock) {
			t.Errorf("since %v", got.Since)
		}
	})
}
