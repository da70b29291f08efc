package licenses_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// byKey returns the licence that donghu asked for with a key.
func (c *city) byKey(t *testing.T, key string) *licenses.License {
	t.Helper()
	l, err := c.ByKey(t.Context(), "donghu-api", key)
	must(t, err)
	return l
}

// holdUp makes every signature that was begun a minute older.
func (c *city) holdUp(t *testing.T) {
	t.Helper()
	must(t, c.db.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE license_signing SET created_at = created_at - $1", time.Minute.Microseconds())
		return err
	}))
}

// TestRevokeWhatIsBeingReplaced: a key that does not sign keeps nobody from revoking.
// The permit in force and the one to come are revoked together.
func TestRevokeWhatIsBeingReplaced(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		old := c.issue(t, "donghu", "first", food(nil))
		must(t, c.BeginReplacement(t.Context(), callers["donghu"], old.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "遗失", Key: "second"}))
		k, _, err := c.ring.Active(t.Context(), keys.PurposePermit, "donghu-amr")
		must(t, err)
		must(t, c.ring.Pause(t.Context(), k.ID, "ceremony", "stolen"))
		if _, err := c.SweepBefore(t.Context(), time.Now().Add(time.Minute)); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("a paused key: %v", err)
		}
		if _, err := c.Act(t.Context(), callers["donghu"], old.ID, licenses.Revoke, "骗取", "revoke"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("revoked while the signature may be under way: %v", err)
		}
		c.wantRevoked(t, 0)
		c.holdUp(t)
		if _, err := c.Act(t.Context(), callers["donghu"], old.ID, licenses.Suspend, "r", ""); fault.KindOf(err) != fault.Conflict {
			t.Errorf("suspended: %v", err)
		}
		changes := c.changes
		for range 2 { // the same act twice
			l, err := c.Act(t.Context(), callers["donghu"], old.ID, licenses.Revoke, "骗取", "revoke")
			if err != nil || l.Status != licenses.Revoked || l.Reason != "骗取" {
				t.Fatalf("%+v, %v", l, err)
			}
		}
		if c.changes != changes+1 {
			t.Errorf("published %d times", c.changes-changes)
		}
		c.wantRevoked(t, 2)
		for _, act := range []licenses.Act{licenses.Suspend, licenses.Resume, licenses.Revoke} {
			if _, err := c.Act(t.Context(), callers["donghu"], old.ID, act, "r", ""); fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s what was revoked: %v", act, err)
			}
		}
		if l := c.byKey(t, "second"); l.Status != licenses.Signing || l.Permit != "" {
			t.Errorf("the one to come is %s", l.Status)
		}
		must(t, c.ring.Resume(t.Context(), k.ID, "ceremony", "found"))
		if n, err := c.SweepBefore(t.Context(), time.Now().Add(time.Minute)); n != 1 || err != nil {
			t.Fatalf("completed %d: %v", n, err)
		}
		if l := c.byKey(t, "second"); l.Status != licenses.Revoked || l.Permit == "" || l.Reason != "骗取" {
			t.Errorf("the next version is %s", l.Status)
		}
		again := c.replace(t, old.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "遗失", Key: "second"})
		if again.Status != licenses.Revoked {
			t.Errorf("whoever asks for it once more is told %s", again.Status)
		}
		c.wantRevoked(t, 2)
		fresh := c.replica(t) // which reads everything
		lists, err := fresh.Statuses(t.Context())
		must(t, err)
		if n := len(lists[0].Revoked); n != 2 {
			t.Errorf("%d revoked in the register", n)
		}
		c.wantClean(t, 2)
	})
}

// TestRevokeRacesWithTheNextVersion: whoever was told that a licence is revoked finds
// no version of it in force, whatever was signed meanwhile.
func TestRevokeRacesWithTheNextVersion(t *testing.T) {
	const rounds = 12
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		won := 0
		for i := range rounds {
			old, key := c.issue(t, "donghu", fmt.Sprint("old-", i), food(nil)), fmt.Sprint("new-", i)
			must(t, c.BeginReplacement(t.Context(), callers["donghu"], old.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "r", Key: key}))
			c.holdUp(t)
			var swept, revoked error
			var racing sync.WaitGroup
			racing.Go(func() { _, swept = c.SweepBefore(t.Context(), time.Now().Add(time.Minute)) })
			racing.Go(func() {
				time.Sleep(time.Duration(i) * 400 * time.Microsecond) // so that now the one and now the other is first
				_, revoked = c.Act(t.Context(), callers["donghu"], old.ID, licenses.Revoke, "r", "")
			})
			racing.Wait()
			must(t, swept)
			l := c.byKey(t, key)
			switch {
			case revoked == nil:
				if won++; l.Status != licenses.Revoked {
					t.Errorf("round %d: revoked, and the next version is %s", i, l.Status)
				}
			case fault.KindOf(revoked) != fault.Conflict || l.Status != licenses.Issued:
				t.Errorf("round %d: %v, and the next version is %s", i, revoked, l.Status)
			}
		}
		t.Logf("revoked first in %d of %d rounds", won, rounds)
		c.wantRevoked(t, rounds+won)
		c.wantClean(t, 2*rounds)
	})
}
