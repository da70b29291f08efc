package ca_test

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/pem"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func (c *city) crl(t testing.TB, issuer string, shard int64) *x509.RevocationList {
	t.Helper()
	der, _, err := c.CRL(t.Context(), issuer, shard)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (c *city) publish(t testing.TB) {
	t.Helper()
	if err := c.PublishCRLs(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPublishCRLs(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		_, _, err := c.CRL(t.Context(), "city", 1)
		wantKind(t, err, fault.NotFound)
		c.publish(t)
		first := c.crl(t, "city", 1)
		if first.Number.Int64() != 1 || len(first.RevokedCertificateEntries) != 0 {
			t.Fatalf("number %v, %d entries", first.Number, len(first.RevokedCertificateEntries))
		}
		c.publish(t)
		if again := c.crl(t, "city", 1); again.Number.Int64() != 1 {
			t.Errorf("number %v without a change", again.Number)
		}
		cert := c.issue(t, request(t))
		if err := c.Revoke(t.Context(), cert.Serial, ca.CessationOfOperation, actor); err != nil {
			t.Fatal(err)
		}
		c.publish(t)
		second := c.crl(t, "city", 1)
		if second.Number.Int64() != 2 || len(second.RevokedCertificateEntries) != 1 || second.RevokedCertificateEntries[0].ReasonCode != 5 ||
			hexOf(second.RevokedCertificateEntries[0].SerialNumber.Bytes()) != cert.Serial {
			t.Errorf("number %v, entries %+v", second.Number, second.RevokedCertificateEntries)
		}
		if other := c.crl(t, "donghu", 1); other.Number.Int64() != 1 {
			t.Errorf("another issuer's CRL became number %v", other.Number)
		}
		c.clock.advance(13 * time.Hour)
		c.publish(t)
		third := c.crl(t, "city", 1)
		if third.Number.Int64() != 3 || !third.NextUpdate.After(second.NextUpdate) {
			t.Errorf("after half its life: number %v, until %v", third.Number, third.NextUpdate)
		}
		// Who expired stays on the list.
		c.clock.advance(4 * 365 * 24 * time.Hour)
		c.publish(t)
		if late := c.crl(t, "city", 1); len(late.RevokedCertificateEntries) != 1 {
			t.Errorf("%d entries after the certificate expired", len(late.RevokedCertificateEntries))
		}
	})
}

// TestCRLNumbersRiseAcrossReplicas lets two replicas revoke and publish at once.
func TestCRLNumbersRiseAcrossReplicas(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		replicas := []*ca.CA{c.CA, c.reopen(t)}
		var wg sync.WaitGroup
		for i, replica := range replicas {
			wg.Go(func() {
				for n := range 10 {
					cert, err := replica.Issue(t.Context(), request(t))
					if err != nil {
						t.Errorf("replica %d, %d: %v", i, n, err)
						return
					}
					if err := replica.Revoke(t.Context(), cert.Serial, ca.Superseded, actor); err != nil {
						t.Errorf("replica %d, %d: %v", i, n, err)
					}
					if err := replica.PublishCRLs(t.Context()); err != nil {
						t.Errorf("replica %d, %d: %v", i, n, err)
					}
				}
			})
		}
		var last int64
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			if _, number, err := c.CRL(t.Context(), "city", 1); err == nil {
				if number < last {
					t.Fatalf("number %d after %d", number, last)
				}
				last = number
			}
		}
		c.publish(t)
		if list := c.crl(t, "city", 1); len(list.RevokedCertificateEntries) != 20 {
			t.Errorf("%d entries, want 20", len(list.RevokedCertificateEntries))
		}
		c.checkNumbers(t)
	})
}

