package ca_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// ocspKey is the key in use at an issuer.
func (c *city) ocspKey(t testing.TB, issuer string) keys.Key {
	t.Helper()
	k, _, err := c.ring.Active(t.Context(), keys.PurposeOCSP, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// delegates counts the certificates of an OCSP key from one CA key.
func (c *city) delegates(t testing.TB, k keys.Key, by string) (n int) {
	t.Helper()
	list, err := c.List(t.Context(), ca.Filter{Profile: profile.OCSP})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range list {
		if p, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool }); ok && row.DER != nil && row.IssuerKey == by && p.Equal(parse(t, row.DER).PublicKey) {
			n++
		}
	}
	return n
}

func (c *city) renewServices(t testing.TB) {
	t.Helper()
	if err := c.RenewServices(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOCSPAfterAnIssuersRotation: what the old key signed is answered for by a
// delegate of the old key, what the new one signs by one of the new key, from the
// first minute on and for as long as the old key retires.
func TestOCSPAfterAnIssuersRotation(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := responder(t, c.CA)
		oldRow := c.issue(t, request(t))
		old, oldIssuer := parse(t, oldRow.DER), c.issuerOf(t, "city")
		c.act(t, ca.RootAsk{Issuers: []string{"city"}}, c.rootKey(t)) // publishes the next key
		c.renewServices(t)
		active, retiring := c.promote(t, keys.PurposeCA, "city")
		newIssuer := parse(t, active.Certificate)
		fresh := parse(t, c.issue(t, request(t)).DER)
		c.clock.advance(3 * time.Second)
		check := func(when string) {
			t.Helper()
			for _, hash := range bothHashes {
				for _, one := range []struct{ cert, issuer, other *x509.Certificate }{{old, oldIssuer, newIssuer}, {fresh, newIssuer, oldIssuer}} {
					r := opened(t, post(t, server, "city", question(t, one.cert, one.issuer, hash)), one.cert, one.issuer)
					if r.Status != ocsp.Good || r.Certificate == nil || r.Certificate.CheckSignatureFrom(one.other) == nil {
						t.Errorf("%s: status %d, delegate %v", when, r.Status, r.Certificate != nil)
					}
					// Asked under the other key it is nobody's.
					if r := opened(t, post(t, server, "city", question(t, one.cert, one.other, hash)), nil, one.other); r.Status != ocsp.Unknown {
						t.Errorf("%s: under the other key status %d", when, r.Status)
					}
				}
			}
		}
		check("after the rotation")
		first := c.ocspKey(t, "city")
		if c.delegates(t, first, active.ID) != 1 || c.delegates(t, first, retiring.ID) != 1 {
			t.Error("the key in use is not certified by both")
		}
		c.renewServices(t)
		if n := c.delegates(t, first, active.ID) + c.delegates(t, first, retiring.ID); n != 2 {
			t.Errorf("repeating it makes %d certificates", n)
		}
		for i := range 3 { // 63 days: three lives of an OCSP key
			c.clock.advance(21 * 24 * time.Hour)
			c.renewServices(t)
			k := c.ocspKey(t, "city")
			if k.ID == first.ID || c.delegates(t, k, active.ID) != 1 || c.delegates(t, k, retiring.ID) != 1 {
				t.Errorf("renewal %d: the new key is not certified by both", i)
			}
			check("after a renewal")
		}
		if err := c.Revoke(t.Context(), oldRow.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		if r := opened(t, post(t, server, "city", question(t, old, oldIssuer, crypto.SHA1)), old, oldIssuer); r.Status != ocsp.Revoked {
			t.Errorf("status %d after it was revoked", r.Status)
		}
		c.wantClean(t)
	})
}

// TestOCSPWithoutDelegate: a CA key that has certified no delegate yet signs
// itself.
func TestOCSPWithoutDelegate(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server := responder(t, c.CA)
	c.act(t, ca.RootAsk{Issuers: []string{"city"}}, c.rootKey(t))
	active, _ := c.promote(t, keys.PurposeCA, "city")
	issuer, cert := parse(t, active.Certificate), parse(t, c.issue(t, request(t)).DER)
	c.clock.advance(3 * time.Second)
	r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer)
	if r.Status != ocsp.Good || r.Certificate != nil {
		t.Errorf("status %d, delegate %v", r.Status, r.Certificate != nil)
	}
	if got := post(t, server, "city", withNonce(t, question(t, cert, issuer, crypto.SHA1), []byte("by the CA"))); !bytes.Contains(got.body, []byte("by the CA")) || opened(t, got, cert, issuer).Status != ocsp.Good {
		t.Error("no nonce")
	}
	c.renewServices(t)
	c.clock.advance(3 * time.Second)
	c.clock.advance(12 * time.Hour)
	if r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer); r.Certificate == nil {
		t.Error("there is a delegate, and the CA key signs still")
	}
}

