package ca_test

import (
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// TestNobodyWaitsForASlowPublisher: while one replica has reserved a number and does
// not come to an end, certificates of the same shard are issued, held, released and
// revoked, and others' CRLs are published.
func TestNobodyWaitsForASlowPublisher(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.publish(t)
		finish, err := c.SlowCRL(t.Context(), "city", 1)
		if err != nil {
			t.Fatal(err)
		}
		row := c.issue(t, request(t))
		if row.Shard != 1 {
			t.Fatalf("shard %d", row.Shard)
		}
		if err := c.Revoke(t.Context(), row.Serial, ca.CertificateHold, actor); err != nil {
			t.Error(err)
		}
		if err := c.Release(t.Context(), row.Serial, actor, ""); err != nil {
			t.Error(err)
		}
		if err := c.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
			t.Error(err)
		}
		c.publish(t)
		if n := c.crl(t, "donghu", 1).Number.Int64(); n != 1 {
			t.Errorf("another issuer's CRL has number %d", n)
		}
		if err := finish(); err != nil { // it knows nothing of the revocation
			t.Fatal(err)
		}
		if list := c.entries(t, "city", 1); len(list) != 0 {
			t.Errorf("%v", list)
		}
		c.publish(t)
		if list := c.entries(t, "city", 1); len(list) != 1 || c.crl(t, "city", 1).Number.Int64() != 3 {
			t.Errorf("%v under number %v", list, c.crl(t, "city", 1).Number)
		}
	})
}
