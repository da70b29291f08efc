package profile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca/profile"
)

const uscc = "11990100MB0000004X" // invented; the check character is computed below

var start = time.Date(2026, 3, 1, 8, 0, 0, 123456789, time.UTC)

func key(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := profile.NewSerial(1, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// code returns a unified social credit code with its right check character.
func code(t testing.TB) string {
	t.Helper()
	for _, c := range "0123456789ABCDEFGHJKLMNPQRTUWXY" {
		s := uscc[:17] + string(c)
		if profile.CheckOrganizationIdentifier(profile.OrganizationIdentifier(s)) == nil {
			return s
		}
	}
	t.Fatal("no check character fits")
	return ""
}

func subject(t testing.TB, name string) profile.Subject {
	return profile.Subject{Organization: "江城市市场监督管理局", USCC: code(t), CommonName: name}
}

// signed makes a real certificate of a template, so that it can be an issuer.
func signed(t testing.TB, template, issuer *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, template.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// city makes a root and an issuer below it.
func city(t testing.TB) (root, issuer *x509.Certificate) {
	t.Helper()
	rk, ik := key(t, elliptic.P256()), key(t, elliptic.P384())
	tmpl, err := profile.Template(profile.Request{Kind: profile.Root, Subject: subject(t, "Root"), Public: rk.Public(), Serial: serial(t), NotBefore: start}, nil)
	if err != nil {
		t.Fatal(err)
	}
	root = signed(t, tmpl, nil, rk)
	tmpl, err = profile.Template(profile.Request{Kind: profile.Issuer, Subject: subject(t, "Issuer"), Public: ik.Public(), Serial: serial(t), NotBefore: start,
		CRL: "http://city.example/ca/root/crl/1.crl", CAIssuers: "http://city.example/ca/root/ca.crt"}, root)
	if err != nil {
		t.Fatal(err)
	}
	return root, signed(t, tmpl, root, rk)
}

func leaf(t testing.TB) profile.Request {
	return profile.Request{Kind: profile.PermitSigning, Subject: subject(t, "Agency"), Public: key(t, elliptic.P256()).Public(), Serial: serial(t),
		NotBefore: start, CRL: "http://city.example/ca/city/crl/1.crl", OCSP: "http://city.example/ca/city/ocsp", CAIssuers: "http://city.example/ca/city/ca.crt"}
}

func TestTemplateOfEachProfile(t *testing.T) {
	root, issuer := city(t)
	if root.SignatureAlgorithm != x509.ECDSAWithSHA256 || issuer.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		t.Error("the root has P-256 and must sign with SHA-256")
	}
	if !issuer.IsCA || issuer.MaxPathLen != 0 || !issuer.MaxPathLenZero || !bytes.Equal(issuer.AuthorityKeyId, root.SubjectKeyId) {
		t.Errorf("issuer: CA %v, path length %d, zero %v", issuer.IsCA, issuer.MaxPathLen, issuer.MaxPathLenZero)
	}
	tests := []struct {
		kind  profile.Kind
		hosts []string
		eku   x509.ExtKeyUsage // -1: an unknown one
		days  int
	}{
		{profile.PermitSigning, nil, -1, 730},
		{profile.OCSP, nil, x509.ExtKeyUsageOCSPSigning, 90},
		{profile.TLS, []string{"localhost", "127.0.0.1", "::1"}, x509.ExtKeyUsageServerAuth, 90},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			r := leaf(t)
			r.Kind, r.Hosts = tt.kind, tt.hosts
			want := []string{r.OCSP}
			if tt.kind == profile.OCSP {
				r.OCSP, want = "", nil
			}
			c, err := profile.Template(r, issuer)
			if err != nil {
				t.Fatal(err)
			}
			if c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature || c.SignatureAlgorithm != x509.ECDSAWithSHA384 || !slices.Equal(c.OCSPServer, want) {
				t.Errorf("CA %v, usage %v, algorithm %v, OCSP %v", c.IsCA, c.KeyUsage, c.SignatureAlgorithm, c.OCSPServer)
			}
			if tt.eku >= 0 && (len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != tt.eku) || tt.eku < 0 && len(c.UnknownExtKeyUsage) != 1 {
				t.Errorf("extended usages %v %v", c.ExtKeyUsage, c.UnknownExtKeyUsage)
			}
			if !c.NotBefore.Equal(start.Truncate(time.Second)) || !c.NotAfter.Equal(c.NotBefore.AddDate(0, 0, tt.days).Add(-time.Second)) {
				t.Errorf("valid from %v until %v", c.NotBefore, c.NotAfter)
			}
			if len(c.DNSNames)+len(c.IPAddresses) != len(tt.hosts) {
				t.Errorf("hosts %v %v", c.DNSNames, c.IPAddresses)
			}
			if got := c.Subject.ExtraNames[0]; !got.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 97}) || got.Value != "NTRCN-"+r.Subject.USCC {
				t.Errorf("organizationIdentifier %v", got)
			}
		})
	}
}

