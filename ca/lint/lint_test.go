package lint_test

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/ca/lint"
	"github.com/signet-city/signet/ca/profile"
)

const uscc = "91350100M000100Y43" // the specimen of GB 32100-2015

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// authority is a CA with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// pki is a root, an issuer below it and a linter.
type pki struct {
	root, issuer authority
	linter       *lint.Linter
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func request(t testing.TB, kind profile.Kind, name string, pub crypto.PublicKey) profile.Request {
	t.Helper()
	serial, err := profile.NewSerial(1, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := profile.Request{Kind: kind, Subject: profile.Subject{CommonName: name}, Public: pub, Serial: serial, NotBefore: start}
	rules, _ := kind.Rules()
	if rules.Subject != profile.Person {
		r.Subject.Organization, r.Subject.USCC = "江城市教育局", uscc
	}
	if rules.Subject != profile.Organization {
		r.Subject.Number = "0123456789abcdef0123"
	}
	if kind != profile.Root {
		r.CRL, r.CAIssuers = "http://city.example/ca/city/crl/1.crl", "http://city.example/ca/city/ca.crt"
	}
	if rules.Responder() {
		r.OCSP = "http://city.example/ca/city/ocsp"
	}
	if rules.Hosts {
		r.Hosts = []string{"localhost", "127.0.0.1"}
	}
	return r
}

func newPKI(t testing.TB, rootCurve, issuerCurve elliptic.Curve) pki {
	t.Helper()
	linter, err := lint.New()
	if err != nil {
		t.Fatal(err)
	}
	p := pki{linter: linter}
	p.root.key, p.issuer.key = ecKey(t, rootCurve), ecKey(t, issuerCurve)
	p.root.cert = p.sign(t, request(t, profile.Root, "Root", p.root.key.Public()), authority{key: p.root.key})
	p.issuer.cert = p.sign(t, request(t, profile.Issuer, "Issuer", p.issuer.key.Public()), p.root)
	return p
}

// sign goes the whole way: template, lint, token, signature.
func (p pki) sign(t testing.TB, r profile.Request, by authority) *x509.Certificate {
	t.Helper()
	template, err := profile.Template(r, by.cert)
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.linter.Check(r.Kind, template, by.cert)
	if err != nil {
		t.Fatal(err)
	}
	c, err := token.Sign(by.key)
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(c.RawTBSCertificate) != token.Hash() {
		t.Fatal("what was signed is not what was linted")
	}
	if parent := cmp.Or(by.cert, c); c.CheckSignatureFrom(parent) != nil {
		t.Fatal("its issuer has not signed it")
	}
	return c
}

func TestGoodCertificatesPassEveryRule(t *testing.T) {
	ed := edKey(t)
	for _, curves := range [][2]elliptic.Curve{{elliptic.P256(), elliptic.P256()}, {elliptic.P384(), elliptic.P256()}, {elliptic.P256(), elliptic.P384()}} {
		p := newPKI(t, curves[0], curves[1])
		for _, kind := range profile.Kinds() {
			if rules, _ := kind.Rules(); rules.CA {
				continue // signed by newPKI
			}
			c := p.sign(t, request(t, kind, "Leaf", ecKey(t, elliptic.P256()).Public()), p.issuer)
			if err := c.CheckSignatureFrom(p.issuer.cert); err != nil {
				t.Error(err)
			}
			if found := p.linter.Certificate(kind, c, p.issuer.cert); len(found) > 0 {
				t.Errorf("%s: %v", kind, found)
			}
		}
		p.sign(t, request(t, profile.PermitSigning, "Ed25519", ed.Public()), p.issuer)
	}
}

// mutation is a bad case of one rule: a template changed after it was made.
type mutation struct {
	rule   string
	name   string
	kind   profile.Kind
	change func(t *testing.T, p pki, c *x509.Certificate)
}

func extension(oid asn1.ObjectIdentifier, critical bool, value []byte) pkix.Extension {
	return pkix.Extension{Id: oid, Critical: critical, Value: value}
}

var mutations = []mutation{
	{"responder", "none", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.OCSPServer = nil }},
	{"responder", "none for TLS", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) { c.OCSPServer = nil }},
	{"responder", "two", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.OCSPServer = append(c.OCSPServer, "http://b.example/ocsp")
	}},
	{"responder", "https", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) { c.OCSPServer = []string{"https://city.example/ocsp"} }},
	{"responder", "no host", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.OCSPServer = []string{"http:///ocsp"} }},
	{"responder", "of an OCSP signer", profile.OCSP, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.OCSPServer = []string{"http://city.example/ca/city/ocsp"}
	}},
	{"responder", "of an issuing CA", profile.Issuer, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.OCSPServer = []string{"http://city.example/ca/root/ocsp"}
	}},
	{"addresses", "no CRL", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.CRLDistributionPoints = nil }},
	{"addresses", "https", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"https://city.example/1.crl"}
	}},
	{"addresses", "two issuers", profile.OCSP, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.IssuingCertificateURL = append(c.IssuingCertificateURL, "http://b.example/")
	}},
	{"addresses", "root that points", profile.Root, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"http://city.example/1.crl"}
	}},
	{"basic", "leaf as CA", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.IsCA = true }},
	{"basic", "no constraints", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) { c.BasicConstraintsValid, c.MaxPathLen = false, 0 }},
	{"basic", "issuer without depth", profile.Issuer, func(_ *testing.T, _ pki, c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = -1, false }},
	{"extensions", "foreign", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{extension(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, false, []byte{5, 0})}
	}},
	{"extensions", "critical no-check", profile.OCSP, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{extension(profile.OIDNoCheck, true, []byte{5, 0})}
	}},
	{"extensions", "lacking no-check", profile.OCSP, func(_ *testing.T, _ pki, c *x509.Certificate) { c.ExtraExtensions = nil }},
	{"extensions", "policy", profile.PermitSigning, func(t *testing.T, _ pki, c *x509.Certificate) {
		oid, err := x509.OIDFromInts([]uint64{1, 2, 156, 1})
		if err != nil {
			t.Fatal(err)
		}
		c.Policies = []x509.OID{oid}
	}},
	{"hosts", "permit key with a host", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.DNSNames = []string{"city.example"} }},
	{"hosts", "wildcard", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) { c.DNSNames = []string{"*.city.example"} }},
	{"hosts", "URI", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "city"}}
	}},
	{"hosts", "none", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }},
	{"identifiers", "another key's", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.SubjectKeyId = bytes.Repeat([]byte{1}, 20) }},
	{"identifiers", "root with another's", profile.Root, func(_ *testing.T, p pki, c *x509.Certificate) { c.AuthorityKeyId = p.root.cert.SubjectKeyId }},
	{"issuer", "its issuer's name", profile.PermitSigning, func(_ *testing.T, p pki, c *x509.Certificate) {
		c.RawSubject = p.issuer.cert.RawSubject
	}},
	{"issuer", "weaker hash", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA512 }},
	{"key", "small curve", profile.PermitSigning, func(t *testing.T, _ pki, c *x509.Certificate) { rekey(t, c, ecKey(t, elliptic.P224()).Public()) }},
	{"key", "its issuer's", profile.PermitSigning, func(t *testing.T, p pki, c *x509.Certificate) { rekey(t, c, p.issuer.key.Public()) }},
	{"resident", "a number for a name", profile.Citizen, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.CommonName = "11010519491231002X" }},
	{"resident", "beside the name", profile.Citizen, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.CommonName = "韦霜 11010519491231002x" }},
	{"resident", "of an officer", profile.Officer, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.SerialNumber = "11010519491231002X" }},
	{"resident", "in the name of a host", profile.SystemServer, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.DNSNames = []string{"p11010519491231002x.city.example"}
	}},
	{"serial", "short", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.SerialNumber = big.NewInt(42) }},
	{"serial", "21 octets", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.SerialNumber = new(big.Int).SetBit(new(big.Int), 159, 1)
	}},
	{"subject", "no identifier", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.ExtraNames = nil }},
	{"subject", "foreign register", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: profile.OIDOrganizationIdentifier, Value: "VATDE-123"}}
	}},
	{"subject", "wrong check character", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: profile.OIDOrganizationIdentifier, Value: "NTRCN-91350100M000100Y44"}}
	}},
	{"subject", "other country", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.Country = []string{"DE"} }},
	{"subject", "foreign attribute", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"x"} }},
	{"subject", "a person's organisation", profile.Citizen, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.Organization = []string{"x"} }},
	{"subject", "a person without number", profile.Citizen, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.SerialNumber = "" }},
	{"subject", "a number of another scheme", profile.Citizen, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.SerialNumber = "IDCCN-0123456789" }},
	{"subject", "a number in capitals", profile.Officer, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.Subject.SerialNumber = "SN:CN-0123456789ABCDEF0123"
	}},
	{"subject", "an officer of nobody", profile.Officer, func(_ *testing.T, _ pki, c *x509.Certificate) { c.Subject.Organization = nil }},
	{"subject", "a firm with a person's number", profile.Firm, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.Subject.SerialNumber = "SN:CN-0123456789abcdef0123"
	}},
	{"extensions", "timestamps with usages that are not critical", profile.Timestamp, func(_ *testing.T, _ pki, c *x509.Certificate) { c.ExtraExtensions = nil }},
	{"extensions", "permits with usages that are critical", profile.PermitSigning, func(t *testing.T, _ pki, c *x509.Certificate) {
		value, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 36}})
		if err != nil {
			t.Fatal(err)
		}
		c.ExtraExtensions = []pkix.Extension{extension(asn1.ObjectIdentifier{2, 5, 29, 37}, true, value)}
	}},
	{"usage", "timestamps and something else", profile.Timestamp, func(t *testing.T, _ pki, c *x509.Certificate) {
		value, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}, {1, 3, 6, 1, 5, 5, 7, 3, 2}})
		if err != nil {
			t.Fatal(err)
		}
		c.ExtraExtensions[0].Value = value
	}},
	{"usage", "a firm that serves", profile.Firm, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}},
	{"usage", "a program that calls and serves", profile.SystemClient, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}},
	{"usage", "a client that commits to content", profile.Firm, func(_ *testing.T, _ pki, c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageContentCommitment }},
	{"usage", "documents without commitment", profile.DocumentSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }},
	{"usage", "permit key that signs certificates", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }},
	{"usage", "permit key for TLS", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}},
	{"usage", "any use", profile.OCSP, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	}},
	{"usage", "odd no-check", profile.OCSP, func(_ *testing.T, _ pki, c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{extension(profile.OIDNoCheck, false, []byte{4, 0})}
	}},
	{"validity", "no time at all", profile.PermitSigning, func(_ *testing.T, _ pki, c *x509.Certificate) { c.NotAfter = c.NotBefore }},
	{"validity", "leaf outliving its issuer", profile.OCSP, func(_ *testing.T, p pki, c *x509.Certificate) {
		c.NotAfter = p.issuer.cert.NotAfter.Add(time.Second)
		c.NotBefore = c.NotAfter.AddDate(0, 0, -30)
	}},
	{"validity", "leaf before its issuer", profile.OCSP, func(_ *testing.T, _ pki, c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(-time.Second) }},
	{"validity", "too long", profile.TLS, func(_ *testing.T, _ pki, c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(2, 0, 0) }},
}

