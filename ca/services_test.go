package ca_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func TestTLSCertificateServes(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
		server.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return c.TLSCertificate(h.Context()) }}
		server.StartTLS()
		defer server.Close()
		roots := x509.NewCertPool()
		roots.AddCert(c.RootCertificate())
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}}
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if chain := resp.TLS.PeerCertificates; len(chain) != 2 || chain[0].Subject.CommonName != "localhost" {
			t.Errorf("%d certificates, %s", len(chain), chain[0].Subject)
		}
	})
}

func tlsSerial(t *testing.T, c *ca.CA) string {
	t.Helper()
	cert, err := c.TLSCertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return hexOf(cert.Leaf.SerialNumber.Bytes())
}

func TestRenewServices(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		renew := func() {
			t.Helper()
			if err := c.RenewServices(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		first := tlsSerial(t, c.CA)
		c.clock.advance(19 * 24 * time.Hour) // OCSP lives 30 days, TLS 90
		renew()
		if tlsSerial(t, c.CA) != first || c.rows(t) != 8 {
			t.Fatal("renewed too early")
		}
		c.clock.advance(2 * 24 * time.Hour)
		renew()
		if tlsSerial(t, c.CA) != first || c.rows(t) != 11 {
			t.Fatalf("%d certificates, want three new OCSP signers", c.rows(t))
		}
		c.clock.advance(40 * 24 * time.Hour)
		renew()
		second := tlsSerial(t, c.CA)
		if second == first {
			t.Fatal("TLS was not renewed")
		}
		cert, err := c.TLSCertificate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if cert.Leaf.NotAfter.Sub(c.clock.now()) < 89*24*time.Hour || cert.Leaf.VerifyHostname("127.0.0.1") != nil || cert.Leaf.VerifyHostname("localhost") != nil {
			t.Errorf("until %v, hosts %v %v", cert.Leaf.NotAfter, cert.Leaf.DNSNames, cert.Leaf.IPAddresses)
		}
		renew()
		if tlsSerial(t, c.CA) != second {
			t.Error("renewed again at once")
		}
		retiring := func() int {
			list, err := c.ring.List(t.Context(), keys.Filter{Purpose: keys.PurposeTLS, States: []keys.State{keys.Retiring}})
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if retiring() != 1 {
			t.Errorf("%d keys retire", retiring())
		}
		c.clock.advance(11 * time.Minute)
		renew()
		if retiring() != 0 {
			t.Error("the old key was not retired")
		}
		if _, problems := c.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}

// TestRenewalIsTakenInTurns: replicas that renew at once make one new key.
func TestRenewalIsTakenInTurns(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		replicas := []*ca.CA{c.CA, c.reopen(t), c.reopen(t)}
		c.clock.advance(70 * 24 * time.Hour)
		var wg sync.WaitGroup
		for _, replica := range replicas {
			wg.Go(func() {
				if err := replica.RenewServices(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := c.rows(t); n != 12 {
			t.Errorf("%d certificates, want four new ones", n)
		}
	})
}

// TestInterruptedRenewalIsTakenUp: a key that was made, or certified and
// published, before a crash is used, not doubled.
func TestInterruptedRenewalIsTakenUp(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.clock.advance(70 * 24 * time.Hour)
		k, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposeTLS, Owner: ca.Owner, Alg: keys.ES256, Backend: keys.BackendFile, Actor: actor})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.RenewServices(t.Context()); err != nil {
			t.Fatal(err)
		}
		active, _, err := c.ring.Active(t.Context(), keys.PurposeTLS, ca.Owner)
		if err != nil || active.ID != k.ID {
			t.Errorf("active %s, want %s: %v", active.ID, k.ID, err)
		}
	})
}
