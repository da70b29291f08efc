package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

var everyState = []keys.State{keys.Staged, keys.Published, keys.Active, keys.Retiring, keys.Retired, keys.Compromised}

func TestLife(t *testing.T) {
	for _, alg := range []string{keys.ES256, keys.ES384, keys.Ed25519} {
		t.Run(alg, func(t *testing.T) {
			testkit.Each(t, func(t *testing.T, d *db.DB) { life(t, d, alg) })
		})
	}
}

func life(t *testing.T, d *db.DB, alg string) {
	clock := time.Date(2026, 5, 1, 0, 0, 0, 1000, time.UTC)
	r := open(t, keys.Options{DB: d, Now: func() time.Time { clock = clock.Add(time.Hour); return clock }})
	s := spec(keys.PurposePermit, "jiangcheng-edu")
	s.Alg = alg
	k := create(t, r, s)
	if k.State != keys.Staged || k.Alg != alg || !k.Created.Equal(clock) || !k.Published.IsZero() {
		t.Fatalf("created %+v", k)
	}
	if diff := cmp.Diff(k, find(t, r, k.ID)); diff != "" {
		t.Fatalf("stored otherwise than returned:\n%s", diff)
	}
	signer, err := r.Signer(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, signer, k.Public)
	der := selfSigned(t, signer)
	if err := r.Certify(t.Context(), k.ID, der, actor); err != nil {
		t.Fatal(err)
	}
	var times []time.Time
	for _, to := range []keys.State{keys.Published, keys.Active, keys.Retiring, keys.Retired} {
		_, _, err := r.Active(t.Context(), k.Purpose, k.Owner)
		if (err == nil) != (find(t, r, k.ID).State == keys.Active) {
			t.Fatalf("before %s: active: %v", to, err)
		}
		move(t, r, k.ID, to)
		times = append(times, clock)
		if to != keys.Retired {
			signs(t, signer, k.Public)
		}
	}
	got := find(t, r, k.ID)
	if diff := cmp.Diff(times, []time.Time{got.Published, got.Activated, got.Retiring, got.Retired}); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(got.Certificate, der) {
		t.Error("the certificate is gone")
	}
	wantKind(t, trySign(signer), fault.Conflict)
	if keys.PrivateHalf(signer) != nil {
		t.Error("the private half is still in memory")
	}
	_, err = r.Signer(t.Context(), k.ID)
	wantKind(t, err, fault.Conflict)
	wantEvents(t, d, k.ID, "keys.create", "keys.certify", "keys.move published", "keys.move active", "keys.move retiring", "keys.move retired")
}

func wantEvents(t *testing.T, d *db.DB, id string, want ...string) {
	t.Helper()
	var got []string
	for _, e := range events(t, d, "key:"+id) {
		s := e.Kind
		if e.Kind == "keys.move" {
			s += " " + e.Data["to"].(string)
		}
		if e.Actor != actor {
			t.Errorf("event %s by %q", s, e.Actor)
		}
		got = append(got, s)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events:\n%s", diff)
	}
}

// TestRetiredRow shows that a retired key's row holds nothing of its private half.
func TestRetiredRow(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		live := create(t, r, spec(keys.PurposeToken, "city"))
		dead := created(t, r, spec(keys.PurposeToken, "donghu"), keys.Retired)
		var wrapped, private []byte
		var destroyed int64
		query := `SELECT wrapped_key, private_key, destroyed FROM keys WHERE id = '`
		scan(t, d, query+live.ID+`'`, &wrapped, &private, &destroyed)
		if len(wrapped) != 61 || len(private) < 100 || destroyed != 0 {
			t.Errorf("live key: %d and %d bytes, destroyed %d", len(wrapped), len(private), destroyed)
		}
		scan(t, d, query+dead.ID+`'`, &wrapped, &private, &destroyed)
		if wrapped != nil || private != nil || destroyed == 0 {
			t.Errorf("retired key: %d and %d bytes, destroyed %d", len(wrapped), len(private), destroyed)
		}
		again := open(t, keys.Options{DB: d})
		_, err := again.Signer(t.Context(), dead.ID)
		wantKind(t, err, fault.Conflict)
	})
}

