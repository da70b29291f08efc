package licenses_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// ended returns the firms that lost their licence, read limit at a time.
func (f *founders) ended(t *testing.T, s *licenses.Service, since time.Time, limit int) (firms []string) {
	t.Helper()
	after := licenses.Ended{At: since}
	for {
		var page []licenses.Ended
		must(t, f.db.Read(t.Context(), func(tx db.Tx) (err error) {
			page, err = s.EndedTx(t.Context(), tx, after, limit)
			return err
		}))
		for _, e := range page {
			if e.At.Before(after.At) || e.License == "" {
				t.Errorf("%+v behind %+v", e, after)
			}
			firms, after = append(firms, e.Firm), e
		}
		if len(page) < limit {
			return firms
		}
	}
}

// TestEnded: a firm has lost its licence once the newest version is revoked, and not while
// that is suspended, was replaced, is past its end, or another one has been issued.
func TestEnded(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		want := func(what string, firms ...string) {
			t.Helper()
			for _, limit := range []int{1, 2, 100} {
				if got := f.ended(t, f.Service, time.Time{}, limit); !slices.Equal(got, firms) {
					t.Errorf("%s, %d at a time: %v, want %v", what, limit, got, firms)
				}
			}
		}
		act := func(id string, act licenses.Act) {
			t.Helper()
			_, err := f.Act(ctx, callers["donghu"], id, act, "because", "")
			must(t, err)
		}
		food := f.issue(t, "donghu", "food", food(nil))
		a, b, c := f.found(t, "甲有限公司"), f.found(t, "乙有限公司"), f.found(t, "丙有限公司")
		want("all in force")
		act(food.ID, licenses.Revoke)
		want("a licence of another type")
		act(a.LicenseID, licenses.Suspend)
		want("suspended")
		act(a.LicenseID, licenses.Resume)
		reprint := licenses.Replacement{Kind: licenses.Reprinted, Reason: "lost", Key: "reprint"}
		must(t, f.BeginReplacement(ctx, callers["donghu"], a.LicenseID, reprint))
		want("while the next version is signed")
		next, err := f.Replace(ctx, callers["donghu"], a.LicenseID, reprint)
		must(t, err)
		want("replaced")
		act(c.LicenseID, licenses.Revoke)
		want("the third's is revoked", c.Firm)
		act(next.ID, licenses.Suspend)
		act(next.ID, licenses.Revoke)
		want("the second version is revoked", c.Firm, a.Firm)
		act(b.LicenseID, licenses.Revoke)
		want("all are revoked", c.Firm, a.Firm, b.Firm)

		if got := f.ended(t, f.Service, time.Now().Add(time.Hour), 10); len(got) != 0 {
			t.Errorf("since an hour from now: %v", got)
		}
		if got := f.ended(t, f.in(t, 400*24*time.Hour), time.Now().Add(-time.Hour), 10); len(got) != 3 {
			t.Errorf("a year later, as it was then: %v", got)
		}
		r := licenses.Request{Type: licenses.FirmType, Holder: licenses.Holder{USCC: c.Firm}, Data: plan(nil).Data}
		r.Data["legal_representative"], r.Data["established"] = "林若川", "2026-11-01"
		must(t, f.Begin(ctx, callers["donghu"], []licenses.Keyed{{Key: "new", Request: r}}))
		want("the third firm has another one", a.Firm, b.Firm)
		if got := f.ended(t, f.in(t, 36500*24*time.Hour), time.Time{}, 10); !slices.Equal(got, []string{a.Firm, b.Firm}) {
			t.Errorf("once that is past its end: %v", got)
		}
	})
}

// TestEndedReadsWhatIsNew: what is revoked every day is found without reading the rest.
func TestEndedReadsWhatIsNew(t *testing.T) {
	if plan := testkit.Plan(t, testkit.SQLite(t), licenses.EndedQuery); !strings.Contains(plan, "licenses_revoked_by_type (type=? AND changed_at>?)") {
		t.Errorf("plan:\n%s", plan)
	}
}
