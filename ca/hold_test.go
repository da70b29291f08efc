package ca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/verify/trust"
)

func TestHoldMakesACity(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		root := parse(t, c.result.RootCertificate)
		if !root.Equal(c.RootCertificate()) || !bytes.Equal(c.RootStatement(), c.result.RootStatement) {
			t.Error("what was opened is not what was made")
		}
		for id, der := range c.result.Issuers {
			issuer := parse(t, der)
			if err := issuer.CheckSignatureFrom(root); err != nil || !issuer.IsCA || !issuer.MaxPathLenZero {
				t.Errorf("issuer %s: %v, CA %v, path length %d", id, err, issuer.IsCA, issuer.MaxPathLen)
			}
		}
		if n, problems := c.audit(t); n != 8 || len(problems) > 0 {
			t.Errorf("%d certificates, want 8 (root, 3 issuers, 3 OCSP, TLS); problems %v", n, problems)
		}
		counts := map[string]int{}
		for _, k := range c.result.Keys {
			counts[k.Purpose+"/"+k.Owner+"/"+string(k.State)]++
		}
		for _, want := range []string{"ca/city/active", "ca/donghu/active", "ca/xishan/active", "trust/city/active", "trust/city/published",
			"status/city/active", "log/city/active", "ocsp/city/active", "ocsp/donghu/active", "ocsp/xishan/active", "tls/city/active"} {
			if counts[want] != 1 {
				t.Errorf("%d keys %s, want 1", counts[want], want)
			}
		}
		if len(c.result.Keys) != 11 {
			t.Errorf("%d keys of the ring, want 11", len(c.result.Keys))
		}
	})
}

func TestRootStatementNamesTheSigners(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s, err := trust.OpenRoot(c.result.RootStatement, c.RootCertificate().PublicKey, c.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != 1 || len(s.Bundle) != 2 || len(s.Status) != 1 || len(s.Log) != 1 {
		t.Fatalf("version %d, %d trust, %d status, %d log signers", s.Version, len(s.Bundle), len(s.Status), len(s.Log))
	}
	for purpose, list := range map[string][]trust.Signer{keys.PurposeTrust: s.Bundle, keys.PurposeStatus: s.Status, keys.PurposeLog: s.Log} {
		k, _, err := c.ring.Active(t.Context(), purpose, ca.Owner)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(k.Public)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list, func(g trust.Signer) bool { return bytes.Equal(g.Public, spki) }) {
			t.Errorf("the active %s key is not in the statement", purpose)
		}
	}
}

func TestRootKeyIsNowhereButInItsFile(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	key, err := ca.LoadRootKey(c.result.RootKeyPEM, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if !key.Public().(*ecdsa.PublicKey).Equal(c.RootCertificate().PublicKey) {
		t.Error("the file holds another key")
	}
	list, err := c.ring.List(t.Context(), keys.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range list {
		if p, ok := k.Public.(*ecdsa.PublicKey); ok && p.Equal(key.Public()) {
			t.Error("the root's key is in the ring")
		}
	}
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, c.result.RootKeyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "pkey", "-in", path, "-passin", "pass:"+passphrase, "-noout", "-text").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "prime256v1") {
		t.Errorf("openssl pkey: %v\n%s", err, out)
	}
}

func TestLoadRootKeyRefuses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	good := c.result.RootKeyPEM
	block, _ := pem.Decode(good)
	remake := func(change func([]byte) []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: change(bytes.Clone(block.Bytes))})
	}
	plain, err := x509.MarshalPKCS8PrivateKey(ecKey(t))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, passphrase string
		file             []byte
	}{
		{"wrong passphrase", passphrase + "x", good},
		{"no passphrase", "", good},
		{"empty", passphrase, nil},
		{"not encrypted", passphrase, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain})},
		{"not encrypted, says it is", passphrase, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: plain})},
		{"twice", passphrase, append(bytes.Clone(good), good...)},
		{"too large", passphrase, bytes.Repeat([]byte("x"), 1<<20)},
		{"cut ciphertext", passphrase, remake(func(b []byte) []byte { return b[:len(b)-1] })},
		{"half a block, whole DER", passphrase, remake(func(b []byte) []byte {
			// The ciphertext is the last element: shorten it and both lengths by one.
			i := bytes.LastIndex(b, []byte{0x04, 0x81})
			b[i+2]--
			b[2]--
			return b[:len(b)-1]
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := ca.LoadRootKey(tt.file, []byte(tt.passphrase))
			if key != nil || fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.TooLarge {
				t.Fatalf("%v, %v", key, err)
			}
			if tt.passphrase != "" && strings.Contains(err.Error(), tt.passphrase) {
				t.Error("the error repeats the passphrase")
			}
		})
	}
}

func TestHoldIsHeldOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		_, err := ca.Hold(t.Context(), ceremonyOptions(t, d, c.ring, c.clock))
		if !errors.Is(err, ca.ErrHeld) {
			t.Errorf("a second ceremony: %v", err)
		}
		if _, _, err := c.ring.Active(t.Context(), keys.PurposeCA, "city"); err != nil {
			t.Errorf("the refused ceremony touched the keys: %v", err)
		}
	})
}