func rekey(t *testing.T, c *x509.Certificate, pub crypto.PublicKey) {
	t.Helper()
	c.PublicKey = pub
	var err error
	if c.SubjectKeyId, err = profile.KeyID(pub); err != nil {
		t.Fatal(err)
	}
}

func TestEachRuleCatchesItsBadCases(t *testing.T) {
	p := newPKI(t, elliptic.P256(), elliptic.P256())
	for _, m := range mutations {
		t.Run(m.rule+"/"+m.name, func(t *testing.T) {
			by := p.issuer
			if m.kind == profile.Issuer {
				by = p.root
			} else if m.kind == profile.Root {
				by = authority{}
			}
			template, err := profile.Template(request(t, m.kind, "Leaf", ecKey(t, elliptic.P256()).Public()), by.cert)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.linter.Check(m.kind, template, by.cert); err != nil {
				t.Fatalf("bad before it was changed: %v", err)
			}
			m.change(t, p, template)
			token, err := p.linter.Check(m.kind, template, by.cert)
			if token != nil {
				t.Fatal("a token was given")
			}
			broken, ok := errors.AsType[*lint.Error](err)
			if !ok {
				t.Fatalf("%v is not about rules", err)
			}
			if !slices.ContainsFunc(broken.Findings, func(f lint.Finding) bool { return f.Rule == m.rule }) {
				t.Errorf("rule %s is content; found %v", m.rule, err)
			}
		})
	}
	for _, name := range lint.OwnRules() {
		if !slices.ContainsFunc(mutations, func(m mutation) bool { return m.rule == name }) {
			t.Errorf("rule %s has no bad case", name)
		}
	}
}