func TestMoves(t *testing.T) {
	legal := map[[2]keys.State]bool{
		{keys.Staged, keys.Published}: true, {keys.Published, keys.Active}: true,
		{keys.Active, keys.Retiring}: true, {keys.Retiring, keys.Retired}: true, {keys.Staged, keys.Retired}: true,
		{keys.Staged, keys.Compromised}: true, {keys.Published, keys.Compromised}: true,
		{keys.Active, keys.Compromised}: true, {keys.Retiring, keys.Compromised}: true,
	}
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		for _, from := range everyState {
			for _, to := range everyState {
				t.Run(string(from)+" to "+string(to), func(t *testing.T) {
					k := created(t, r, spec(keys.PurposePermit, string(from)+"-"+string(to)), from)
					before := len(events(t, d, "key:"+k.ID))
					err := r.Move(t.Context(), k.ID, to, actor, "test")
					after := find(t, r, k.ID)
					if legal[[2]keys.State{from, to}] {
						if err != nil || after.State != to || len(events(t, d, "key:"+k.ID)) != before+1 {
							t.Fatalf("state %s, error %v", after.State, err)
						}
						return
					}
					wantKind(t, err, fault.Conflict)
					if diff := cmp.Diff(k, after); diff != "" || len(events(t, d, "key:"+k.ID)) != before {
						t.Fatalf("a refused move left something:\n%s", diff)
					}
				})
			}
		}
	})
}

func TestRefused(t *testing.T) {
	d := testkit.SQLite(t)
	r := open(t, keys.Options{DB: d})
	ctx := t.Context()
	k := create(t, r, spec(keys.PurposePermit, "donghu-amr"))
	other := create(t, r, spec(keys.PurposePermit, "xishan-amr"))
	signer, err := r.Signer(ctx, k.ID)
	if err != nil {
		t.Fatal(err)
	}
	otherSigner, err := r.Signer(ctx, other.ID)
	if err != nil {
		t.Fatal(err)
	}
	certificate := selfSigned(t, signer)
	second := create(t, r, spec(keys.PurposePermit, "second"))
	secondSigner, err := r.Signer(ctx, second.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range path[keys.Published] {
		move(t, r, second.ID, to)
	}
	first := created(t, r, spec(keys.PurposePermit, "one"), keys.Active)
	rival := created(t, r, spec(keys.PurposePermit, "one"), keys.Published)
	with := func(change func(*keys.Spec)) error {
		s := spec(keys.PurposePermit, "donghu-amr")
		change(&s)
		_, err := r.Create(ctx, s)
		return err
	}
	long := string(bytes.Repeat([]byte("x"), 501))
	cases := []struct {
		name string
		err  error
		kind fault.Kind
	}{
		{"create: unknown purpose", with(func(s *keys.Spec) { s.Purpose = "root" }), fault.Invalid},
		{"create: empty owner", with(func(s *keys.Spec) { s.Owner = "" }), fault.Invalid},
		{"create: owner with a separator", with(func(s *keys.Spec) { s.Owner = "a|b" }), fault.Invalid},
		{"create: owner with NUL", with(func(s *keys.Spec) { s.Owner = "a\x00" }), fault.Invalid},
		{"create: long owner", with(func(s *keys.Spec) { s.Owner = long }), fault.Invalid},
		{"create: unknown alg", with(func(s *keys.Spec) { s.Alg = "RS256" }), fault.Invalid},
		{"create: unknown backend", with(func(s *keys.Spec) { s.Backend = "cloud" }), fault.Invalid},
		{"create: no actor", with(func(s *keys.Spec) { s.Actor = "" }), fault.Invalid},
		{"create: actor with a line feed", with(func(s *keys.Spec) { s.Actor = "a\nb" }), fault.Invalid},
		{"create: ECDSA for the log", with(func(s *keys.Spec) { s.Purpose = keys.PurposeLog }), fault.Invalid},
		{"create: Ed25519 on a token", with(func(s *keys.Spec) { s.Alg, s.Backend = keys.Ed25519, keys.BackendPKCS11 }), fault.Invalid},
		{"create: no token", with(func(s *keys.Spec) { s.Backend = keys.BackendPKCS11 }), fault.Invalid},
		{"certify: unknown key", r.Certify(ctx, db.NewID(), certificate, actor), fault.NotFound},
		{"certify: no certificate", r.Certify(ctx, k.ID, []byte("x"), actor), fault.Invalid},
		{"certify: empty", r.Certify(ctx, k.ID, nil, actor), fault.Invalid},
		{"certify: too large", r.Certify(ctx, k.ID, make([]byte, 1<<20), actor), fault.TooLarge},
		{"certify: another key's", r.Certify(ctx, k.ID, selfSigned(t, otherSigner), actor), fault.Invalid},
		{"certify: published already", r.Certify(ctx, second.ID, selfSigned(t, secondSigner), actor), fault.Conflict},
		{"move: unknown key", r.Move(ctx, db.NewID(), keys.Published, actor, ""), fault.NotFound},
		{"move: no id", r.Move(ctx, "\x00'", keys.Published, actor, ""), fault.NotFound},
		{"move: unknown state", r.Move(ctx, k.ID, "destroyed", actor, ""), fault.Invalid},
		{"move: no actor", r.Move(ctx, k.ID, keys.Published, "", ""), fault.Invalid},
		{"move: long reason", r.Move(ctx, k.ID, keys.Published, actor, long), fault.Invalid},
		{"move: second active", r.Move(ctx, rival.ID, keys.Active, actor, ""), fault.Conflict},
	}
	_, _, err = r.Promote(ctx, keys.PurposePermit, "donghu-amr", actor)
	cases = append(cases, struct {
		name string
		err  error
		kind fault.Kind
	}{"promote: nothing published", err, fault.Conflict})
	_, err = r.List(ctx, keys.Filter{Owner: "\x00"})
	cases = append(cases, struct {
		name string
		err  error
		kind fault.Kind
	}{"list: impossible owner", err, fault.Invalid})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantKind(t, c.err, c.kind) })
	}
	if got := find(t, r, first.ID).State; got != keys.Active {
		t.Errorf("the active key became %s", got)
	}
}