func TestValidity(t *testing.T) {
	_, issuer := city(t)
	tests := []struct {
		name        string
		from, until time.Time
		wantFrom    time.Time // zero: refused
		wantUntil   time.Time
	}{
		{"no end named is not no time", start, time.Time{}, start.Truncate(time.Second), start.Truncate(time.Second).AddDate(0, 0, 730).Add(-time.Second)},
		{"outlives its issuer", issuer.NotAfter.AddDate(0, -1, 0), issuer.NotAfter.AddDate(1, 0, 0), issuer.NotAfter.AddDate(0, -1, 0), issuer.NotAfter},
		{"begins before its issuer", start.AddDate(-1, 0, 0), start.AddDate(1, 0, 0), issuer.NotBefore, start.AddDate(1, 0, 0).Truncate(time.Second)},
		{"in another zone", start.In(time.FixedZone("CST", 8*3600)), start.AddDate(1, 0, 0), start.Truncate(time.Second), start.AddDate(1, 0, 0).Truncate(time.Second)},
		{"ends as it begins", start, start, time.Time{}, time.Time{}},
		{"ends before it begins", start, start.Add(-time.Hour), time.Time{}, time.Time{}},
		{"too long", start, start.AddDate(6, 0, 0), time.Time{}, time.Time{}},
		{"wholly after its issuer", issuer.NotAfter.AddDate(1, 0, 0), issuer.NotAfter.AddDate(2, 0, 0), time.Time{}, time.Time{}},
		{"no beginning", time.Time{}, start, time.Time{}, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := leaf(t)
			r.NotBefore, r.NotAfter = tt.from, tt.until
			c, err := profile.Template(r, issuer)
			if tt.wantFrom.IsZero() {
				if err == nil {
					t.Fatalf("accepted: %v until %v", c.NotBefore, c.NotAfter)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !c.NotBefore.Equal(tt.wantFrom) || !c.NotAfter.Equal(tt.wantUntil) {
				t.Errorf("valid from %v until %v, want %v until %v", c.NotBefore, c.NotAfter, tt.wantFrom, tt.wantUntil)
			}
		})
	}
}

func TestTemplateRefuses(t *testing.T) {
	root, issuer := city(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("局", 65)
	tests := []struct {
		name   string
		issuer *x509.Certificate
		change func(*profile.Request)
	}{
		{"unknown profile", issuer, func(r *profile.Request) { r.Kind = "any" }},
		{"no issuer", nil, func(*profile.Request) {}},
		{"root below an issuer", issuer, func(r *profile.Request) { r.Kind = profile.Root }},
		{"CA below an issuing CA", issuer, func(r *profile.Request) { r.Kind = profile.Issuer }},
		{"leaf as issuer", &x509.Certificate{Subject: pkix.Name{CommonName: "x"}, PublicKey: root.PublicKey, NotBefore: start, NotAfter: start.AddDate(9, 0, 0)},
			func(*profile.Request) {}},
		{"no key", issuer, func(r *profile.Request) { r.Public = nil }},
		{"short RSA key", issuer, func(r *profile.Request) { r.Kind, r.Hosts, r.Public = profile.TLS, []string{"a"}, weak.Public() }},
		{"RSA key for permits", issuer, func(r *profile.Request) {
			r.Public = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 65537}
		}},
		{"RSA exponent 3", issuer, func(r *profile.Request) {
			r.Kind, r.Hosts, r.Public = profile.TLS, []string{"a"}, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 3}
		}},
		{"P-224", issuer, func(r *profile.Request) { r.Public = key(t, elliptic.P224()).Public() }},
		{"P-521", issuer, func(r *profile.Request) { r.Public = key(t, elliptic.P521()).Public() }},
		{"point off its curve", issuer, func(r *profile.Request) {
			//lint:ignore SA1019 only so can a point be put off its curve
			r.Public = &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
		}},
		{"Ed25519 for TLS", issuer, func(r *profile.Request) { r.Kind, r.Hosts, r.Public = profile.TLS, []string{"a"}, edPub }},
		{"the issuer's key", issuer, func(r *profile.Request) { r.Public = issuer.PublicKey }},
		{"the issuer's name", issuer, func(r *profile.Request) { r.Subject.CommonName = "Issuer" }},
		{"wrong check character", issuer, func(r *profile.Request) { r.Subject.USCC = r.Subject.USCC[:17] + "I" }},
		{"no code", issuer, func(r *profile.Request) { r.Subject.USCC = "" }},
		{"name too long", issuer, func(r *profile.Request) { r.Subject.Organization = long }},
		{"no name", issuer, func(r *profile.Request) { r.Subject.CommonName = "" }},
		{"invisible name", issuer, func(r *profile.Request) { r.Subject.CommonName = "a\u202eb" }},
		{"name not UTF-8", issuer, func(r *profile.Request) { r.Subject.CommonName = "a\xff" }},
		{"hosts of a permit key", issuer, func(r *profile.Request) { r.Hosts = []string{"a"} }},
		{"TLS without hosts", issuer, func(r *profile.Request) { r.Kind = profile.TLS }},
		{"wildcard", issuer, func(r *profile.Request) { r.Kind, r.Hosts = profile.TLS, []string{"*.example"} }},
		{"host with zone", issuer, func(r *profile.Request) { r.Kind, r.Hosts = profile.TLS, []string{"fe80::1%eth0"} }},
		{"host twice", issuer, func(r *profile.Request) { r.Kind, r.Hosts = profile.TLS, []string{"a", "a"} }},
		{"one address, written in two ways", issuer, func(r *profile.Request) { r.Kind, r.Hosts = profile.TLS, []string{"10.0.0.1", "::ffff:10.0.0.1"} }},
		{"one address of IPv6, written in two ways", issuer, func(r *profile.Request) { r.Kind, r.Hosts = profile.TLS, []string{"2001:db8::1", "2001:DB8:0::1"} }},
		{"host in capitals", issuer, func(r *profile.Request) { r.Kind, r.Hosts = profile.TLS, []string{"A"} }},
		{"CRL over https", issuer, func(r *profile.Request) { r.CRL = "https://city.example/1.crl" }},
		{"no CRL", issuer, func(r *profile.Request) { r.CRL = "" }},
		{"no responder", issuer, func(r *profile.Request) { r.OCSP = "" }},
		{"responder over https", issuer, func(r *profile.Request) { r.OCSP = "https://city.example/ca/city/ocsp" }},
		{"responder of an OCSP signer", issuer, func(r *profile.Request) { r.Kind = profile.OCSP }},
		{"responder of an issuing CA", root, func(r *profile.Request) { r.Kind = profile.Issuer }},
		{"responder of the root", nil, func(r *profile.Request) { r.Kind, r.CRL, r.CAIssuers = profile.Root, "", "" }},
		{"CA address with user", issuer, func(r *profile.Request) { r.CAIssuers = "http://u@city.example/" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := leaf(t)
			tt.change(&r)
			if c, err := profile.Template(r, tt.issuer); err == nil {
				t.Fatalf("accepted as %v", c.Subject)
			}
		})
	}
	if _, err := profile.Template(leaf(t), issuer); err != nil {
		t.Fatalf("the request that the cases change is itself refused: %v", err)
	}
}

