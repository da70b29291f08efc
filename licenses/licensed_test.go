package licenses_test

import (
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestLicensed: a firm is licensed from its founding on, through every version of its
// licence, and not while that is suspended, nor once it is revoked or past its end.
func TestLicensed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		want := func(s *licenses.Service, what, firm string, yes bool) {
			t.Helper()
			must(t, d.Read(ctx, func(tx db.Tx) error {
				if is, err := s.LicensedTx(ctx, tx, firm); err != nil || is != yes {
					t.Errorf("%s: %t, %v", what, is, err)
				}
				return nil
			}))
		}
		want(f.Service, "no firm", "", false)
		f.issue(t, "donghu", "food", food(nil))
		want(f.Service, "a licence of another type", firmCode, false)
		g, other := f.found(t, "甲有限公司"), f.found(t, "乙有限公司")
		want(f.Service, "founded", g.Firm, true)
		act := func(id string, act licenses.Act) {
			t.Helper()
			_, err := f.Act(ctx, callers["donghu"], id, act, "because", "")
			must(t, err)
		}
		act(g.LicenseID, licenses.Suspend)
		want(f.Service, "suspended", g.Firm, false)
		want(f.Service, "another firm than the suspended", other.Firm, true)
		act(g.LicenseID, licenses.Resume)
		want(f.Service, "resumed", g.Firm, true)
		reprint := licenses.Replacement{Kind: licenses.Reprinted, Reason: "lost", Key: "reprint"}
		must(t, f.BeginReplacement(ctx, callers["donghu"], g.LicenseID, reprint))
		want(f.Service, "while the next version is signed", g.Firm, true)
		next, err := f.Replace(ctx, callers["donghu"], g.LicenseID, reprint)
		must(t, err)
		want(f.Service, "replaced", g.Firm, true)
		left := time.Until(next.NotAfter)
		want(f.in(t, left-time.Minute), "just before its end", g.Firm, true)
		want(f.in(t, left+time.Minute), "past its end", g.Firm, false)
		act(next.ID, licenses.Revoke)
		want(f.Service, "revoked", g.Firm, false)
		want(f.Service, "another firm than the revoked", other.Firm, true)
	})
}

// TestLicensedWhileSigning: a licence that a crash left in signing is in force already.
func TestLicensedWhileSigning(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		r := licenses.Request{Type: licenses.FirmType, Holder: licenses.Holder{USCC: firmCode}, Data: plan(nil).Data}
		r.Data["legal_representative"], r.Data["established"] = "林若川", "2026-11-01"
		must(t, f.Begin(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "k", Request: r}}))
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			if is, err := f.LicensedTx(t.Context(), tx, firmCode); err != nil || !is {
				t.Errorf("%t, %v", is, err)
			}
			return nil
		}))
	})
}
