package ca_test

import (
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// TestRevokedWhileItIsRenewed: whoever revokes a certificate for good does not have to look
// for a successor that was on its way at that moment.
func TestRevokedWhileItIsRenewed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for name, reason := range map[string]ca.Reason{"for good": ca.CessationOfOperation, "held": ca.CertificateHold} {
			r := request(t)
			old := c.issue(t, r)
			wish, same, err := c.RenewalRequest(t.Context(), renewal(t, old.Serial, r.Key))
			if err != nil || !same {
				t.Fatalf("%s: same key %v, %v", name, same, err)
			}
			if err := c.Revoke(t.Context(), old.Serial, reason, actor); err != nil {
				t.Fatal(err)
			}
			before := c.rows(t)
			_, err = c.Issue(t.Context(), wish)
			wantKind(t, err, fault.Conflict)
			wantKind(t, c.Check(t.Context(), wish), fault.Conflict)
			if c.rows(t) != before {
				t.Errorf("%s: a row was written", name)
			}
		}
	})
}