func TestSerial(t *testing.T) {
	seen := map[string]bool{}
	for _, instance := range []byte{1, 0x7f} {
		for range 200 {
			n, err := profile.NewSerial(instance, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			s := profile.SerialString(n)
			der, err := asn1.Marshal(n)
			if err != nil {
				t.Fatal(err)
			}
			if n.Sign() != 1 || len(der)-2 > 20 || len(s) != 36 || n.Bytes()[0] != instance || seen[s] {
				t.Fatalf("serial %s of %d octets", s, len(der)-2)
			}
			seen[s] = true
			if back, err := profile.ParseSerial(s); err != nil || back.Cmp(n) != 0 {
				t.Fatalf("%s parses as %v, %v", s, back, err)
			}
		}
	}
	for _, instance := range []byte{0, 128, 255} {
		if _, err := profile.NewSerial(instance, rand.Reader); err == nil {
			t.Errorf("instance %d was accepted", instance)
		}
	}
	if _, err := profile.NewSerial(1, failing{}); err == nil {
		t.Error("made without randomness")
	}
	for _, s := range []string{"", "0", "00", "0x01", "-1", "+1", "1", "AB", "0001", "zz", "12 ", " 12", strings.Repeat("ab", 21), "1e5g", "１２"} {
		if n, err := profile.ParseSerial(s); err == nil {
			t.Errorf("%q parses as %v", s, n)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

// TestKeyID uses the definition, not the function's own way there.
func TestKeyID(t *testing.T) {
	k := key(t, elliptic.P256())
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(point)
	if id, err := profile.KeyID(k.Public()); err != nil || !bytes.Equal(id, sum[:20]) {
		t.Errorf("%x, %v, want %x", id, err, sum[:20])
	}
	if _, err := profile.KeyID("no key"); err == nil {
		t.Error("a string has a key identifier")
	}
}

func TestOrganizationIdentifier(t *testing.T) {
	good := "NTRCN-91350100M000100Y43" // the specimen of GB 32100-2015
	if err := profile.CheckOrganizationIdentifier(good); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"", "91350100M000100Y43", "NTRDE-91350100M000100Y43", "VATCN-91350100M000100Y43", good[:23], good + "3",
		"NTRCN-91350100M000100Y44", "NTRCN-91350100M000100y43", "NTRCN-9135010OM000100Y43", "NTRCN91350100M000100Y43"} {
		if profile.CheckOrganizationIdentifier(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func FuzzParseSerial(f *testing.F) {
	for _, s := range []string{"01", "00", "7fab", "AB", "-1", strings.Repeat("ff", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := profile.ParseSerial(s)
		if err == nil && (profile.SerialString(n) != s || n.Sign() <= 0) {
			t.Errorf("%q became %q", s, profile.SerialString(n))
		}
	})
}
