package pki_test

import (
	"crypto/x509"
	"encoding/json/v2"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pkitsSections are the sections of NIST's path validation suite (PKITS 1.0.1) that are about what
// the city relies on in chains. Left out are those that are decided by CRLs
// (4.4, 4.14, 4.15), because whether a certificate is revoked the register says, and
// those about policies (4.8 to 4.12), which no certificate of a city names.
var pkitsSections = map[string]string{
	"4.1": "signatures", "4.2": "validity", "4.3": "name chaining", "4.5": "self-issued certificates", "4.6": "basic constraints",
	"4.7": "key usage", "4.13": "name constraints", "4.16": "private extensions",
}

// pkitsOthers are cases in which Go differs from the suite, each with the reason.
// No city has such certificates; a difference that lets more in is named as one.
var pkitsOthers = map[string]string{
	"4.5.2":   "only a CRL says so, and here the register does",
	"4.5.5":   "only a CRL says so, and here the register does",
	"4.5.7":   "only a CRL says so, and here the register does",
	"4.7.4":   "only a CRL says so, and here the register does",
	"4.7.5":   "only a CRL says so, and here the register does",
	"4.1.4":   "Go verifies no DSA",
	"4.1.5":   "Go verifies no DSA",
	"4.3.3":   "Go compares names byte by byte: stricter than RFC 5280 section 7.1",
	"4.3.4":   "Go compares names byte by byte: stricter than RFC 5280 section 7.1",
	"4.3.5":   "Go compares names byte by byte: stricter than RFC 5280 section 7.1",
	"4.3.10":  "Go compares names byte by byte: stricter than RFC 5280 section 7.1",
	"4.3.11":  "Go compares names byte by byte: stricter than RFC 5280 section 7.1",
	"4.6.15":  "Go counts self-issued CAs for the path length: stricter",
	"4.6.17":  "Go counts self-issued CAs for the path length: stricter",
	"4.13.1":  "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.4":  "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.5":  "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.6":  "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.11": "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.14": "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.18": "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.19": "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.27": "Go refuses critical constraints on directory names, which it does not apply: stricter",
	"4.13.25": "Go applies a host's constraint to hosts below it: here stricter",
	"4.13.36": "Go applies a host's constraint to hosts below it: here stricter",
	"4.13.24": "Go applies a host's constraint to hosts below it, and here lets more in",
}

// TestPKITS holds the verification that the mutual listener asks of crypto/tls against
// NIST's vectors, as they come with Go's source.
func TestPKITS(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src/crypto/x509/testdata/nist-pkits")
	b, err := os.ReadFile(filepath.Join(dir, "vectors.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this Go comes without its source's test vectors, NIST's among them")
	}
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name           string
		CertPath       []string
		ShouldValidate bool
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	held, refused := 0, 0
	for _, c := range cases {
		number, _, _ := strings.Cut(c.Name, " ")
		section := strings.Join(strings.SplitN(number, ".", 3)[:2], ".")
		if pkitsSections[section] == "" {
			continue
		}
		held++
		if !c.ShouldValidate {
			refused++
		}
		t.Run(c.Name, func(t *testing.T) {
			got, why := pkitsVerify(t, filepath.Join(dir, "certs"), c.CertPath)
			if reason, differs := pkitsOthers[number]; differs {
				if got == c.ShouldValidate {
					t.Errorf("it is as the suite says now, although: %s", reason)
				}
				return
			}
			if got != c.ShouldValidate {
				t.Errorf("verified: %v, want %v: %v", got, c.ShouldValidate, why)
			}
		})
	}
	if held < 80 || refused < 40 {
		t.Errorf("only %d cases, %d of them to be refused", held, refused)
	}
}

// pkitsVerify verifies a path, the trust anchor first, as crypto/tls verifies a client's.
func pkitsVerify(t *testing.T, dir string, path []string) (bool, error) {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	var leaf *x509.Certificate
	for i, name := range path {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(b)
		if err != nil {
			return false, err
		}
		switch i {
		case 0:
			roots.AddCert(cert)
		case len(path) - 1:
			leaf = cert
		default:
			between.AddCert(cert)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil, err
}
