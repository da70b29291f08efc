package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json/v2"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/cmd/city"
)

// TestCertificatesAgainstTheLogFromOutside: somebody with the root's certificate and
// the bundle looks at what a server shows and at what they have found.
func TestCertificatesAgainstTheLogFromOutside(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	server, file, _ := startDemo(t, data)
	var demo city.Demo
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &demo)
	}
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(data, "public")
	root := filepath.Join(public, "root.pem")
	trusts := []string{"--root", root, "--trust", filepath.Join(public, "bundle.cbor")}
	https := strings.TrimPrefix(demo.HTTPSBase, "https://")
	stolen := writeStolen(t, data, dir)
	damaged := httptest.NewServer(damage(server))
	defer damaged.Close()
	for _, c := range []struct {
		name     string
		args     []string
		code     int
		out, say string
	}{
		{"what a server shows", []string{"--log", server + "/log", "--tls", https}, 0, `^audit: certificates=2 ours=2 missing=0\n$`, `the log has [1-9][0-9]* entries`},
		{"over TLS", []string{"--log", demo.HTTPSBase + "/log/", "--tls", https}, 0, `^audit: certificates=2 ours=2 missing=0\n$`, ``},
		{"and the root", []string{"--log", server + "/log", "--tls", https, root}, 0, `^audit: certificates=3 ours=3 missing=0\n$`, ``},
		{"made with a stolen key", []string{"--log", server + "/log", "--tls", https, stolen}, 1,
			`^\S+stolen\.pem: 04d2 sha256:[0-9a-f]{64} is not in the log\naudit: certificates=3 ours=3 missing=1\n$`, ``},
		{"the same in JSON", []string{"--log", server + "/log", "--json", stolen}, 1,
			`^{.*"serial":"04d2".*}\n{"certificates":1,"ours":1,"missing":1}\n$`, ``},
		{"a tile that was changed", []string{"--log", damaged.URL + "/log", "--tls", https}, 1, `^$`, `not those that the log's key has signed`},
		{"another's key", []string{"--log", server + "/log", "--vkey", "localhost/log+5896c9ef+AUQpkwZQBKoeTEj03QFYGUwCNJvMZkzZbkAOommRio1R", "--tls", https}, 1, `^$`, ``},
		{"no log there", []string{"--log", server + "/verify", "--tls", https}, 1, `^$`, `status 404`},
		{"nobody there", []string{"--log", server + "/log", "--tls", "127.0.0.1:1"}, 1, `^$`, `127.0.0.1:1`},
		{"no port", []string{"--log", server + "/log", "--tls", "localhost"}, 2, `^$`, `want HOST:PORT`},
		{"nothing to look at", []string{"--log", server + "/log"}, 2, `^$`, `which certificates`},
		{"not an address", []string{"--log", "localhost/log", stolen}, 2, `^$`, `begins with`},
		{"without the log", []string{"--tls", https}, 2, `^$`, `goes with --log`},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"ca", "audit"}, c.args...)
			if c.name != "without the log" {
				args = append(args, trusts[:2]...)
				if c.name != "another's key" {
					args = append(args, trusts[2:]...)
				}
			}
			var stdout, stderr bytes.Buffer
			code := report(&stderr, run(t.Context(), args, nil, &stdout, &stderr, nil))
			if code != c.code || !regexp.MustCompile(c.out).MatchString(stdout.String()) || !regexp.MustCompile(c.say).MatchString(stderr.String()) {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, stdout.String(), stderr.String())
			}
		})
	}
}

// writeStolen makes a certificate with the root's own key, past the city.
func writeStolen(t *testing.T, data, dir string) string {
	t.Helper()
	read := func(elements ...string) []byte {
		b, err := os.ReadFile(filepath.Join(append([]string{data}, elements...)...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key, err := ca.LoadRootKey(read("ceremony", "root.key"), bytes.TrimSpace(read("ceremony", "passphrase")))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(read("public", "root.pem"))
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1234), Subject: pkix.Name{CommonName: "nobody"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}, root, own.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "stolen.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// damage passes on what a city serves, with one bit of each bundle of entries changed.
func damage(server string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := http.Get(server + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		if strings.Contains(r.URL.Path, "/entries/") && len(b) > 10 {
			b[10] ^= 1
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(b)
	})
}
