package ca_test

import (
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// openedByAnother fills the city's first shard and opens the second as another replica
// does that has not published its CRL yet, and may be at it.
func (c *city) openedByAnother(t *testing.T, busy time.Time) {
	t.Helper()
	c.exec(t, `UPDATE ca_shards SET leased = $1 WHERE issuer = 'city'`, ca.ShardSize)
	c.exec(t, `INSERT INTO ca_shards (issuer, shard, issuer_key, url, leased, busy_until) SELECT issuer, 2, issuer_key, $1, $2, $3 FROM ca_shards WHERE issuer = 'city' AND shard = 1`,
		base+"/ca/city/crl/2.crl", ca.ShardBlock, db.Micros(busy))
}

// TestNoCertificateNamesAMissingCRL: a shard's CRL stands before a certificate names it,
// whoever opened the shard and whatever became of them.
func TestNoCertificateNamesAMissingCRL(t *testing.T) {
	for name, busy := range map[string]time.Duration{"first": 0, "opened by one that died": -time.Second, "opened by one that is at it": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			testkit.Each(t, func(t *testing.T, d *db.DB) {
				c, want := newCity(t, d), int64(1)
				if name != "first" {
					c.openedByAnother(t, c.clock.now().Add(busy))
					want = 2
				}
				if busy > 0 {
					before := c.rows(t)
					_, err := c.Issue(t.Context(), request(t))
					wantKind(t, err, fault.Unavailable)
					if c.rows(t) != before {
						t.Error("a row was written")
					}
					c.clock.advance(busy + time.Second)
				}
				cert := c.issue(t, request(t))
				if _, number, err := c.CRL(t.Context(), "city", cert.Shard); cert.Shard != want || err != nil || number != 1 {
					t.Errorf("shard %d, want %d: number %d, %v", cert.Shard, want, number, err)
				}
			})
		})
	}
}

// TestIssueWaitsForACRLOnItsWay: a replica that finds another at the CRL of a new shard
// goes on as soon as it stands.
func TestIssueWaitsForACRLOnItsWay(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.openedByAnother(t, c.clock.now())
		publish, err := c.SlowCRL(t.Context(), "city", 2)
		if err != nil {
			t.Fatal(err)
		}
		published := make(chan error, 1)
		go func() {
			time.Sleep(120 * time.Millisecond)
			published <- publish()
		}()
		cert, err := c.Issue(t.Context(), request(t))
		if err != nil || cert.Shard != 2 {
			t.Errorf("shard %d, %v", cert.Shard, err)
		}
		if err := <-published; err != nil {
			t.Error(err)
		}
	})
}