// TestOCSPDelegatesAreMadeOnce: by replicas that renew at once.
func TestOCSPDelegatesAreMadeOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.act(t, ca.RootAsk{Issuers: []string{"city"}}, c.rootKey(t))
		active, _ := c.promote(t, keys.PurposeCA, "city")
		var wg sync.WaitGroup
		for range 4 {
			replica := c.reopen(t)
			wg.Go(func() {
				if err := replica.RenewServices(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		c.renewServices(t)
		if n := c.delegates(t, c.ocspKey(t, "city"), active.ID); n != 1 {
			t.Errorf("%d delegates", n)
		}
	})
}

// TestOCSPPreparedKeyIsCertifiedByAll: officers' rotations, too.
func TestOCSPPreparedKeyIsCertifiedByAll(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.act(t, ca.RootAsk{Issuers: []string{"city"}}, c.rootKey(t))
	ca2, ca1 := c.promote(t, keys.PurposeCA, "city")
	for range 2 {
		if err := c.PrepareService(t.Context(), keys.PurposeOCSP, "city", actor); err != nil {
			t.Fatal(err)
		}
	}
	k, _ := c.promote(t, keys.PurposeOCSP, "city")
	if c.delegates(t, k, ca1.ID) != 1 || c.delegates(t, k, ca2.ID) != 1 {
		t.Error("not certified by both")
	}
}

// TestOCSPKeyAway: what was signed is given away as long as it holds; nothing is
// made up in its place.
func TestOCSPKeyAway(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
		row, other := c.issue(t, request(t)), c.issue(t, request(t))
		cert := parse(t, row.DER)
		q, fresh := question(t, cert, issuer, crypto.SHA1), question(t, parse(t, other.DER), issuer, crypto.SHA1)
		before := post(t, server, "city", q)
		k := c.ocspKey(t, "city")
		if err := c.ring.Pause(t.Context(), k.ID, actor, "test"); err != nil {
			t.Fatal(err)
		}
		for _, wait := range []time.Duration{0, 3 * time.Second} { // before and after the table follows
			c.clock.advance(wait)
			if got := post(t, server, "city", q); !bytes.Equal(got.body, before.body) {
				t.Errorf("the answer in memory is lost: %x", got.body[:5])
			}
			wantRefusal(t, post(t, server, "city", fresh), ocsp.TryLater)
			wantRefusal(t, post(t, server, "city", withNonce(t, q, []byte{1})), ocsp.TryLater)
			wantRefusal(t, post(t, server, "city", about(t, big.NewInt(5), issuer, crypto.SHA1)), ocsp.TryLater)
		}
		// Its status has changed: better none than the old one.
		if err := c.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, post(t, server, "city", q), ocsp.TryLater)
		if err := c.ring.Resume(t.Context(), k.ID, actor, "test"); err != nil {
			t.Fatal(err)
		}
		c.clock.advance(3 * time.Second)
		if r := opened(t, post(t, server, "city", q), cert, issuer); r.Status != ocsp.Revoked {
			t.Errorf("status %d", r.Status)
		}
	})
}

