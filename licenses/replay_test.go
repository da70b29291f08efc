package licenses_test

import (
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestWhatWasIssuedIsNotRefusedLater: a batch that is sent again after a type's rule
// has become narrower is answered like the first time; what was not issued is refused.
func TestWhatWasIssuedIsNotRefusedLater(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.authorize(t, "donghu-amr", "market-stall")
		_, _, err := c.AddType(t.Context(), operator, []byte(stall))
		must(t, err)
		asked := stallRequest(map[string]any{"place": "A1"})
		first := c.issue(t, "donghu", "done", asked)
		must(t, c.Begin(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "crashed", Request: asked}}))
		_, _, err = c.AddType(t.Context(), operator, swap("required: [place]", "required: [place, note]"))
		must(t, err)
		results, err := c.Issue(t.Context(), callers["donghu"], []licenses.Keyed{
			{Key: "done", Request: asked}, {Key: "crashed", Request: asked}, {Key: "fresh", Request: asked},
			{Key: "done", Request: stallRequest(map[string]any{"place": "A2"})}, {Key: "", Request: asked},
			{Key: "right", Request: stallRequest(map[string]any{"place": "A1", "note": "n"})},
		})
		must(t, err)
		if r := results[0]; r.Err != nil || !r.Replayed || r.License.ID != first.ID || r.License.Permit != first.Permit {
			t.Errorf("sent again: %+v", r)
		}
		if r := results[1]; r.Err != nil || !r.Replayed || r.License.Status != licenses.Issued || r.License.Permit == "" {
			t.Errorf("left in signing: %+v", r)
		}
		for i, name := range map[int]string{2: "under a fresh key", 3: "another under a used key", 4: "without a key"} {
			if r := results[i]; fault.KindOf(r.Err) != fault.Invalid || r.License != nil {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if r := results[5]; r.Err != nil || r.Replayed {
			t.Errorf("beside them: %+v", r)
		}
		results, err = c.Issue(t.Context(), callers["edu"], []licenses.Keyed{{Key: "done", Request: asked}})
		must(t, err)
		if results[0].Err == nil {
			t.Errorf("another client's key: %+v", results[0])
		}
		c.wantClean(t, 3)
	})
}
