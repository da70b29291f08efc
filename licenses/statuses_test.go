package licenses_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/status"
)

// replica is another process on the city's database, which has read nothing yet.
func (c *city) replica(t testing.TB) *licenses.Service {
	t.Helper()
	types, err := licenses.ShippedTypes()
	must(t, err)
	s, err := licenses.New(t.Context(), licenses.Options{DB: c.db, Ring: c.ring, Registry: c.reg, Types: types, Tokens: tokens{}})
	must(t, err)
	return s
}

func statuses(t testing.TB, s *licenses.Service) []status.List {
	t.Helper()
	lists, err := s.Statuses(t.Context())
	must(t, err)
	return lists
}

func execute(t testing.TB, d *db.DB, query string, args ...any) {
	t.Helper()
	must(t, d.Update(t.Context(), func(tx db.Tx) error { _, err := tx.ExecContext(t.Context(), query, args...); return err }))
}

// TestStatusesFollow holds that what a replica remembers and the changes since are
// what it would read of all licences, through random acts, some of which it sleeps
// through, and that what it handed out before stays as it was.
func TestStatusesFollow(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var all []*licenses.License
		for i := range 12 {
			all = append(all, c.issue(t, "donghu", fmt.Sprint("k", i), food(nil)))
		}
		follower := c.replica(t)
		r := rand.New(rand.NewPCG(3, 4))
		for i := range 60 {
			act := []licenses.Act{licenses.Suspend, licenses.Suspend, licenses.Resume, licenses.Revoke}[r.IntN(4)]
			_, _ = c.Act(t.Context(), callers["donghu"], all[r.IntN(len(all))].ID, act, "r", "") // many are refused
			if r.IntN(3) == 0 {
				continue
			}
			before := statuses(t, follower)
			kept := slices.Clone(before[0].Revoked)
			got, want := statuses(t, follower), statuses(t, c.replica(t))
			if !slices.EqualFunc(got, want, func(a, b status.List) bool {
				return a.No == b.No && slices.Equal(a.Revoked, b.Revoked) && slices.Equal(a.Suspended, b.Suspended)
			}) {
				t.Fatalf("act %d: remembered %v, read %v", i, got, want)
			}
			if !slices.Equal(kept, before[0].Revoked) {
				t.Fatalf("act %d: what was handed out has changed", i)
			}
		}
	})
}

// TestStatusesReadAll: where changes are missing, as those are that another version
// made, or the database is an older one, everything is read.
func TestStatusesReadAll(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		one, two := c.issue(t, "donghu", "1", food(nil)), c.issue(t, "donghu", "2", food(nil))
		revoke := func(id string) {
			t.Helper()
			_, err := c.Act(t.Context(), callers["donghu"], id, licenses.Revoke, "r", "")
			must(t, err)
		}
		want := func(what string, n int) {
			t.Helper()
			if got := statuses(t, c.Service); len(got) != 1 || len(got[0].Revoked) != n {
				t.Errorf("%s: %v, want %d revoked", what, got, n)
			}
		}
		want("at first", 0)
		revoke(one.ID)
		execute(t, d, "DELETE FROM license_changes")
		want("a change that nobody noted", 1)
		revoke(two.ID)
		want("a change that was", 2)
		// What is noted and not so in the licences shows which of the two was read.
		execute(t, d, "UPDATE licenses SET status = 'issued' WHERE id = $1", one.ID)
		want("nothing noted", 2)
		execute(t, d, "UPDATE license_counters SET next = next - 1 WHERE name = 'changes'")
		want("an older database", 1)
	})
}
