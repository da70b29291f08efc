package registry_test

import (
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
)

// TestActedFor asks about delegations that were, are and never came to be.
func TestActedFor(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n := addNoodles(t, r)
		begin, end := now.Add(-2*time.Hour), now.Add(-time.Hour)
		must(r.Delegate(t.Context(), actor, registry.Delegation{Firm: n.firm, Person: n.zhou.ID, From: begin, Until: now.AddDate(1, 0, 0)}))(t)
		other, _, err := r.AddPerson(t.Context(), actor, registry.Person{Kind: registry.Resident, Number: complete("99010119900307003"), Name: "吴双"})
		if err != nil {
			t.Fatal(err)
		}
		must(r.Delegate(t.Context(), actor, registry.Delegation{Firm: n.firm, Person: other.ID, From: now.Add(time.Hour)}))(t)
		if err := r.Withdraw(t.Context(), actor, n.firm, other.ID); err != nil { // before it began
			t.Fatal(err)
		}
		ask := func(person, firm string, since, at time.Time) bool {
			var acted bool
			if err := d.Read(t.Context(), func(tx db.Tx) (err error) {
				acted, err = r.ActedFor(t.Context(), tx, person, firm, since, at)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return acted
		}
		check := func(name string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s: acted %v, want %v", name, got, want)
			}
		}
		check("in force", ask(n.zhou.ID, n.firm, now, now), true)
		check("first moment", ask(n.zhou.ID, n.firm, begin.Add(-time.Hour), begin), true)
		check("before it began", ask(n.zhou.ID, n.firm, begin.Add(-time.Hour), begin.Add(-time.Microsecond)), false)
		check("legal representative", ask(n.rep.ID, n.firm, begin, now), true)
		check("clocks apart", ask(n.zhou.ID, n.firm, now.Add(time.Second), now), true)
		if err := r.Withdraw(t.Context(), actor, n.firm, n.zhou.ID); err != nil {
			t.Fatal(err)
		}
		later := now.Add(time.Minute)
		check("withdrawn since", ask(n.zhou.ID, n.firm, end, later), true)
		check("withdrawn before", ask(n.zhou.ID, n.firm, now, later), false)
		check("withdrawn before it began", ask(other.ID, n.firm, begin, now.Add(2*time.Hour)), false)
		check("another firm", ask(n.zhou.ID, completeUSCC("91990101MA0000002"), end, now), false)
		check("nobody", ask("nobody", n.firm, end, now), false)
		check("no person", ask("", n.firm, end, now), false)
		check("no firm", ask(n.zhou.ID, "", end, now), false)
		check("not an id", ask("' OR 1=1 --", n.firm, end, now), false)
	})
}
