package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json/v2"
	"encoding/pem"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fetch gets a public address.
func fetch(t *testing.T, address string) []byte {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", address, resp.Status, err)
	}
	return b
}

// certificates returns the certificates of every key of the city, by key.
func (s *served) certificates(t *testing.T) map[string]*x509.Certificate {
	t.Helper()
	var view struct {
		Keys []struct {
			ID          string `json:"id"`
			Purpose     string `json:"purpose"`
			Owner       string `json:"owner"`
			Certificate []byte `json:"certificate"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(must(t, "keys", "list", "--demo", s.file, "--json")), &view); err != nil {
		t.Fatal(err)
	}
	found := map[string]*x509.Certificate{}
	for _, k := range view.Keys {
		if len(k.Certificate) == 0 {
			continue
		}
		cert, err := x509.ParseCertificate(k.Certificate)
		if err != nil {
			t.Fatalf("key %s: %v", k.ID, err)
		}
		found[k.Purpose+" of "+k.Owner+" "+k.ID] = cert
	}
	return found
}

// chain is what a stranger collects for a certificate by the addresses in it.
type chain struct{ leaf, issuers, crls string }

// collect follows a certificate's addresses up to the root.
func collect(t *testing.T, leaf *x509.Certificate) chain {
	t.Helper()
	var issuers, crls bytes.Buffer
	for cert := leaf; !bytes.Equal(cert.RawIssuer, cert.RawSubject); {
		if len(cert.CRLDistributionPoints) != 1 || len(cert.IssuingCertificateURL) != 1 {
			t.Fatalf("%s names %d CRLs and %d issuers' certificates", cert.Subject, len(cert.CRLDistributionPoints), len(cert.IssuingCertificateURL))
		}
		crls.Write(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: fetch(t, cert.CRLDistributionPoints[0])}))
		der := fetch(t, cert.IssuingCertificateURL[0])
		issuers.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		issuer, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		cert = issuer
	}
	dir := t.TempDir()
	return chain{
		leaf:    write(t, filepath.Join(dir, "leaf.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})),
		issuers: write(t, filepath.Join(dir, "issuers.pem"), issuers.Bytes()),
		crls:    write(t, filepath.Join(dir, "crls.pem"), crls.Bytes()),
	}
}

func TestChainsUnderOpenSSL(t *testing.T) {
	openssl := tool(t, "openssl")
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	other := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	agencies := 0
	for name, cert := range s.certificates(t) {
		if strings.HasPrefix(name, "permit of "+agency) {
			agencies++
		}
		t.Run(name, func(t *testing.T) {
			c := collect(t, cert)
			verify := []string{"verify", "-x509_strict", "-crl_check_all", "-untrusted", c.issuers}
			for _, check := range []struct {
				what  string
				flags []string
				fails string // what openssl says, "" where it accepts
			}{
				{"chain and CRLs", []string{"-CAfile", s.RootPEM, "-CRLfile", c.crls}, ""},
				{"no CRLs", []string{"-CAfile", s.RootPEM}, "unable to get certificate CRL"},
				{"another city's root", []string{"-CAfile", other.RootPEM, "-CRLfile", c.crls}, "self-signed certificate in certificate chain"},
			} {
				args := append(append(append([]string{}, verify...), check.flags...), c.leaf)
				r := finish(t, exec.Command(openssl, args...))
				if accepted := r.code == 0; accepted != (check.fails == "") || !strings.Contains(r.err, check.fails) {
					t.Errorf("%s: exit code %d\n%s%s", check.what, r.code, r.out, r.err)
				}
			}
		})
	}
	if agencies != 2 {
		t.Errorf("%s has %d certified permit keys, want one in use and a standby", agency, agencies)
	}
	checkTLS(t, openssl, s)
	other.stop(t)
	s.stop(t)
}

// checkTLS looks at what the https address presents.
func checkTLS(t *testing.T, openssl string, s *served) {
	t.Helper()
	host := strings.TrimPrefix(s.HTTPSBase, "https://")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, s.RootPEM)) {
		t.Fatal("no certificate in root_pem")
	}
	conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Errorf("%s under root_pem: %v", host, err)
		return
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	cmd := exec.Command(openssl, "s_client", "-connect", host, "-servername", "localhost", "-CAfile", s.RootPEM, "-x509_strict",
		"-verify_return_error", "-verify_hostname", "localhost", "-brief")
	if r := finish(t, cmd); r.code != 0 || !strings.Contains(r.out+r.err, "Verification: OK") {
		t.Errorf("openssl s_client: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

func TestSecondRunOpensTheSameCity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "city")
	first := demo(t, dir, anyPort...)
	issued := first.issue(t)
	before := read(t, first.file)
	if r := run(t, append([]string{"demo", "--data", dir}, samePorts...)...); r.code != 1 || !strings.Contains(r.err, "address already in use") {
		t.Errorf("a second demo while the first serves: exit code %d\n%s", r.code, r.err)
	}
	first.stop(t)

	second := demo(t, dir, samePorts...)
	if second.Issuer != first.Issuer || !bytes.Equal(read(t, second.file), before) {
		t.Error("the second run has another issuer or demo.json")
	}
	if shown := second.license(t, "show", issued.ID); shown != issued || shown.Status == "" {
		t.Errorf("the licence is %+v, want %+v", shown, issued)
	}
	second.stop(t)

	for _, listen := range []string{"--listen", "--listen-http", "--listen-mtls"} {
		r := run(t, append([]string{"demo", "--data", dir, listen, "127.0.0.1:0"}, samePorts...)...)
		if r.code != 1 || r.out != "" || !strings.Contains(r.err, "signet: open city: this city was made for ") {
			t.Errorf("other %s: exit code %d\n%s%s", listen, r.code, r.out, r.err)
		}
	}
	if r := run(t, append([]string{"demo", "--data", dir, "--listen", "0.0.0.0:0"}, samePorts...)...); r.code == 0 || !strings.Contains(r.err, "loopback only") {
		t.Errorf("a demo for the whole network: exit code %d\n%s", r.code, r.err)
	}
	if r := run(t, append([]string{"demo", "--data", dir, "--https"}, samePorts...)...); r.code != 1 || !strings.Contains(r.err, "this city was made for issuer ") {
		t.Errorf("another issuer: exit code %d\n%s", r.code, r.err)
	}
}

func TestZbarReadsTheQR(t *testing.T) {
	zbar := tool(t, "zbarimg")
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	l := s.issue(t)
	picture := filepath.Join(t.TempDir(), "permit.png")
	must(t, "license", "qr", l.ID, "--out", picture, "--demo", s.file, "--agency", agency)
	r := finish(t, exec.Command(zbar, "--quiet", "--raw", picture))
	if r.code != 0 || strings.TrimSuffix(r.out, "\n") != l.Permit {
		t.Errorf("zbarimg: exit code %d, %q, want %q\n%s", r.code, r.out, l.Permit, r.err)
	}
	s.stop(t)
}