// checkNumbers finds in the log that no number was signed twice for one shard.
func (c *city) checkNumbers(t *testing.T) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		list, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: "crl.publish.intent", Object: "crl:city/1"})
		seen := map[int64]bool{}
		for _, e := range list {
			n := e.Data["number"].(int64)
			if seen[n] {
				t.Errorf("number %d was given out twice", n)
			}
			seen[n] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrashWhileMakingACRL: the reservation of a dead replica expires, its number
// is not used again.
func TestCrashWhileMakingACRL(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		until := db.Micros(c.clock.now().Add(30 * time.Second))
		err := d.Update(t.Context(), func(tx db.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE ca_shards SET reserved = 1, busy_until = $1 WHERE issuer = 'city' AND shard = 1`, until)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		c.publish(t)
		if _, _, err := c.CRL(t.Context(), "city", 1); fault.KindOf(err) != fault.NotFound {
			t.Errorf("somebody was at work: %v", err)
		}
		c.clock.advance(31 * time.Second)
		c.publish(t)
		if list := c.crl(t, "city", 1); list.Number.Int64() != 2 {
			t.Errorf("number %v, want 2", list.Number)
		}
	})
}

func TestShardsFillUp(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		perShard := ca.ShardSize / ca.ShardBlock
		counts := map[int64]int{}
		for range perShard + 5 {
			shard, err := c.LeaseShard(t.Context(), "city")
			if err != nil {
				t.Fatal(err)
			}
			counts[shard]++
		}
		// The ceremony has the first block of shard 1.
		if counts[1] != perShard-1 || counts[2] != 6 {
			t.Errorf("blocks by shard %v, want %d and 6", counts, perShard-1)
		}
		// The CRL of a new shard stands before a certificate names it.
		if list := c.crl(t, "city", 2); len(list.RevokedCertificateEntries) != 0 {
			t.Errorf("%d entries in a new shard", len(list.RevokedCertificateEntries))
		}
		cert := c.issue(t, request(t))
		if cert.Shard != 2 || parse(t, cert.DER).CRLDistributionPoints[0] != base+"/ca/city/crl/2.crl" {
			t.Errorf("shard %d, address %v", cert.Shard, parse(t, cert.DER).CRLDistributionPoints)
		}
	})
}

func TestRetiredIssuerKeepsItsLastCRL(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.publish(t)
	held := c.issue(t, request(t))
	k, _, err := c.ring.Active(t.Context(), keys.PurposeCA, "city")
	if err != nil {
		t.Fatal(err)
	}
	c.rotateIssuer(t, "city", func(*x509.Certificate) {})
	if err := c.ring.Move(t.Context(), k.ID, keys.Retired, actor, "test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), held.Serial, ca.Superseded, actor); err != nil {
		t.Fatal(err)
	}
	c.clock.advance(13 * time.Hour)
	c.publish(t)
	size := c.logSize(t)
	for range 3 { // it stays due for good, and must not fill the log
		c.clock.advance(time.Minute)
		c.publish(t)
	}
	if list := c.crl(t, "city", 1); list.Number.Int64() != 1 {
		t.Errorf("number %v from a retired key", list.Number)
	}
	if more := c.logSize(t) - size; more != 0 {
		t.Errorf("%d events about a CRL that nobody can make", more)
	}
}

// logSize counts the events of the log, those that are not sealed yet too.
func (c *city) logSize(t testing.TB) (n int) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT count(*) FROM audit_events`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTwoCRLsOfOneSecond: Last-Modified has whole seconds. Whoever fetched the first of two
// CRLs of one second, and asks for what is newer, gets the second.
func TestTwoCRLsOfOneSecond(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.publish(t)
	server := responder(t, c.CA)
	fetch := func(since string) (*http.Response, int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/ca/city/crl/1.crl", nil)
		if err != nil {
			t.Fatal(err)
		}
		if since != "" {
			r.Header.Set("If-Modified-Since", since)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(b)
		if err != nil {
			return resp, -1
		}
		return resp, len(list.RevokedCertificateEntries)
	}
	first, _ := fetch("")
	if err := c.Revoke(t.Context(), c.issue(t, request(t)).Serial, ca.KeyCompromise, actor); err != nil {
		t.Fatal(err)
	}
	c.publish(t)
	since := first.Header.Get("Last-Modified")
	if since == "" { // such a client makes a date of its own
		since = first.Header.Get("Date")
	}
	if resp, n := fetch(since); n != 1 {
		t.Errorf("%s with %d entries: the revocation is missed", resp.Status, n)
	}
	// Later, what is fetched is the last of its second.
	c.clock.advance(time.Minute)
	later, _ := fetch("")
	if resp, _ := fetch(later.Header.Get("Last-Modified")); later.Header.Get("Last-Modified") == "" || resp.StatusCode != http.StatusNotModified {
		t.Errorf("a minute later: %q, %s", later.Header.Get("Last-Modified"), resp.Status)
	}
}

// TestRootCRL: a revoked issuing CA stands on the root's CRL from the next act of the root
// on, and not before.
func TestRootCRL(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		issuer := parse(t, c.result.Issuers["donghu"])
		if err := c.Revoke(t.Context(), hexOf(issuer.SerialNumber.Bytes()), ca.CACompromise, actor); err != nil {
			t.Fatal(err)
		}
		c.publish(t)
		if list := c.crl(t, ca.Root, 1); list.Number.Int64() != 1 {
			t.Errorf("the root's CRL became number %v without its key", list.Number)
		}
		c.act(t, ca.RootAsk{}, c.rootKey(t))
		list := c.crl(t, ca.Root, 1)
		if err := list.CheckSignatureFrom(c.RootCertificate()); err != nil || list.Number.Int64() != 2 || len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].ReasonCode != 2 {
			t.Errorf("number %v, %d entries, %v", list.Number, len(list.RevokedCertificateEntries), err)
		}
	})
}

// openssl runs openssl verify over a certificate of the city, with the CRLs of the
// given places.
func (c *city) openssl(t *testing.T, der []byte, issuer string, crls ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var b []byte
		for _, block := range blocks {
			b = append(b, pem.EncodeToMemory(block)...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var lists []*pem.Block
	for _, place := range crls {
		var shard int64
		name, rest, _ := strings.Cut(place, "/")
		if _, err := fmt.Sscan(rest, &shard); err != nil {
			t.Fatal(err)
		}
		list, _, err := c.CRL(t.Context(), name, shard)
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, &pem.Block{Type: "X509 CRL", Bytes: list})
	}
	args := []string{"verify", "-x509_strict", "-crl_check_all", "-policy_check", "-CAfile", write("root.pem", &pem.Block{Type: "CERTIFICATE", Bytes: c.result.RootCertificate}),
		"-CRLfile", write("crl.pem", lists...)}
	if issuer != "" {
		args = append(args, "-untrusted", write("issuer.pem", &pem.Block{Type: "CERTIFICATE", Bytes: c.result.Issuers[issuer]}))
	}
	out, err := exec.Command("openssl", append(args, write("leaf.pem", &pem.Block{Type: "CERTIFICATE", Bytes: der}))...).CombinedOutput()
	return string(out), err
}

func TestOpenSSLAcceptsChainsAndCRLs(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.publish(t)
		issuers := map[string]string{"jiangcheng-amr": "city", "donghu-amr": "donghu", "xishan-amr": "xishan"}
		for agency, issuer := range issuers {
			r := request(t)
			r.Agency = agency
			cert := c.issue(t, r)
			place := issuer + "/1"
			if out, err := c.openssl(t, cert.DER, issuer, "root/1", place); err != nil || !strings.Contains(out, ": OK") {
				t.Errorf("%s: %v\n%s", agency, err, out)
			}
			if out, err := c.openssl(t, cert.DER, issuer, "root/1"); err == nil {
				t.Errorf("%s: accepted without its CRL\n%s", agency, out)
			}
			if err := c.Revoke(t.Context(), cert.Serial, ca.KeyCompromise, actor); err != nil {
				t.Fatal(err)
			}
			c.publish(t)
			if out, err := c.openssl(t, cert.DER, issuer, "root/1", place); err == nil || !strings.Contains(out, "revoked") {
				t.Errorf("%s: not revoked for openssl: %v\n%s", agency, err, out)
			}
		}
		for _, kind := range []profile.Kind{profile.Issuer, profile.OCSP, profile.TLS} {
			list, err := c.List(t.Context(), ca.Filter{Profile: kind})
			if err != nil || len(list) == 0 {
				t.Fatalf("%d of profile %s, %v", len(list), kind, err)
			}
			for _, cert := range list {
				issuer, crls := cert.Issuer, []string{"root/1"}
				if issuer == ca.Root {
					issuer = ""
				} else {
					crls = append(crls, issuer+"/1")
				}
				if out, err := c.openssl(t, cert.DER, issuer, crls...); err != nil {
					t.Errorf("%s of %s: %v\n%s", kind, cert.Issuer, err, out)
				}
			}
		}
	})
}

// TestOpenSSLKeepsShardsApart: the CRL of another shard does not speak for a
// certificate.
func TestOpenSSLKeepsShardsApart(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.publish(t)
	first := c.issue(t, request(t))
	for range ca.ShardSize / ca.ShardBlock {
		if _, err := c.LeaseShard(t.Context(), "city"); err != nil {
			t.Fatal(err)
		}
	}
	second, err := c.reopen(t).Issue(t.Context(), request(t))
	if err != nil {
		t.Fatal(err)
	}
	if first.Shard != 1 || second.Shard != 2 {
		t.Fatalf("shards %d and %d", first.Shard, second.Shard)
	}
	for _, tt := range []struct {
		cert ca.Certificate
		crls []string
		ok   bool
	}{
		{first, []string{"root/1", "city/1"}, true}, {first, []string{"root/1", "city/2"}, false},
		{second, []string{"root/1", "city/2"}, true}, {second, []string{"root/1", "city/1"}, false},
		{second, []string{"root/1", "city/1", "city/2"}, true},
	} {
		if out, err := c.openssl(t, tt.cert.DER, "city", tt.crls...); (err == nil) != tt.ok {
			t.Errorf("shard %d with %v: %v\n%s", tt.cert.Shard, tt.crls, err, out)
		}
	}
}

// TestSleeperDoesNotPublishAnOlderCRL: a replica that slept past its reservation
// comes with a lower number than is out, and without the last revocations.
func TestSleeperDoesNotPublishAnOlderCRL(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.publish(t)
		wake, err := c.SlowCRL(t.Context(), "city", 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Revoke(t.Context(), c.issue(t, request(t)).Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		c.clock.advance(31 * time.Second)
		c.publish(t)
		if err := wake(); err != nil {
			t.Fatal(err)
		}
		if list := c.crl(t, "city", 1); list.Number.Int64() != 3 || len(list.RevokedCertificateEntries) != 1 {
			t.Errorf("number %v, %d entries", list.Number, len(list.RevokedCertificateEntries))
		}
	})
}
