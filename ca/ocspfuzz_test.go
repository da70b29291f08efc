package ca_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/testkit"
)

// FuzzOCSPRequest: what is read is what x/crypto reads, wherever it reads anything.
func FuzzOCSPRequest(f *testing.F) {
	issuer := &x509.Certificate{RawSubject: []byte{0x30, 0}}
	key := ecKey(f)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		f.Fatal(err)
	}
	issuer.RawSubjectPublicKeyInfo = spki
	cert := &x509.Certificate{SerialNumber: big.NewInt(4711)}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384} {
		der := question(f, cert, issuer, hash)
		f.Add(der)
		f.Add(withNonce(f, der, []byte("nonce")))
	}
	for _, der := range badRequests(f, cert, issuer) {
		if len(der) < 4096 {
			f.Add(der)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		got, err := ca.ParseOCSPRequest(der)
		if err != nil {
			return
		}
		if got.Nonce != nil && !bytes.Contains(der, got.Nonce) {
			t.Errorf("nonce %x", got.Nonce)
		}
		if got.Hash == 0 {
			return
		}
		want, err := ocsp.ParseRequest(der)
		if err != nil {
			return // signed ones, and names that are no directory names
		}
		if want.HashAlgorithm != got.Hash || !bytes.Equal(want.IssuerNameHash, got.Name) || !bytes.Equal(want.IssuerKeyHash, got.Key) ||
			want.SerialNumber.Cmp(got.Serial) != 0 {
			t.Errorf("read %+v, want %+v", got, want)
		}
	})
}

// FuzzOCSPHandler: whatever is sent, the answer is one of OCSP's, and nothing that
// was not issued is good.
func FuzzOCSPHandler(f *testing.F) {
	c := newCity(f, testkit.SQLite(f))
	mux := http.NewServeMux()
	c.MountPublic(mux)
	h := c.KeepSlashes(mux)
	issuer, cert := c.issuerOf(f, "city"), parse(f, c.issue(f, request(f)).DER)
	for _, hash := range bothHashes {
		der := question(f, cert, issuer, hash)
		f.Add(der, true)
		f.Add(withNonce(f, der, bytes.Repeat([]byte{0xff}, 9)), false)
		f.Add(about(f, big.NewInt(1), issuer, hash), true)
	}
	for _, der := range badRequests(f, cert, issuer) {
		if len(der) < 4096 {
			f.Add(der, len(der)%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte, posted bool) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/ca/city/ocsp", bytes.NewReader(der))
		if !posted {
			r = httptest.NewRequestWithContext(t.Context(), "GET", "/ca/city/ocsp/"+base64.StdEncoding.EncodeToString(der), nil)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/ocsp-response" {
			t.Fatalf("status %d, %v", w.Code, w.Header())
		}
		answer, err := ocsp.ParseResponse(w.Body.Bytes(), issuer)
		if _, refused := err.(ocsp.ResponseError); refused {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != ocsp.Unknown && answer.SerialNumber.Cmp(cert.SerialNumber) != 0 {
			t.Errorf("%x has status %d", answer.SerialNumber, answer.Status)
		}
	})
}
