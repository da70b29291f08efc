package licenses_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestSweepPassesWhoCannotSign: more licences than one sweep takes wait for an agency
// whose key is paused. Those of another agency are completed all the same, and the
// first agency's once its key signs again.
func TestSweepPassesWhoCannotSign(t *testing.T) {
	const waiting = 70
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var stuck []licenses.Keyed
		for i := range waiting {
			stuck = append(stuck, licenses.Keyed{Key: fmt.Sprint("stuck-", i), Request: food(nil)})
		}
		must(t, c.Begin(t.Context(), callers["donghu"], stuck))
		must(t, c.Begin(t.Context(), callers["edu"], []licenses.Keyed{{Key: "free", Request: teacher()}}))
		k, _, err := c.ring.Active(t.Context(), keys.PurposePermit, "donghu-amr")
		must(t, err)
		must(t, c.ring.Pause(t.Context(), k.ID, "ceremony", "stolen"))

		n, err := c.SweepBefore(t.Context(), time.Now().Add(time.Minute))
		if n != 1 || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("completed %d: %v; want the one whose key signs, and to be told of the others", n, err)
		}
		l, err := c.ByKey(t.Context(), "edu-api", "free")
		must(t, err)
		if l.Status != licenses.Issued || l.Permit == "" {
			t.Errorf("the other agency's licence is %s", l.Status)
		}
		must(t, c.ring.Resume(t.Context(), k.ID, "ceremony", "found"))
		for done := 0; done < waiting; {
			n, err := c.SweepBefore(t.Context(), time.Now().Add(time.Minute))
			must(t, err)
			if done += n; n == 0 {
				t.Fatalf("%d completed, want %d", done, waiting)
			}
		}
		c.wantClean(t, waiting+1)
	})
}