// TestCertificatesFromBeforeResponders: they name none and are valid still, while
// none is signed any more.
func TestCertificatesFromBeforeResponders(t *testing.T) {
	p := newPKI(t, elliptic.P256(), elliptic.P256())
	template, err := profile.Template(request(t, profile.PermitSigning, "Leaf", ecKey(t, elliptic.P256()).Public()), p.issuer.cert)
	if err != nil {
		t.Fatal(err)
	}
	template.OCSPServer = nil
	der, err := x509.CreateCertificate(rand.Reader, template, p.issuer.cert, template.PublicKey, p.issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if found := p.linter.Certificate(profile.PermitSigning, old, p.issuer.cert); len(found) > 0 {
		t.Errorf("an old certificate is refused: %v", found)
	}
	if token, err := p.linter.Check(profile.PermitSigning, template, p.issuer.cert); token != nil || err == nil {
		t.Error("a new one is signed")
	}
}

// TestRulesSeeTheIssuer covers what no template can show: the wrong parent.
func TestRulesSeeTheIssuer(t *testing.T) {
	p, other := newPKI(t, elliptic.P256(), elliptic.P256()), newPKI(t, elliptic.P256(), elliptic.P256())
	c := p.sign(t, request(t, profile.PermitSigning, "Leaf", ecKey(t, elliptic.P256()).Public()), p.issuer)
	tests := []struct {
		name   string
		kind   profile.Kind
		issuer *x509.Certificate
		rule   string
	}{
		{"another issuer of the same name", profile.PermitSigning, other.issuer.cert, "identifiers"},
		{"under the root", profile.PermitSigning, p.root.cert, "issuer"},
		{"without issuer", profile.PermitSigning, nil, "issuer"},
		{"another profile", profile.TLS, p.issuer.cert, "usage"},
		{"unknown profile", "any", p.issuer.cert, "profile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := p.linter.Certificate(tt.kind, c, tt.issuer)
			if !slices.ContainsFunc(found, func(f lint.Finding) bool { return f.Rule == tt.rule }) {
				t.Errorf("found %v, want rule %s", found, tt.rule)
			}
		})
	}
}

