package ca_test

import (
	"strings"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// TestAuditFindsTampering changes one thing in the database at a time.
func TestAuditFindsTampering(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		other := c.issue(t, request(t))
		tests := []struct {
			name, statement, want string
		}{
			{"other profile", `UPDATE ca_certificates SET profile = 'tls' WHERE serial = $1`, "breaks rule"},
			{"other issuer key", `UPDATE ca_certificates SET issuer_key = 'root' WHERE serial = $1`, "chain"},
			{"other certificate", `UPDATE ca_certificates SET der = (SELECT der FROM ca_certificates WHERE serial = '` + other.Serial + `') WHERE serial = $1`, "linted"},
			{"other hash", `UPDATE ca_certificates SET tbs_hash = key_hash WHERE serial = $1`, "linted"},
			{"events gone", `DELETE FROM audit_events WHERE object = 'certificate:' || $1`, "no intent event"},
			{"certificate gone from the log", `DELETE FROM audit_events WHERE kind = 'certificate' AND content = (SELECT der FROM ca_certificates WHERE serial = $1)`, "not in the log"},
			{"revoked in silence", `UPDATE ca_certificates SET status = 'revoked' WHERE serial = $1`, "no revoke event"},
			{"abandoned in silence", `UPDATE ca_certificates SET status = 'abandoned' WHERE serial = $1`, "no abandoned event"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				cert := c.issue(t, request(t))
				if _, problems := c.audit(t); hasSerial(problems, cert.Serial) {
					t.Fatalf("before: %v", problems)
				}
				err := d.Update(t.Context(), func(tx db.Tx) error {
					_, err := tx.ExecContext(t.Context(), tt.statement, cert.Serial)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				_, problems := c.audit(t)
				found := false
				for _, p := range problems {
					found = found || strings.HasPrefix(p, cert.Serial) && strings.Contains(p, tt.want)
				}
				if !found {
					t.Errorf("problems %v, want %q", problems, tt.want)
				}
			})
		}
	})
}

func hasSerial(problems []string, serial string) bool {
	for _, p := range problems {
		if strings.HasPrefix(p, serial) {
			return true
		}
	}
	return false
}

// TestAuditReadsEveryPage has more certificates than one transaction reads.
func TestAuditReadsEveryPage(t *testing.T) {
	if testing.Short() {
		t.Skip("issues hundreds of certificates")
	}
	c := newCity(t, testkit.SQLite(t))
	for range 210 {
		c.issue(t, request(t))
	}
	if n, problems := c.audit(t); n != 218 || len(problems) > 0 {
		t.Errorf("%d certificates, problems %v", n, problems)
	}
	if list, err := c.List(t.Context(), ca.Filter{}); err != nil || len(list) != 218 {
		t.Errorf("%d, %v", len(list), err)
	}
}
