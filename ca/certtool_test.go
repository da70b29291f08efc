package ca_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// writePEM writes DER into a file of its own.
func writePEM(t testing.TB, kind string, ders ...[]byte) string {
	t.Helper()
	var b []byte
	for _, der := range ders {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGnuTLSAgrees lets certtool check chains and CRLs: in force, held, released,
// and revoked for good.
func TestGnuTLSAgrees(t *testing.T) {
	if _, err := exec.LookPath("certtool"); err != nil {
		t.Skip("needs certtool, in Debian's gnutls-bin")
	}
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		row := c.issue(t, request(t))
		root, issuer := writePEM(t, "CERTIFICATE", c.result.RootCertificate), writePEM(t, "CERTIFICATE", c.result.Issuers["city"])
		leaf := writePEM(t, "CERTIFICATE", row.DER, c.result.Issuers["city"])
		check := func(step string, good bool) {
			t.Helper()
			c.publish(t)
			crl, _, err := c.CRL(t.Context(), "city", 1)
			if err != nil {
				t.Fatal(err)
			}
			list := writePEM(t, "X509 CRL", crl)
			out, err := exec.Command("certtool", "--verify", "--load-ca-certificate", root, "--load-crl", list, "--infile", leaf).CombinedOutput()
			if (err == nil) != good || !good && !strings.Contains(string(out), "revoked") {
				t.Errorf("%s: certtool: %v\n%s", step, err, out)
			}
			if out, err := exec.Command("certtool", "--verify-crl", "--load-ca-certificate", issuer, "--infile", list).CombinedOutput(); err != nil || !strings.Contains(string(out), "Verified") {
				t.Errorf("%s: the CRL: %v\n%s", step, err, out)
			}
			crl[len(crl)-1] ^= 1
			if out, err := exec.Command("certtool", "--verify-crl", "--load-ca-certificate", issuer, "--infile", writePEM(t, "X509 CRL", crl)).CombinedOutput(); err == nil && !strings.Contains(string(out), "Not verified") {
				t.Errorf("%s: a changed CRL is accepted\n%s", step, out)
			}
		}
		check("in force", true)
		if err := c.Revoke(t.Context(), row.Serial, ca.CertificateHold, actor); err != nil {
			t.Fatal(err)
		}
		check("held", false)
		if err := c.Release(t.Context(), row.Serial, actor, ""); err != nil {
			t.Fatal(err)
		}
		check("released", true)
		if err := c.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		check("revoked", false)
	})
}

// TestCurlFetches what certificates point to, and openssl reads it.
func TestCurlFetches(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	c := newCity(t, testkit.SQLite(t))
	cert := parse(t, c.issue(t, request(t)).DER)
	c.publish(t)
	mux := http.NewServeMux()
	c.MountPublic(mux)
	server := httptest.NewServer(c.KeepSlashes(mux))
	t.Cleanup(server.Close)
	for address, as := range map[string][]string{
		cert.IssuingCertificateURL[0]: {"x509", "-inform", "DER", "-noout"}, base + "/ca/root/ca.crt": {"x509", "-inform", "DER", "-noout"},
		cert.CRLDistributionPoints[0]: {"crl", "-inform", "DER", "-noout"},
	} {
		file := filepath.Join(t.TempDir(), "fetched")
		if out, err := exec.Command("curl", "-sSf", "-o", file, server.URL+strings.TrimPrefix(address, base)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", address, err, out)
			continue
		}
		if out, err := exec.Command("openssl", append(as, "-in", file)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", address, err, out)
		}
	}
	resp, err := http.Get(server.URL + "/ca/city/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	out, err := exec.Command("curl", "-sS", "-o", os.DevNull, "-w", "%{http_code}", "-H", "If-None-Match: "+resp.Header.Get("ETag"), server.URL+"/ca/city/ca.crt").CombinedOutput()
	if err != nil || string(out) != "304" {
		t.Errorf("asked again: %v %s", err, out)
	}
}
