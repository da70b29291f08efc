package licenses_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestCheckReplaceSaysWhatReplaceDoes: the preview and the deed agree, and the
// preview changes nothing.
func TestCheckReplaceSaysWhatReplaceDoes(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(soon))
		for _, r := range []licenses.Replacement{
			{Kind: licenses.Changed, Reason: "x", Data: changed(90), Key: "1"},
			{Kind: licenses.Reprinted, Reason: "x", Key: "2"},
			{Kind: licenses.Renewed, Reason: "x", NotAfter: "2033-01-31", Key: "3"},
		} {
			if !c.Offers(l, r.Kind) {
				t.Errorf("%s is not offered", r.Kind)
			}
			before, err := c.Find(t.Context(), "donghu-amr", l.ID)
			must(t, err)
			will, err := c.CheckReplace(t.Context(), callers["donghu"], l.ID, r)
			must(t, err)
			after, err := c.Find(t.Context(), "donghu-amr", l.ID)
			must(t, err)
			if before.Status != after.Status || !before.Changed.Equal(after.Changed) {
				t.Errorf("%s: the preview has changed the licence", r.Kind)
			}
			is := c.replace(t, l.ID, r)
			if diff := cmp.Diff([]any{is.Number, is.Version, is.Identifier, is.Data, is.NotBefore, is.NotAfter},
				[]any{will.Number, will.Version, will.Identifier, will.Data, will.NotBefore, will.NotAfter}); diff != "" {
				t.Errorf("%s: %s", r.Kind, diff)
			}
			if c.Offers(after, "other") {
				t.Error("another kind is offered")
			}
			l = is
		}
	})
}

func TestCheckReplaceRefuses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	soonest, long := c.issue(t, "donghu", "k", food(soon)), c.issue(t, "donghu", "k2", food(nil))
	gone := c.issue(t, "donghu", "k3", food(soon))
	_, err := c.Act(t.Context(), callers["donghu"], gone.ID, licenses.Revoke, "x", "")
	must(t, err)
	gone, err = c.Find(t.Context(), "donghu-amr", gone.ID)
	must(t, err)
	wide := changed(90)
	wide["premises"] = strings.Repeat("湖", 3000)
	for _, tc := range []struct {
		name, who, id string
		r             licenses.Replacement
		kind          fault.Kind
	}{
		{"too early", "donghu", long.ID, licenses.Replacement{Kind: licenses.Renewed, Reason: "x"}, fault.Conflict},
		{"revoked", "donghu", gone.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "x"}, fault.Conflict},
		{"no reason", "donghu", soonest.ID, licenses.Replacement{Kind: licenses.Renewed}, fault.Invalid},
		{"no agency", "homeless", soonest.ID, licenses.Replacement{Kind: licenses.Renewed, Reason: "x"}, fault.Denied},
		{"another agency", "edu", soonest.ID, licenses.Replacement{Kind: licenses.Renewed, Reason: "x"}, fault.NotFound},
		{"unknown licence", "donghu", strings.Repeat("0", 26), licenses.Replacement{Kind: licenses.Renewed, Reason: "x"}, fault.NotFound},
		{"no data", "donghu", soonest.ID, licenses.Replacement{Kind: licenses.Changed, Reason: "x"}, fault.Invalid},
		{"wrong data", "donghu", soonest.ID, licenses.Replacement{Kind: licenses.Changed, Reason: "x", Data: changed(-1)}, fault.Invalid},
		{"too long", "donghu", soonest.ID, licenses.Replacement{Kind: licenses.Changed, Reason: "x", Data: wide}, fault.Invalid},
		{"shorter", "donghu", soonest.ID, licenses.Replacement{Kind: licenses.Renewed, Reason: "x", NotAfter: "2026-01-01"}, fault.Invalid},
		{"another kind", "donghu", soonest.ID, licenses.Replacement{Kind: "other", Reason: "x"}, fault.Invalid},
	} {
		if _, err := c.CheckReplace(t.Context(), callers[tc.who], tc.id, tc.r); fault.KindOf(err) != tc.kind {
			t.Errorf("%s: %v, want kind %v", tc.name, err, tc.kind)
		}
	}
	if c.Offers(long, licenses.Renewed) || c.Offers(gone, licenses.Reprinted) || c.Offers(gone, licenses.Changed) || !c.Offers(long, licenses.Changed) {
		t.Error("what is offered is not what may be")
	}
}
