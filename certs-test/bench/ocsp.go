package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
)

// bareOCSP measures an answer with its signature, of a delegate with P-256.
func bareOCSP(b *bench) error {
	issuer, delegate, key, err := ocspPair()
	if err != nil {
		return err
	}
	now := time.Now()
	template := ocsp.Response{Status: ocsp.Good, SerialNumber: big.NewInt(4711), ThisUpdate: now, NextUpdate: now.Add(time.Hour), Certificate: delegate, IssuerHash: crypto.SHA1}
	return b.perCore("ocsp.create", "", 0, func(n int) error {
		for range n {
			if _, err := ocsp.CreateResponse(issuer, delegate, template, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// ocspPair makes a CA and its delegate.
func ocspPair() (issuer, delegate *x509.Certificate, key *ecdsa.PrivateKey, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, nil, err
	}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"CN"}, Organization: []string{"江城市数据局"}, CommonName: name},
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	}
	certify := func(t, parent *x509.Certificate, public any) (*x509.Certificate, error) {
		der, err := x509.CreateCertificate(rand.Reader, t, parent, public, caKey)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	t := template("CA")
	t.IsCA, t.BasicConstraintsValid = true, true
	if issuer, err = certify(t, t, caKey.Public()); err != nil {
		return nil, nil, nil, err
	}
	t = template("OCSP")
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	delegate, err = certify(t, issuer, key.Public())
	return issuer, delegate, key, err
}

// ocsp measures the responder in its handler, without sockets: ocsp.cached gives
// answers out of memory, by POST and GET, for both hashes; ocsp.signed signs each
// one, with a nonce.
func (m *measured) ocsp() error {
	if !m.pick.MatchString("ocsp.cached") && !m.pick.MatchString("ocsp.signed") {
		return nil
	}
	requests, serials, err := m.ocspRequests(64)
	if err != nil {
		return fmt.Errorf("ocsp: %w", err)
	}
	// The limit of fresh answers is what ocsp.signed is not about.
	a, err := ca.Open(m.ctx, ca.Options{DB: m.city.DB, Ring: m.city.Ring, Agencies: m.city.Registry, BaseURL: m.city.HTTP, OCSPFresh: 1 << 30})
	if err != nil {
		return fmt.Errorf("ocsp: %w", err)
	}
	mux := http.NewServeMux()
	a.MountPublic(mux)
	h := a.KeepSlashes(mux)
	turn := 0
	err = m.perCore("ocsp.cached"+m.engine.suffix, "ocsp.create", m.engine.postmaster, func(n int) error {
		for range n {
			turn++
			q := requests[turn%len(requests)]
			if err := askOCSP(m, h, q, turn%4 >= 2, serials[turn%len(requests)], turn%1024 == 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.perCore("ocsp.signed"+m.engine.suffix, "ocsp.create", m.engine.postmaster, func(n int) error {
		for range n {
			turn++
			at := turn % len(requests)
			q := addNonce(requests[at], binary.BigEndian.AppendUint64(make([]byte, 8, 16), uint64(turn)))
			if err := askOCSP(m, h, q, false, serials[at], turn%1024 == 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// ocspRequests issues certificates and returns a request about each, the hashes
// taking turns.
func (m *measured) ocspRequests(n int) (requests [][]byte, serials []*big.Int, err error) {
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		row, err := m.city.CA.Issue(m.ctx, ca.Request{Profile: profile.PermitSigning, Agency: "donghu-amr", Key: key, Actor: "bench", IdempotencyKey: db.NewID()})
		if err != nil {
			return nil, nil, err
		}
		k, err := m.city.Ring.Find(m.ctx, row.IssuerKey)
		if err != nil {
			return nil, nil, err
		}
		issuer, err := x509.ParseCertificate(k.Certificate)
		if err != nil {
			return nil, nil, err
		}
		cert, err := x509.ParseCertificate(row.DER)
		if err != nil {
			return nil, nil, err
		}
		q, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: []crypto.Hash{crypto.SHA1, crypto.SHA256}[i%2]})
		if err != nil {
			return nil, nil, err
		}
		requests, serials = append(requests, q), append(serials, cert.SerialNumber)
	}
	return requests, serials, nil
}

// askOCSP puts one request and looks at the answer, now and then in full.
func askOCSP(m *measured, h http.Handler, q []byte, get bool, serial *big.Int, verify bool) error {
	method, path, body := http.MethodPost, "/ca/donghu/ocsp", io.Reader(bytes.NewReader(q))
	if get {
		method, path, body = http.MethodGet, path+"/"+base64.StdEncoding.EncodeToString(q), nil
	}
	r, err := http.NewRequestWithContext(m.ctx, method, "http://localhost"+path, body)
	if err != nil {
		return err
	}
	w := &answerWriter{header: http.Header{}}
	h.ServeHTTP(w, r)
	if w.status != 0 || len(w.body) < 100 {
		return fmt.Errorf("ocsp: status %d, %d bytes", w.status, len(w.body))
	}
	if !verify {
		return nil
	}
	a, err := ocsp.ParseResponse(w.body, nil)
	if err != nil {
		return fmt.Errorf("ocsp: %w", err)
	}
	if a.Status != ocsp.Good || a.SerialNumber.Cmp(serial) != 0 {
		return errors.New("ocsp: the answer is not good, or about another certificate")
	}
	return nil
}

// answerWriter keeps what a handler writes.
type answerWriter struct {
	header http.Header
	status int // 0: 200
	body   []byte
}

func (w *answerWriter) Header() http.Header { return w.header }

func (w *answerWriter) WriteHeader(status int) { w.status = status }

func (w *answerWriter) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	return len(b), nil
}

// addNonce puts a nonce of 16 octets into a request without extensions.
func addNonce(request, nonce []byte) []byte {
	type extension struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	inner, _ := asn1.Marshal(nonce)
	list, _ := asn1.MarshalWithParams([]extension{{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, inner}}, "explicit,tag:2")
	var outer struct{ TBS asn1.RawValue }
	if _, err := asn1.Unmarshal(request, &outer); err != nil {
		return nil // and the answer tells
	}
	outer.TBS.Bytes, outer.TBS.FullBytes = append(bytes.Clone(outer.TBS.Bytes), list...), nil
	der, _ := asn1.Marshal(outer)
	return der
}
