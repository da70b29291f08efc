package ca_test

import (
	"crypto/x509"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func TestRevokeRefusesAndChangesNothing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		live, dead := c.issue(t, request(t)), c.issue(t, request(t))
		if err := c.Revoke(t.Context(), dead.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		if err := c.PublishCRLs(t.Context()); err != nil {
			t.Fatal(err)
		}
		issuer := parse(t, c.result.Issuers["city"])
		root := parse(t, c.result.RootCertificate)
		before := c.snapshot(t)
		tests := []struct {
			name, serial, actor string
			reason              ca.Reason
			kind                fault.Kind
		}{
			{"unknown", strings.Repeat("ab", 18), actor, ca.Superseded, fault.NotFound},
			{"no number", "ghij", actor, ca.Superseded, fault.Invalid},
			{"zero", "00", actor, ca.Superseded, fault.Invalid},
			{"nothing", "", actor, ca.Superseded, fault.Invalid},
			{"in capitals", strings.ToUpper(live.Serial), actor, ca.Superseded, fault.Invalid},
			{"reason 99", live.Serial, actor, 99, fault.Invalid},
			{"reason -1", live.Serial, actor, -1, fault.Invalid},
			{"reason 7", live.Serial, actor, 7, fault.Invalid},
			{"remove from CRL", live.Serial, actor, 8, fault.Invalid},
			{"CA compromise of an agency", live.Serial, actor, ca.CACompromise, fault.Invalid},
			{"the root", serialOf(root), actor, ca.KeyCompromise, fault.Invalid},
			{"no actor", live.Serial, "", ca.Superseded, fault.Invalid},
			{"twice", dead.Serial, actor, ca.Superseded, fault.Conflict},
			{"twice, for another reason", dead.Serial, actor, ca.PrivilegeWithdrawn, fault.Conflict},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				err := c.Revoke(t.Context(), tt.serial, tt.reason, tt.actor)
				wantKind(t, err, tt.kind)
				if after := c.snapshot(t); after != before {
					t.Errorf("it changed something: %+v, before %+v", after, before)
				}
			})
		}
		if err := c.Revoke(t.Context(), serialOf(issuer), ca.CACompromise, actor); err != nil {
			t.Errorf("an issuing CA: %v", err)
		}
	})
}

func serialOf(cert *x509.Certificate) string {
	return strings.ToLower(hexOf(cert.SerialNumber.Bytes()))
}

// tables is what a refused revocation could have changed.
type tables struct{ revoked, changes, events int }

func (c *city) snapshot(t testing.TB) (s tables) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		if err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM ca_certificates WHERE status = 'revoked'`).Scan(&s.revoked); err != nil {
			return err
		}
		if err := tx.QueryRowContext(t.Context(), `SELECT sum(changes) FROM ca_shards`).Scan(&s.changes); err != nil {
			return err
		}
		list, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: "certificate.revoke"})
		s.events = len(list)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRevokedOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		cert := c.issue(t, request(t))
		var wg sync.WaitGroup
		var done, conflicts atomic.Int32
		for range 6 {
			wg.Go(func() {
				err := c.Revoke(t.Context(), cert.Serial, ca.PrivilegeWithdrawn, actor)
				switch {
				case err == nil:
					done.Add(1)
				case fault.KindOf(err) == fault.Conflict:
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if done.Load() != 1 || conflicts.Load() != 5 {
			t.Errorf("%d succeeded, %d conflicts", done.Load(), conflicts.Load())
		}
		if s := c.snapshot(t); s != (tables{1, 1, 1}) {
			t.Errorf("%+v", s)
		}
		got, err := c.Find(t.Context(), cert.Serial)
		if err != nil || got.Status != ca.Revoked || got.Reason != ca.PrivilegeWithdrawn || got.RevokedAt.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestReasonNames(t *testing.T) {
	for _, r := range []ca.Reason{ca.Unspecified, ca.KeyCompromise, ca.CACompromise, ca.AffiliationChanged, ca.Superseded, ca.CessationOfOperation,
		ca.CertificateHold, ca.PrivilegeWithdrawn, ca.AACompromise} {
		if got, err := ca.ParseReason(r.String()); err != nil || got != r {
			t.Errorf("%d is %q, which is %d, %v", r, r, got, err)
		}
	}
	for _, s := range []string{"", "removeFromCRL", "certificatehold", "not-a-number", "99", "KEYCOMPROMISE", "1"} {
		_, err := ca.ParseReason(s)
		wantKind(t, err, fault.Invalid)
	}
}

func TestList(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var serials []string
		for range 3 {
			serials = append(serials, c.issue(t, request(t)).Serial)
		}
		if err := c.Revoke(t.Context(), serials[0], ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name string
			f    ca.Filter
			want int
		}{
			{"all", ca.Filter{}, 11},
			{"agency", ca.Filter{Agency: "jiangcheng-amr"}, 3},
			{"another agency", ca.Filter{Agency: "donghu-amr"}, 0},
			{"revoked", ca.Filter{Status: ca.Revoked}, 1},
			{"agency and status", ca.Filter{Agency: "jiangcheng-amr", Status: ca.Issued}, 2},
			{"profile", ca.Filter{Profile: "issuer"}, 3},
			{"page", ca.Filter{Limit: 4}, 4},
		} {
			if list, err := c.List(t.Context(), tt.f); err != nil || len(list) != tt.want {
				t.Errorf("%s: %d, %v, want %d", tt.name, len(list), err, tt.want)
			}
		}
		seen := map[string]bool{}
		for after := ""; ; {
			page, err := c.List(t.Context(), ca.Filter{After: after, Limit: 4})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, cert := range page {
				if cert.Serial <= after || seen[cert.Serial] {
					t.Errorf("%s again or out of order", cert.Serial)
				}
				seen[cert.Serial], after = true, cert.Serial
			}
		}
		if len(seen) != 11 {
			t.Errorf("pages hold %d", len(seen))
		}
		_, err := c.Find(t.Context(), strings.Repeat("ab", 18))
		wantKind(t, err, fault.NotFound)
		_, err = c.Find(t.Context(), "x")
		wantKind(t, err, fault.Invalid)
	})
}

func TestCheckClient(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, other := newCity(t, d), newCity(t, testkit.SQLite(t))
		cert := c.issue(t, request(t))
		leaf, issuer, root := parse(t, cert.DER), parse(t, c.result.Issuers["city"]), c.RootCertificate()
		good := []*x509.Certificate{leaf, issuer, root}
		foreign := []*x509.Certificate{parse(t, other.issue(t, request(t)).DER), parse(t, other.result.Issuers["city"]), other.RootCertificate()}
		if err := c.CheckClient(t.Context(), [][]*x509.Certificate{foreign, good}); err != nil {
			t.Error(err)
		}
		for name, chains := range map[string][][]*x509.Certificate{
			"none": nil, "another city's": {foreign}, "the root alone": {{root}}, "another's under our root": {{foreign[0], issuer, root}},
		} {
			if err := c.CheckClient(t.Context(), chains); fault.KindOf(err) != fault.Denied {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := c.Revoke(t.Context(), cert.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		wantKind(t, c.CheckClient(t.Context(), [][]*x509.Certificate{good}), fault.Denied)
	})
}