func TestZlintRunsToo(t *testing.T) {
	p := newPKI(t, elliptic.P256(), elliptic.P256())
	r := request(t, profile.PermitSigning, "Leaf", ecKey(t, elliptic.P256()).Public())
	template, err := profile.Template(r, p.issuer.cert)
	if err != nil {
		t.Fatal(err)
	}
	template.Subject.Organization = []string{" leading space"}
	_, err = p.linter.Check(r.Kind, template, p.issuer.cert)
	broken, ok := errors.AsType[*lint.Error](err)
	if !ok || len(broken.Findings) != 1 || broken.Findings[0].Rule != "w_subject_dn_leading_whitespace" {
		t.Errorf("%v, want zlint's rule alone", err)
	}
}

// TestSmallPrivateKeys: anybody can find a private key that is small, or the order of
// its curve less something small.
func TestSmallPrivateKeys(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		p := newPKI(t, elliptic.P256(), elliptic.P256())
		for _, d := range []int64{1, 2, 255, 4097, 65535, 65536, -1, -255, -65536} {
			scalar := new(big.Int).Mod(big.NewInt(d), curve.Params().N)
			key, err := ecdsa.ParseRawPrivateKey(curve, scalar.FillBytes(make([]byte, curve.Params().BitSize/8)))
			if err != nil {
				t.Fatal(err)
			}
			r := request(t, profile.PermitSigning, "Leaf", key.Public())
			template, err := profile.Template(r, p.issuer.cert)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.linter.Check(r.Kind, template, p.issuer.cert)
			broken, ok := errors.AsType[*lint.Error](err)
			if !ok || len(broken.Findings) != 1 || broken.Findings[0].Rule != "e_ecdsa_small_private_key" {
				t.Errorf("%s, private key %d: %v", curve.Params().Name, d, err)
			}
		}
	}
}