func TestOpenRefusesWithoutACeremony(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := &clock{t: time.Now()}
		ring := openRing(t, d, c)
		r, err := registry.New(registry.Options{DB: d, Sealer: ring})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ca.Open(t.Context(), ca.Options{DB: d, Ring: ring, Agencies: r, BaseURL: base}); !errors.Is(err, ca.ErrNoCity) {
			t.Errorf("%v, want ErrNoCity", err)
		}
	})
}

// TestAbortedCeremonyLeavesNoCity stops after each step, finds no city, and holds
// the whole ceremony over what was left.
func TestAbortedCeremonyLeavesNoCity(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := &city{db: d, clock: &clock{t: time.Now()}}
		c.ring = openRing(t, d, c.clock)
		var err error
		if c.registry, err = registry.New(registry.Options{DB: d, Sealer: c.ring}); err != nil {
			t.Fatal(err)
		}
		o := ca.Options{DB: d, Ring: c.ring, Agencies: c.registry, BaseURL: base, Now: c.clock.now}
		for steps := 0; ; steps++ {
			done, err := ca.CeremonySteps(t.Context(), ceremonyOptions(t, d, c.ring, c.clock), steps)
			if err != nil {
				t.Fatalf("after %d steps: %v", steps, err)
			}
			if done {
				break
			}
			if _, err := ca.Open(t.Context(), o); !errors.Is(err, ca.ErrNoCity) {
				t.Fatalf("after %d steps: %v, want ErrNoCity", steps, err)
			}
			if n := c.rows(t); n != 0 {
				t.Fatalf("after %d steps: %d certificates are recorded", steps, n)
			}
		}
		if c.CA, err = ca.Open(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if n, problems := c.audit(t); n != 8 || len(problems) > 0 {
			t.Errorf("%d certificates, problems %v", n, problems)
		}
		active, err := c.ring.List(t.Context(), keys.Filter{States: []keys.State{keys.Active, keys.Published, keys.Staged, keys.Retiring}})
		if err != nil {
			t.Fatal(err)
		}
		if len(active) != 11 {
			t.Errorf("%d living keys, want the 11 of the last ceremony", len(active))
		}
	})
}

func TestHoldKeepsTheRootKeyFirst(t *testing.T) {
	d := testkit.SQLite(t)
	c := &clock{t: time.Now()}
	ring := openRing(t, d, c)
	o := ceremonyOptions(t, d, ring, c)
	full := errors.New("the disk is full")
	o.Keep = func([]byte) error { return full }
	if _, err := ca.Hold(t.Context(), o); !errors.Is(err, full) {
		t.Fatalf("%v, want the keeper's error", err)
	}
	r, err := registry.New(registry.Options{DB: d, Sealer: ring})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Open(t.Context(), ca.Options{DB: d, Ring: ring, Agencies: r, BaseURL: base}); !errors.Is(err, ca.ErrNoCity) {
		t.Errorf("a city without its root's key: %v", err)
	}
	var kept []byte
	o.Keep = func(b []byte) error { kept = bytes.Clone(b); return nil }
	result, err := ca.Hold(t.Context(), o)
	if err != nil || !bytes.Equal(kept, result.RootKeyPEM) {
		t.Errorf("%v, kept the result's key: %v", err, bytes.Equal(kept, result.RootKeyPEM))
	}
}

func TestHoldRefusesOptions(t *testing.T) {
	d := testkit.SQLite(t)
	c := &clock{t: time.Now()}
	ring := openRing(t, d, c)
	tests := []struct {
		name   string
		change func(*ca.CeremonyOptions)
	}{
		{"short passphrase", func(o *ca.CeremonyOptions) { o.Passphrase = []byte("secret") }},
		{"https base", func(o *ca.CeremonyOptions) { o.BaseURL = "https://city.example" }},
		{"base with path", func(o *ca.CeremonyOptions) { o.BaseURL = "http://city.example/" }},
		{"no ceremony", func(o *ca.CeremonyOptions) { o.Ceremony = ca.Ceremony{} }},
		{"no ring", func(o *ca.CeremonyOptions) { o.Ring = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := ceremonyOptions(t, d, ring, c)
			tt.change(&o)
			if _, err := ca.Hold(t.Context(), o); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestEverySignatureOfTheCeremonyWasAnnounced(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		kinds := map[string]int{}
		err := d.Read(t.Context(), func(tx db.Tx) error {
			clear(kinds)
			for _, kind := range []string{"certificate.issue.intent", "certificate.issue.outcome", audit.KindCertificate,
				"crl.publish.intent", "crl.publish.outcome", "trust.root.intent", "trust.root.outcome", "ceremony.hold"} {
				list, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: kind})
				if err != nil {
					return err
				}
				kinds[kind] = len(list)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"certificate.issue.intent": 8, "certificate.issue.outcome": 8, audit.KindCertificate: 8,
			"crl.publish.intent": 1, "crl.publish.outcome": 1, "trust.root.intent": 1, "trust.root.outcome": 1, "ceremony.hold": 1}
		for kind, n := range want {
			if kinds[kind] != n {
				t.Errorf("%d events %s, want %d", kinds[kind], kind, n)
			}
		}
		if list, err := c.List(t.Context(), ca.Filter{Profile: profile.Root}); err != nil || len(list) != 1 {
			t.Errorf("%d roots, %v", len(list), err)
		}
	})
}

func FuzzLoadRootKey(f *testing.F) {
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if key, err := ca.LoadRootKey(b, []byte(passphrase)); err == nil {
			t.Errorf("a key of type %T out of nothing", key)
		}
	})
}