// TestOCSPStolenKey: from when a key is compromised, or its certificate revoked,
// what it signed is given to nobody.
func TestOCSPStolenKey(t *testing.T) {
	for name, steal := range map[string]func(t *testing.T, c *city, k keys.Key){
		"compromised": func(t *testing.T, c *city, k keys.Key) {
			if err := c.ring.Compromise(t.Context(), k.ID, c.clock.now(), actor, "test"); err != nil {
				t.Fatal(err)
			}
			if err := c.PrepareService(t.Context(), keys.PurposeOCSP, "city", actor); err != nil {
				t.Fatal(err)
			}
			c.promote(t, keys.PurposeOCSP, "city")
		},
		"certificate revoked": func(t *testing.T, c *city, k keys.Key) {
			if err := c.Revoke(t.Context(), hexOf(parse(t, k.Certificate).SerialNumber.Bytes()), ca.KeyCompromise, actor); err != nil {
				t.Fatal(err)
			}
			c.renewServices(t) // replaces the key
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.Each(t, func(t *testing.T, d *db.DB) {
				c := newCity(t, d)
				server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
				cert := parse(t, c.issue(t, request(t)).DER)
				q := question(t, cert, issuer, crypto.SHA256)
				before := opened(t, post(t, server, "city", q), cert, issuer)
				k := c.ocspKey(t, "city")
				steal(t, c, k)
				if c.ocspKey(t, "city").ID == k.ID {
					t.Fatal("the key was not replaced")
				}
				c.clock.advance(3 * time.Second)
				c.FollowOCSP(t.Context())
				after := opened(t, post(t, server, "city", q), cert, issuer)
				if after.Certificate == nil || after.Certificate.Equal(before.Certificate) || bytes.Equal(after.Signature, before.Signature) {
					t.Error("its answers are still given")
				}
			})
		})
	}
}

// TestOCSPRenewal: what is asked for never ends, what is not is dropped, and
// nobody who asks waits for a signature.
func TestOCSPRenewal(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		reg := prometheus.NewRegistry()
		a := c.open(t, func(o *ca.Options) { o.OCSPLifetime, o.Registerer = time.Hour, reg })
		server, issuer := responder(t, a), c.issuerOf(t, "city")
		asked, idle := parse(t, c.issue(t, request(t)).DER), parse(t, c.issue(t, request(t)).DER)
		q := question(t, asked, issuer, crypto.SHA1)
		post(t, server, "city", question(t, idle, issuer, crypto.SHA1))
		last := opened(t, post(t, server, "city", q), asked, issuer)
		for range 4 {
			c.clock.advance(20 * time.Minute)
			a.RenewOCSP(t.Context())
			c.clock.advance(20 * time.Minute)
			a.RenewOCSP(t.Context())
			r := opened(t, post(t, server, "city", q), asked, issuer)
			if !r.ThisUpdate.After(last.ThisUpdate) || r.NextUpdate.Sub(c.clock.now()) < 30*time.Minute {
				t.Errorf("from %v until %v", r.ThisUpdate, r.NextUpdate)
			}
			last = r
		}
		got := measured(t, reg)
		if got["signet_ca_ocsp_signatures_total first"] != 2 || got["signet_ca_ocsp_signatures_total renewed"] < 4 || got["signet_ca_ocsp_cached"] != 1 {
			t.Errorf("%v", got)
		}
		k := c.ocspKey(t, "city")
		if err := c.ring.Pause(t.Context(), k.ID, actor, "test"); err != nil {
			t.Fatal(err)
		}
		c.clock.advance(40 * time.Minute)
		a.RenewOCSP(t.Context()) // cannot
		if r := opened(t, post(t, server, "city", q), asked, issuer); !r.ThisUpdate.Equal(last.ThisUpdate) {
			t.Error("another answer without the key")
		}
		c.clock.advance(30 * time.Minute)
		a.RenewOCSP(t.Context())
		wantRefusal(t, post(t, server, "city", q), ocsp.TryLater)
	})
}