// counting is a key that counts its signatures.
type counting struct {
	crypto.Signer
	n *atomic.Int32
}

func (c counting) Sign(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) {
	c.n.Add(1)
	return c.Signer.Sign(r, d, o)
}

func TestTokenSignsOnceAndOnlyWhatWasLinted(t *testing.T) {
	p := newPKI(t, elliptic.P256(), elliptic.P384())
	key := counting{p.issuer.key, new(atomic.Int32)}
	prepared := func() (*x509.Certificate, *lint.Token) {
		r := request(t, profile.PermitSigning, "Leaf", ecKey(t, elliptic.P256()).Public())
		template, err := profile.Template(r, p.issuer.cert)
		if err != nil {
			t.Fatal(err)
		}
		token, err := p.linter.Check(r.Kind, template, p.issuer.cert)
		if err != nil {
			t.Fatal(err)
		}
		return template, token
	}
	template, token := prepared()
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign // too late
	var wg sync.WaitGroup
	var signed atomic.Pointer[x509.Certificate]
	for range 8 {
		wg.Go(func() {
			c, err := token.Sign(key)
			if err == nil && !signed.CompareAndSwap(nil, c) {
				t.Error("signed twice")
			} else if err != nil && !errors.Is(err, lint.ErrToken) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := signed.Load()
	if c == nil || key.n.Load() != 1 {
		t.Fatalf("%d signatures, want one", key.n.Load())
	}
	if c.IsCA || sha256.Sum256(c.RawTBSCertificate) != token.Hash() || c.CheckSignatureFrom(p.issuer.cert) != nil {
		t.Error("what was signed is not what was linted")
	}

	// A key that is not the issuer's spends the token all the same.
	for name, other := range map[string]crypto.Signer{"another": ecKey(t, elliptic.P384()), "of another curve": ecKey(t, elliptic.P256()), "of another kind": edKey(t),
		"that lies": lying{p.issuer.key}} {
		_, token := prepared()
		if c, err := token.Sign(other); err == nil {
			t.Errorf("a key %s made %s", name, c.Subject)
		}
		if _, err := token.Sign(key); !errors.Is(err, lint.ErrToken) {
			t.Errorf("after a key %s: %v", name, err)
		}
	}
}

func edKey(t *testing.T) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// lying is a key whose signatures are over something else.
type lying struct{ crypto.Signer }

func (l lying) Sign(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) {
	return l.Signer.Sign(r, bytes.Repeat([]byte{1}, len(d)), o)
}

func TestRevocationList(t *testing.T) {
	p := newPKI(t, elliptic.P256(), elliptic.P256())
	tests := []struct {
		name   string
		change func(*x509.RevocationList)
		rule   string
	}{
		{"good", func(*x509.RevocationList) {}, ""},
		{"odd reason", func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 7 }, "e_crl_has_valid_reason_code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := &x509.RevocationList{Number: big.NewInt(5), ThisUpdate: start, NextUpdate: start.AddDate(0, 0, 1),
				RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(77), RevocationTime: start.Add(-time.Hour), ReasonCode: 1}}}
			tt.change(list)
			der, err := x509.CreateRevocationList(rand.Reader, list, p.issuer.cert, p.issuer.key)
			if err != nil {
				t.Fatal(err)
			}
			found := p.linter.RevocationList(der)
			if tt.rule == "" && len(found) > 0 || tt.rule != "" && !slices.ContainsFunc(found, func(f lint.Finding) bool { return f.Rule == tt.rule }) {
				t.Errorf("found %v, want %q", found, tt.rule)
			}
		})
	}
	if found := p.linter.RevocationList([]byte("no CRL")); len(found) != 1 {
		t.Errorf("found %v", found)
	}
}

func BenchmarkCheck(b *testing.B) {
	p := newPKI(b, elliptic.P256(), elliptic.P256())
	r := request(b, profile.PermitSigning, "Leaf", ecKey(b, elliptic.P256()).Public())
	template, err := profile.Template(r, p.issuer.cert)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := p.linter.Check(r.Kind, template, p.issuer.cert); err != nil {
			b.Fatal(err)
		}
	}
}