func TestCertify(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		k := create(t, r, spec(keys.PurposePermit, "donghu-amr"))
		signer, err := r.Signer(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		first, second := selfSigned(t, signer), selfSigned(t, signer)
		for range 2 { // a repetition is harmless
			if err := r.Certify(t.Context(), k.ID, first, actor); err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, r.Certify(t.Context(), k.ID, second, actor), fault.Conflict)
		wantEvents(t, d, k.ID, "keys.create", "keys.certify")
		for _, to := range path[keys.Active] {
			move(t, r, k.ID, to)
		}
		active, _, err := r.Active(t.Context(), k.Purpose, k.Owner)
		if err != nil || !bytes.Equal(active.Certificate, first) {
			t.Errorf("active key without its certificate: %v", err)
		}
	})
}

func TestPromote(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		clock := time.Now()
		r := open(t, keys.Options{DB: d, Now: func() time.Time { clock = clock.Add(time.Second); return clock }})
		later := create(t, r, spec(keys.PurposeToken, "city"))
		first := created(t, r, spec(keys.PurposeToken, "city"), keys.Published)
		move(t, r, later.ID, keys.Published)
		stranger := created(t, r, spec(keys.PurposeToken, "other"), keys.Active)

		active, retiring, err := r.Promote(t.Context(), keys.PurposeToken, "city", actor)
		if err != nil || active.ID != first.ID || retiring.ID != "" {
			t.Fatalf("first promotion: %+v, %+v, %v", active, retiring, err)
		}
		active, retiring, err = r.Promote(t.Context(), keys.PurposeToken, "city", actor)
		if err != nil || active.ID != later.ID || retiring.ID != first.ID {
			t.Fatalf("second promotion: %+v, %+v, %v", active, retiring, err)
		}
		if diff := cmp.Diff([]keys.Key{active, retiring}, []keys.Key{find(t, r, later.ID), find(t, r, first.ID)}); diff != "" {
			t.Errorf("returned otherwise than stored:\n%s", diff)
		}
		now, signer, err := r.Active(t.Context(), keys.PurposeToken, "city")
		if err != nil || now.ID != later.ID {
			t.Fatalf("active %+v, %v", now, err)
		}
		signs(t, signer, later.Public)
		wantEvents(t, d, first.ID, "keys.create", "keys.move published", "keys.move active", "keys.move retiring")
		if got := find(t, r, stranger.ID).State; got != keys.Active {
			t.Errorf("another owner's key became %s", got)
		}
	})
}

