package keys_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// hashes returns Lookup and Lookups of one value.
func hashes(t testing.TB, r *keys.Ring) (one string, all []string) {
	t.Helper()
	b, err := r.Lookup(t.Context(), "person", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Lookups(t.Context(), "person", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		if len(b) != 32 {
			t.Fatalf("a hash of %d bytes", len(b))
		}
		all = append(all, string(b))
	}
	return string(b), all
}

func TestGenerations(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		clock := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		r := open(t, keys.Options{DB: d, Now: func() time.Time { clock = clock.Add(time.Hour); return clock }, NextKEK: offer(nextKEK)})
		for _, name := range []string{keys.SecretData, keys.SecretLookup} {
			if err := r.MakeSecret(t.Context(), name, actor); err != nil {
				t.Fatal(err)
			}
		}
		made := clock
		replica := open(t, keys.Options{DB: d, NextKEK: offer(nextKEK)})
		want := func(when string, want ...string) {
			t.Helper()
			if err := replica.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, ring := range []*keys.Ring{r, replica, open(t, keys.Options{DB: d, NextKEK: offer(nextKEK)})} {
				one, all := hashes(t, ring)
				if diff := cmp.Diff(want, all); diff != "" || one != want[0] {
					t.Fatalf("%s:\n%s", when, diff)
				}
			}
		}
		generations := func(want keys.Generations) {
			t.Helper()
			got, err := replica.Generations(t.Context(), keys.SecretLookup)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v\n%s", err, diff)
			}
		}
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		first, _ := hashes(t, r)
		want("at first", first)
		generations(keys.Generations{Current: made})
		do(r.StageSecret(t.Context(), keys.SecretLookup, actor))
		staged := clock
		_, all := hashes(t, r)
		if len(all) != 2 || all[0] != first || all[1] == first {
			t.Fatalf("%d hashes once the next is staged", len(all))
		}
		second := all[1]
		want("staged", first, second)
		generations(keys.Generations{Current: made, Next: staged})
		do(r.Rewrap(t.Context(), actor)) // amid it
		want("rewrapped", first, second)
		do(r.SwitchSecret(t.Context(), keys.SecretLookup, actor))
		want("switched", second, first)
		generations(keys.Generations{Current: staged, Previous: made})
		do(r.DropSecret(t.Context(), keys.SecretLookup, actor))
		want("dropped", second)
		generations(keys.Generations{Current: staged})
		do(r.StageSecret(t.Context(), keys.SecretLookup, actor)) // and again
		_, all = hashes(t, r)
		want("staged again", second, all[1])

		var kinds []string
		for _, e := range events(t, d, "secret:"+keys.SecretLookup) {
			kinds = append(kinds, e.Kind)
			if e.Actor != actor {
				t.Errorf("event by %q", e.Actor)
			}
		}
		if diff := cmp.Diff([]string{"keys.secret", "keys.secret.stage", "keys.secret.switch", "keys.secret.drop", "keys.secret.stage"}, kinds); diff != "" {
			t.Error(diff)
		}
	})
}

func TestGenerationsRefused(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		stage := func(name, actor string) error { return r.StageSecret(t.Context(), name, actor) }
		change := func(name, actor string) error { return r.SwitchSecret(t.Context(), name, actor) }
		drop := func(name, actor string) error { return r.DropSecret(t.Context(), name, actor) }
		state := func() string {
			var n int
			scan(t, d, `SELECT count(*) FROM audit_events`, &n)
			return string(rune(n)) + cmp.Diff(columns(t, d, secretColumn), []string(nil))
		}
		refuse := func(name string, kind fault.Kind, f func(name, actor string) error) {
			t.Helper()
			before := state()
			if err := f(keys.SecretLookup, actor); fault.KindOf(err) != kind || err == nil {
				t.Errorf("%s: %v", name, err)
			}
			if state() != before {
				t.Errorf("%s: a refusal left something", name)
			}
		}
		do := func(f func(name, actor string) error) {
			t.Helper()
			if err := f(keys.SecretLookup, actor); err != nil {
				t.Fatal(err)
			}
		}
		_, err := r.Lookups(t.Context(), "person", nil)
		wantKind(t, err, fault.Unavailable)
		refuse("stage before it was made", fault.Conflict, stage)
		for _, name := range []string{keys.SecretData, keys.SecretLookup, "licenses.permutation"} {
			if err := r.MakeSecret(t.Context(), name, actor); err != nil {
				t.Fatal(err)
			}
		}
		_, err = r.Lookups(t.Context(), "", nil)
		wantKind(t, err, fault.Invalid)
		for _, f := range []func(name, actor string) error{stage, change, drop} {
			for _, name := range []string{"", keys.SecretData, "licenses.permutation", keys.SecretLookup + ".next"} {
				wantKind(t, f(name, actor), fault.Invalid)
			}
			wantKind(t, f(keys.SecretLookup, ""), fault.Invalid)
		}
		_, err = r.Generations(t.Context(), keys.SecretData)
		wantKind(t, err, fault.Invalid)
		for _, name := range []string{keys.SecretLookup + ".next", keys.SecretLookup + ".previous", "x.next"} {
			wantKind(t, r.MakeSecret(t.Context(), name, actor), fault.Invalid)
		}
		refuse("switch without a stage", fault.Conflict, change)
		refuse("drop without a previous one", fault.Conflict, drop)
		do(stage)
		refuse("stage twice", fault.Conflict, stage)
		refuse("drop what is not switched", fault.Conflict, drop)
		sealed := columns(t, d, `SELECT sealed FROM key_secrets WHERE name = 'registry.lookup.next'`)[0]
		exec(t, d, `UPDATE key_secrets SET sealed = (SELECT o.sealed FROM key_secrets AS o WHERE o.name = 'registry.lookup') WHERE name = 'registry.lookup.next'`)
		refuse("switch to a broken one", fault.Conflict, change)
		exec(t, d, `UPDATE key_secrets SET sealed = $1 WHERE name = 'registry.lookup.next'`, []byte(sealed))
		do(change)
		refuse("switch twice", fault.Conflict, change)
		refuse("stage before the previous one is dropped", fault.Conflict, stage)
		do(drop)
		refuse("drop twice", fault.Conflict, drop)
	})
}

// TestGenerationsRace lets two replicas do each step at once.
func TestGenerationsRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		rings := []*keys.Ring{withSecrets(t, d), open(t, keys.Options{DB: d})}
		for _, step := range []func(r *keys.Ring) error{
			func(r *keys.Ring) error { return r.StageSecret(t.Context(), keys.SecretLookup, actor) },
			func(r *keys.Ring) error { return r.SwitchSecret(t.Context(), keys.SecretLookup, actor) },
			func(r *keys.Ring) error { return r.DropSecret(t.Context(), keys.SecretLookup, actor) },
		} {
			var errs [2]error
			var group sync.WaitGroup
			for i, r := range rings {
				group.Go(func() { errs[i] = step(r) })
			}
			group.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("want one winner, got %v and %v", errs[0], errs[1])
			}
			for _, err := range errs {
				if err != nil {
					wantKind(t, err, fault.Conflict)
				}
			}
		}
	})
}
