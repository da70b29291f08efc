package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
)

// extended is a request template with one extension.
func extended(critical bool, value []byte, oid ...int) x509.CertificateRequest {
	return x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: oid, Critical: critical, Value: value}}}
}

// caTrue is basicConstraints CA:TRUE.
var caTrue = extended(true, []byte{0x30, 0x03, 0x01, 0x01, 0xff}, 2, 5, 29, 19)

func badCSRs(t testing.TB) map[string][]byte {
	t.Helper()
	key := ecKey(t)
	good := csr(t, key, x509.CertificateRequest{})
	block, _ := pem.Decode(good)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(block.Bytes)) }
	keyOf := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	other := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})
	header := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Headers: map[string]string{"Proc-Type": "4"}, Bytes: block.Bytes})
	return map[string][]byte{
		"empty":            {},
		"text":             []byte("please"),
		"CA:TRUE":          csr(t, key, caTrue),
		"CA:FALSE, depth":  csr(t, key, extended(true, []byte{0x30, 0x03, 0x02, 0x01, 0x00}, 2, 5, 29, 19)),
		"odd basic":        csr(t, key, extended(true, []byte{0x01}, 2, 5, 29, 19)),
		"keyCertSign":      csr(t, key, extended(true, []byte{0x03, 0x02, 0x02, 0x04}, 2, 5, 29, 15)),
		"name of a host":   csr(t, key, x509.CertificateRequest{DNSNames: []string{"city.example"}}),
		"extended use":     csr(t, key, extended(false, []byte{0x30, 0x00}, 2, 5, 29, 37)),
		"foreign":          csr(t, key, extended(false, []byte{0x05, 0x00}, 1, 3, 6, 1, 4, 1, 99999, 1)),
		"constraints":      csr(t, key, extended(true, []byte{0x30, 0x00}, 2, 5, 29, 30)),
		"cut":              change(func(b []byte) []byte { return b[:len(b)-2] }),
		"trailing":         change(func(b []byte) []byte { return append(b, 0) }),
		"broken length":    change(func(b []byte) []byte { b[1] ^= 0x7f; return b }),
		"wrong signature":  change(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"other subject":    change(func(b []byte) []byte { return bytes.Replace(b, []byte{0x30, 0x00}, []byte{0x31, 0x00}, 1) }),
		"PEM of another":   other,
		"PEM with header":  header,
		"PEM twice":        append(bytes.Clone(good), good...),
		"PEM after text":   append([]byte("-----BEGIN\n"), good...),
		"PEM cut":          good[:len(good)-30],
		"P-224":            csr(t, keyOf(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), x509.CertificateRequest{}),
		"P-521":            csr(t, keyOf(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), x509.CertificateRequest{}),
		"RSA for permits":  csr(t, keyOf(rsa.GenerateKey(rand.Reader, 2048)), x509.CertificateRequest{}),
		"RSA of 1024 bits": csr(t, keyOf(rsa.GenerateKey(rand.Reader, 1024)), x509.CertificateRequest{}),
	}
}

func TestParseCSRRefuses(t *testing.T) {
	for name, b := range badCSRs(t) {
		t.Run(name, func(t *testing.T) {
			r, err := ca.ParseCSR(profile.PermitSigning, b)
			if r != nil {
				t.Fatal("accepted")
			}
			wantKind(t, err, fault.Invalid)
			if fault.Public(err) == "" || strings.Contains(fault.Public(err), "asn1") {
				t.Errorf("public sentence %q", fault.Public(err))
			}
		})
	}
	_, err := ca.ParseCSR(profile.PermitSigning, bytes.Repeat([]byte("x"), ca.MaxCSR+1))
	wantKind(t, err, fault.TooLarge)
	weak := csr(t, func() crypto.Signer {
		k, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}(), x509.CertificateRequest{})
	_, err = ca.ParseCSR(profile.TLS, weak)
	wantKind(t, err, fault.Invalid)
}

