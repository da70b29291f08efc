package pki_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
)

// issuerID is the issuing CA whose key the fixtures are signed with.
const issuerID = "donghu"

// pair is a certificate with the key that it is for.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// rig is a demo city that serves, with the keys of its root and of one issuing CA in
// the hands of the tests.
type rig struct {
	*city.City
	address      string
	root, issuer pair
	model        string // serial number of a certificate whose row fixtures copy
	pool         *x509.CertPool
}

func newRig(t *testing.T) *rig {
	t.Helper()
	const free = "127.0.0.1:0"
	where := city.Where{Data: filepath.Join(t.TempDir(), "city")}
	c, l, err := city.OpenDemo(t.Context(), city.Options{}, city.DemoOptions{Where: where, Addresses: city.Addresses{HTTPS: free, HTTP: free, MTLS: free, Debug: free}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- c.Serve(ctx, l, city.ServeOptions{Ready: func() error { close(ready); return nil }})
	}()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, c.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("the city does not serve: %v", err)
	}
	r := &rig{City: c, address: "https://" + l.MTLS.Addr().String(), pool: c.CA.Roots()}
	r.root = pair{c.CA.RootCertificate(), rootKey(t, filepath.Join(where.Data, "ceremony"))}
	k, signer, err := c.Ring.Active(t.Context(), keys.PurposeCA, issuerID)
	if err != nil {
		t.Fatal(err)
	}
	r.issuer = pair{parse(t, k.Certificate), signer}
	r.model = r.issue(t, profile.SystemClient).Serial
	return r
}

// rootKey opens the root's key as its custodians would.
func rootKey(t *testing.T, dir string) crypto.Signer {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	passphrase, err := os.ReadFile(filepath.Join(dir, "passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.LoadRootKey(b, bytes.TrimSpace(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue has the city certify a fresh key, as it would for anybody.
func (r *rig) issue(t *testing.T, kind profile.Kind) issued {
	t.Helper()
	key := newKey(t)
	request := ca.Request{Profile: kind, Agency: "donghu-amr", Key: key, Actor: "operator:test"}
	if kind == profile.SystemClient {
		request.Name = "desk"
	}
	cert, err := r.CA.Issue(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return issued{cert.Serial, pair{parse(t, cert.DER), key}}
}

// issued is a certificate of the city's own making.
type issued struct {
	Serial string
	pair
}

// make signs a certificate for a fresh key past the city, after change has done its
// worst, and enters it in the register as the city's own: what refuses it then is what
// is wrong with it.
func (r *rig) make(t *testing.T, parent pair, change func(*x509.Certificate)) pair {
	t.Helper()
	p := r.unregistered(t, parent, change)
	r.register(t, p.cert, "issued")
	return p
}

func (r *rig) unregistered(t *testing.T, parent pair, change func(*x509.Certificate)) pair {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 150))
	if err != nil {
		t.Fatal(err)
	}
	serial.SetBit(serial, 151, 1)
	now := time.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{Country: []string{"CN"}, CommonName: "fixture"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{parse(t, der), key}
}

// asCA turns a template into that of an issuing CA.
func asCA(t *x509.Certificate) {
	t.IsCA, t.MaxPathLenZero, t.ExtKeyUsage = true, true, nil
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// register enters a certificate.
func (r *rig) register(t *testing.T, cert *x509.Certificate, status string) {
	t.Helper()
	err := r.DB.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO ca_certificates (serial, issuer, issuer_key, shard, profile, agency, subject, status, der,
			tbs_hash, key_hash, not_before, not_after, actor, request_hash, created_at, changed_at)
			SELECT $1, issuer, issuer_key, shard, profile, agency, subject, $2, $3, tbs_hash, key_hash, not_before, not_after, actor, request_hash, created_at, changed_at
			FROM ca_certificates WHERE serial = $4`, profile.SerialString(cert.SerialNumber), status, cert.Raw, r.model)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// knock presents a chain, the leaf first and nothing for nobody, to the mutual
// listener and reports whether the city answered. What is not an answer must be the
// listener's refusal.
func (r *rig) knock(t *testing.T, key crypto.Signer, chain ...*x509.Certificate) bool {
	t.Helper()
	presented := tls.Certificate{PrivateKey: key}
	for _, cert := range chain {
		presented.Certificate = append(presented.Certificate, cert.Raw)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: r.pool, ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &presented, nil }}}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	resp, err := client.Get(r.address + "/healthz")
	if err != nil {
		if !strings.Contains(err.Error(), "remote error: tls:") {
			t.Errorf("the handshake ended otherwise than by a refusal: %v", err)
		}
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, %v", resp.StatusCode, err)
	}
	return true
}

// selfSign makes a root of a name and key, and enters it.
func (r *rig) selfSign(t *testing.T, self pair) pair {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{SerialNumber: new(big.Int).SetInt64(now.UnixNano()), Subject: self.cert.Subject, RawSubject: self.cert.RawSubject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, self.key.Public(), self.key)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{parse(t, der), self.key}
	r.register(t, p.cert, "issued")
	return p
}

// makeUnchecked is make for a parent whose certificate is for another key than signs.
func (r *rig) makeUnchecked(t *testing.T, parent pair) pair {
	t.Helper()
	bare := *parent.cert
	bare.PublicKey = parent.key.Public()
	return r.make(t, pair{&bare, parent.key}, nil)
}