// TestOCSPEndsWithItsSigner: no answer outlives the certificate of who signed it.
func TestOCSPEndsWithItsSigner(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	cert := parse(t, c.issue(t, request(t)).DER)
	c.clock.advance(30*24*time.Hour - 2*time.Hour) // nobody renewed anything
	r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer)
	if r.Certificate == nil || !r.NextUpdate.Equal(r.Certificate.NotAfter) {
		t.Errorf("until %v", r.NextUpdate)
	}
	c.clock.advance(3 * time.Hour) // the delegate is at its end: the CA key signs
	if r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer); r.Certificate != nil || r.Status != ocsp.Good {
		t.Errorf("status %d, delegate %v", r.Status, r.Certificate)
	}
}

// TestOCSPOfARetiredCA: with no key left that could sign, nobody is authorized.
func TestOCSPOfARetiredCA(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	cert := parse(t, c.issue(t, request(t)).DER)
	c.act(t, ca.RootAsk{Issuers: []string{"city"}}, c.rootKey(t))
	_, old := c.promote(t, keys.PurposeCA, "city")
	if err := c.ring.Move(t.Context(), old.ID, keys.Retired, actor, "test"); err != nil {
		t.Fatal(err)
	}
	c.clock.advance(3 * time.Second)
	// Its last delegate lives on for a while.
	if r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer); r.Status != ocsp.Good {
		t.Errorf("status %d", r.Status)
	}
	c.clock.advance(31 * 24 * time.Hour)
	wantRefusal(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), ocsp.Unauthorized)
}

// TestOpenSSLReadsOCSP: the whole of a stranger's client, over loopback.
func TestOpenSSLReadsOCSP(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl")
	}
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := responder(t, c.CA)
		dir := t.TempDir()
		file := func(name string, ders ...[]byte) string {
			var b []byte
			for _, der := range ders {
				b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
			}
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		root := file("root.pem", c.result.RootCertificate)
		ask := func(issuer []byte, cert string, args ...string) string {
			by := file("issuer.pem", issuer)
			args = append([]string{"ocsp", "-url", server.URL + "/ca/city/ocsp", "-CAfile", root, "-verify_other", by, "-issuer", by}, append(args, cert)...)
			out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
			if refused := strings.Contains(string(out), "Responder Error"); refused != (err != nil) {
				t.Errorf("openssl %v: %v\n%s", args, err, out)
			}
			return string(out)
		}
		want := func(out string, parts ...string) {
			t.Helper()
			for _, p := range append(parts, "Response verify OK") {
				if !strings.Contains(out, p) {
					t.Errorf("no %q in\n%s", p, out)
				}
			}
			for _, p := range []string{"WARNING", "rror"} {
				if strings.Contains(out, p) {
					t.Errorf("%q in\n%s", p, out)
				}
			}
		}
		issuer := c.result.Issuers["city"]
		row := c.issue(t, request(t))
		leaf := file("leaf.pem", row.DER)
		for _, hash := range []string{"-sha1", "-sha256"} {
			want(ask(issuer, leaf, hash, "-cert"), ": good")
			want(ask(issuer, leaf, "-no_nonce", hash, "-cert"), ": good")
			want(ask(issuer, "0x4711", "-no_nonce", hash, "-serial"), ": unknown")
		}
		// After a rotation both CAs' certificates are checked, each under its own.
		c.act(t, ca.RootAsk{Issuers: []string{"city"}}, c.rootKey(t))
		c.renewServices(t)
		active, _ := c.promote(t, keys.PurposeCA, "city")
		fresh := file("fresh.pem", c.issue(t, request(t)).DER)
		if err := c.Revoke(t.Context(), row.Serial, ca.AffiliationChanged, actor); err != nil {
			t.Fatal(err)
		}
		c.clock.advance(3 * time.Second)
		for _, hash := range []string{"-sha1", "-sha256"} {
			want(ask(issuer, leaf, hash, "-cert"), ": revoked", "Reason: affiliationChanged")
			want(ask(active.Certificate, fresh, hash, "-cert"), ": good")
		}
		if out := ask(issuer, leaf, "-sha384", "-cert"); !strings.Contains(out, "unauthorized") {
			t.Error(out)
		}
		if out := ask(issuer, leaf, "-cert", leaf, "-cert"); !strings.Contains(out, "malformedrequest") {
			t.Errorf("two in one request:\n%s", out)
		}
	})
}