// TestPromoteRace lets two replicas promote the one published key at once.
func TestPromoteRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		replicas := []*keys.Ring{open(t, keys.Options{DB: d}), open(t, keys.Options{DB: d})}
		created(t, replicas[0], spec(keys.PurposePermit, "xishan-amr"), keys.Active)
		for range 8 {
			next := created(t, replicas[0], spec(keys.PurposePermit, "xishan-amr"), keys.Published)
			var errs [2]error
			var group sync.WaitGroup
			for i, r := range replicas {
				group.Go(func() { _, _, errs[i] = r.Promote(t.Context(), keys.PurposePermit, "xishan-amr", actor) })
			}
			group.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("want one winner, got %v and %v", errs[0], errs[1])
			}
			wantKind(t, errors.Join(errs[:]...), fault.Conflict)
			list, err := replicas[1].List(t.Context(), keys.Filter{Purpose: keys.PurposePermit, States: []keys.State{keys.Active}})
			if err != nil || len(list) != 1 || list[0].ID != next.ID {
				t.Fatalf("active: %+v, %v", list, err)
			}
		}
	})
}

func TestCompromised(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r, replica := open(t, keys.Options{DB: d}), open(t, keys.Options{DB: d})
		k := created(t, r, spec(keys.PurposePermit, "donghu-amr"), keys.Active)
		if err := replica.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		var held []crypto.Signer
		for _, ring := range []*keys.Ring{r, replica} {
			_, signer, err := ring.Active(t.Context(), k.Purpose, k.Owner)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, signer)
		}
		move(t, r, k.ID, keys.Compromised)
		if err := replica.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, signer := range held {
			wantKind(t, trySign(signer), fault.Conflict)
		}
		if find(t, r, k.ID).Compromised.IsZero() {
			t.Error("compromised at no time")
		}
		_, _, err := replica.Active(t.Context(), k.Purpose, k.Owner)
		wantKind(t, err, fault.Unavailable)
		standby := created(t, r, spec(keys.PurposePermit, "donghu-amr"), keys.Published)
		active, retiring, err := r.Promote(t.Context(), k.Purpose, k.Owner, actor)
		if err != nil || active.ID != standby.ID || retiring.ID != "" {
			t.Fatalf("promotion after it: %+v, %+v, %v", active, retiring, err)
		}
	})
}

func TestList(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		a := created(t, r, spec(keys.PurposePermit, "a"), keys.Active)
		b := created(t, r, spec(keys.PurposePermit, "a"), keys.Published)
		c := created(t, r, spec(keys.PurposePermit, "c"), keys.Retired)
		e := created(t, r, spec(keys.PurposeToken, "a"), keys.Active)
		cases := []struct {
			name   string
			filter keys.Filter
			want   []string
		}{
			{"all", keys.Filter{}, []string{a.ID, b.ID, c.ID, e.ID}},
			{"purpose", keys.Filter{Purpose: keys.PurposePermit}, []string{a.ID, b.ID, c.ID}},
			{"owner", keys.Filter{Owner: "a"}, []string{a.ID, b.ID, e.ID}},
			{"states", keys.Filter{States: []keys.State{keys.Active, keys.Retired}}, []string{a.ID, c.ID, e.ID}},
			{"everything", keys.Filter{Purpose: keys.PurposePermit, Owner: "a", States: []keys.State{keys.Published}}, []string{b.ID}},
			{"nobody", keys.Filter{Owner: "nobody"}, nil},
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				list, err := r.List(t.Context(), c.filter)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, k := range list {
					got = append(got, k.ID)
				}
				slices.Sort(got) // ids of one millisecond have no order
				slices.Sort(c.want)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
}

// TestCancelledContext shows that nothing happens once the caller has given up.
func TestCancelledContext(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		k := create(t, r, spec(keys.PurposeToken, "city"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Move(ctx, k.ID, keys.Published, actor, ""); err == nil {
			t.Fatal("moved under a context that had ended")
		}
		if got := find(t, r, k.ID).State; got != keys.Staged {
			t.Errorf("state %s", got)
		}
	})
}
