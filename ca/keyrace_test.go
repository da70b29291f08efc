package ca_test

import (
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// TestTwoIntentsForOneKey: whoever asked for one key at the same moment for two agencies
// has two intents on PostgreSQL. Neither becomes a certificate while the other stands.
func TestTwoIntentsForOneKey(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key := ecKey(t)
		half := func(agency string) string {
			serial, err := c.Half(t.Context(), ca.Request{Profile: profile.PermitSigning, Agency: agency, Key: ecKey(t), Actor: actor}, "intent")
			if err != nil {
				t.Fatal(err)
			}
			return serial
		}
		for _, pair := range [][2]string{{"donghu-amr", "xishan-amr"}, {"xishan-amr", "donghu-amr"}, {"donghu-amr", "donghu-amr"}} {
			one, other := half(pair[0]), half(pair[1])
			c.exec(t, `UPDATE ca_certificates SET key_hash = $1 WHERE serial IN ($2, $3)`, spki(t, key), one, other)
			err := c.StoreLate(t.Context(), one, []byte{0x30, 0})
			if pair[0] == pair[1] { // an agency may have several for its key
				if err != nil {
					t.Errorf("%v: %v", pair, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%v: stored", pair)
			}
			wantKind(t, err, fault.Conflict)
			if row, err := c.Find(t.Context(), one); err != nil || row.Status != ca.Intent || row.DER != nil {
				t.Errorf("%v: %s, %v", pair, row.Status, err)
			}
			c.exec(t, `UPDATE ca_certificates SET status = 'abandoned' WHERE serial = $1`, other)
			if err := c.StoreLate(t.Context(), one, []byte{0x30, 0}); err != nil {
				t.Errorf("%v, after the other was abandoned: %v", pair, err)
			}
			wantKind(t, c.StoreLate(t.Context(), one, []byte{0x30, 0}), fault.Unavailable)
			c.exec(t, `DELETE FROM ca_certificates WHERE serial IN ($1, $2)`, one, other)
		}
	})
}