func TestParseCSRAccepts(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := asn1.Marshal(asn1.BitString{Bytes: []byte{0xc0}, BitLength: 2})
	if err != nil {
		t.Fatal(err)
	}
	key := ecKey(t)
	tests := map[string][]byte{
		"plain":           csr(t, key, x509.CertificateRequest{Subject: pkix.Name{CommonName: "anything"}}),
		"CA:FALSE":        csr(t, key, extended(true, []byte{0x30, 0x00}, 2, 5, 29, 19)),
		"signatures":      csr(t, key, extended(true, signature, 2, 5, 29, 15)),
		"Ed25519":         csr(t, ed, x509.CertificateRequest{}),
		"spaces around":   append([]byte("\n"), append(csr(t, key, x509.CertificateRequest{}), '\n')...),
		"made by openssl": opensslCSR(t),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ca.ParseCSR(profile.PermitSigning, b); err != nil {
				t.Fatal(err)
			}
			if block, _ := pem.Decode(b); block != nil {
				if _, err := ca.ParseCSR(profile.PermitSigning, block.Bytes); err != nil {
					t.Errorf("as DER: %v", err)
				}
			}
		})
	}
}

// TestParseCSRRefusesOtherNames: beside hosts a request may name what Go does not show:
// none of it stands in the certificate, so that it is refused and not passed over.
func TestParseCSRRefusesOtherNames(t *testing.T) {
	host := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("a.example")}
	for name, other := range map[string]asn1.RawValue{
		"another kind": {Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{0x06, 0x03, 0x2a, 0x03, 0x04, 0xa0, 0x03, 0x0c, 0x01, 'x'}},
		"mail":         {Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("a@a.example")},
		"X.400":        {Class: asn1.ClassContextSpecific, Tag: 3, IsCompound: true, Bytes: []byte{0x30, 0x00}},
		"a directory":  {Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0x00}},
		"EDI":          {Class: asn1.ClassContextSpecific, Tag: 5, IsCompound: true, Bytes: []byte{0xa1, 0x03, 0x0c, 0x01, 'x'}},
		"a URI":        {Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte("https://a.example/")},
		"an OID":       {Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{0x2a, 0x03, 0x04}},
	} {
		value, err := asn1.Marshal([]asn1.RawValue{host, other})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = ca.ParseCSR(profile.SystemServer, csr(t, ecKey(t), extended(false, value, 2, 5, 29, 17))); err == nil {
			t.Errorf("%s was passed over", name)
			continue
		}
		wantKind(t, err, fault.Invalid)
	}
	value, err := asn1.Marshal([]asn1.RawValue{host, {Class: asn1.ClassContextSpecific, Tag: 7, Bytes: []byte{192, 0, 2, 7}}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ca.ParseCSR(profile.SystemServer, csr(t, ecKey(t), extended(false, value, 2, 5, 29, 17))); err != nil || len(r.DNSNames)+len(r.IPAddresses) != 2 {
		t.Errorf("hosts alone: %v", err)
	}
}

func opensslCSR(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "csr.pem")
	cmd := exec.Command("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", filepath.Join(dir, "key.pem"),
		"-subj", "/CN=agency", "-addext", "basicConstraints=CA:FALSE", "-addext", "keyUsage=digitalSignature", "-out", out)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl req: %v\n%s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzParseCSR(f *testing.F) {
	f.Add(csr(f, ecKey(f), x509.CertificateRequest{}))
	for _, b := range badCSRs(f) {
		f.Add(b)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr(f, key, x509.CertificateRequest{DNSNames: []string{"a.example"}, IPAddresses: []net.IP{{192, 0, 2, 7}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []profile.Kind{profile.PermitSigning, profile.DocumentSigning, profile.SystemServer, profile.Citizen} {
			r, err := ca.ParseCSR(kind, b)
			if err != nil {
				if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
					t.Errorf("kind %v: %v", k, err)
				}
				continue
			}
			if r.CheckSignature() != nil || profile.CheckKey(kind, r.PublicKey) != nil {
				t.Error("accepted without proof, or with a key that is refused")
			}
			if rules, _ := kind.Rules(); !rules.Hosts && len(r.DNSNames)+len(r.IPAddresses)+len(r.EmailAddresses)+len(r.URIs) > 0 {
				t.Errorf("%s with names", kind)
			}
			again, err := ca.ParseCSR(kind, r.Raw)
			if err != nil || !bytes.Equal(again.Raw, r.Raw) {
				t.Errorf("its own DER: %v", err)
			}
		}
	})
}