func TestOCSPOptions(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	for name, change := range map[string]func(*ca.Options){
		"short life":     func(o *ca.Options) { o.OCSPLifetime = time.Minute },
		"negative life":  func(o *ca.Options) { o.OCSPLifetime = -time.Hour },
		"negative cache": func(o *ca.Options) { o.OCSPCache = -1 },
		"negative limit": func(o *ca.Options) { o.OCSPFresh = -1 },
	} {
		o := ca.Options{DB: c.db, Ring: c.ring, Agencies: c.registry, BaseURL: base, Now: c.clock.now}
		change(&o)
		if _, err := ca.Open(t.Context(), o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestOCSPMemoryIsBounded, whoever asks for what.
func TestOCSPMemoryIsBounded(t *testing.T) {
	s := ca.NewAnswers(100)
	for i := range 1000 {
		s.Put(i)
		if !s.Has(i) {
			t.Fatalf("%d is gone at once", i)
		}
		if !s.Has(7) && i >= 7 { // asked for all the time
			t.Fatalf("what is asked for is gone after %d", i)
		}
		if s.Size() > 100 {
			t.Fatalf("%d answers", s.Size())
		}
	}
	if s.Has(500) || !s.Has(999) {
		t.Error("the wrong ones are kept")
	}
	c := newCity(t, testkit.SQLite(t))
	a := c.open(t, func(o *ca.Options) { o.OCSPCache = 4 })
	server, issuer := responder(t, a), c.issuerOf(t, "city")
	for range 8 {
		cert := parse(t, c.issue(t, request(t)).DER)
		for _, hash := range bothHashes {
			if r := opened(t, post(t, server, "city", question(t, cert, issuer, hash)), cert, issuer); r.Status != ocsp.Good {
				t.Errorf("status %d", r.Status)
			}
		}
	}
	if n := a.CachedOCSP(); n > 4 {
		t.Errorf("%d answers in memory", n)
	}
}

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := ca.NewBucket(2, now)
	want := func(ok bool) {
		t.Helper()
		if b.Take(now) != ok {
			t.Errorf("taken %v", !ok)
		}
	}
	want(true)
	want(true)
	want(false)
	now = now.Add(-time.Hour)
	want(false)
	now = now.Add(500 * time.Millisecond)
	want(true)
	want(false)
	now = now.Add(time.Hour)
	want(true)
	want(true)
	want(false)
}

// TestOCSPDoesNotJoinThePast: who asks after a revocation is not given what was
// under way before it.
func TestOCSPDoesNotJoinThePast(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	row := c.issue(t, request(t))
	cert := parse(t, row.DER)
	q := question(t, cert, issuer, crypto.SHA1)
	wait := make(chan struct{})
	if err := c.SlowOCSP(t.Context(), "city", q, wait); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), row.Serial, ca.Superseded, actor); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { close(wait) })
	if r := opened(t, post(t, server, "city", q), cert, issuer); r.Status != ocsp.Revoked {
		t.Errorf("status %d", r.Status)
	}
	select {
	case <-wait:
	default:
		t.Error("the question did not wait for the answer under way")
	}
}

// TestOCSPKeysOfOneSecond: keys that follow each other fast have certificates that
// end together; each signs under its own.
func TestOCSPKeysOfOneSecond(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	for range 8 {
		cert := parse(t, c.issue(t, request(t)).DER)
		r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer)
		if k := c.ocspKey(t, "city"); !bytes.Equal(k.Certificate, r.Certificate.Raw) {
			t.Error("signed under another key's certificate")
		}
		if err := c.PrepareService(t.Context(), keys.PurposeOCSP, "city", actor); err != nil {
			t.Fatal(err)
		}
		c.promote(t, keys.PurposeOCSP, "city")
		c.FollowOCSP(t.Context())
	}
}
