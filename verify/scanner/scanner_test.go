package scanner_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-city/signet/verify/scanner"
)

func serve(t *testing.T, path string, header map[string]string) *http.Response {
	t.Helper()
	mux := http.NewServeMux()
	scanner.Mount(mux, nil)
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

func TestRedirect(t *testing.T) {
	w := serve(t, "/verify", nil)
	if w.StatusCode != http.StatusPermanentRedirect || w.Header.Get("Location") != "/verify/" {
		t.Errorf("%d to %q", w.StatusCode, w.Header.Get("Location"))
	}
}

// TestUnits runs what node tests: types, and every vector through the core.
func TestUnits(t *testing.T) {
	if _, err := os.Stat("node_modules"); err != nil {
		t.Skip("npm ci has not been run in verify/scanner")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("no npm")
	}
	if out, err := exec.CommandContext(t.Context(), npm, "test", "--silent").CombinedOutput(); err != nil {
		t.Errorf("npm test: %v\n%s", err, out)
	}
}

func TestPolicyStandsOnEverything(t *testing.T) {
	for _, path := range []string{"/verify/", "/verify/sw.js"} {
		w := serve(t, path, nil)
		if !scanner.Built() && path != "/verify/" {
			continue
		}
		if w.Header.Get("Content-Security-Policy") != scanner.Policy || w.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, w.Header)
		}
	}
	if strings.Contains(scanner.Policy, "unsafe-inline") || strings.Contains(scanner.Policy, "'unsafe-eval'") {
		t.Error("the policy lets scripts of the page in")
	}
}

// TestFiles reads everything that is served. Without the page there is one that says
// what to do.
func TestFiles(t *testing.T) {
	if !scanner.Built() {
		w := serve(t, "/verify/", nil)
		body, _ := io.ReadAll(w.Body)
		if w.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "make build") {
			t.Errorf("%d %s", w.StatusCode, body)
		}
		return
	}
	w := serve(t, "/verify/", map[string]string{"Accept-Language": "en-GB", "Cookie": "signet-text=large"})
	index, _ := io.ReadAll(w.Body)
	if !strings.Contains(string(index), `<html lang="en" class="large">`) || w.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("index: %v %.80s", w.Header, index)
	}
	if etag := w.Header.Get("ETag"); serve(t, "/verify/", map[string]string{"If-None-Match": etag, "Accept-Language": "en-GB", "Cookie": "signet-text=large"}).StatusCode != http.StatusNotModified {
		t.Error("an unchanged page is sent again")
	}
	if regexp.MustCompile(`<script[^>]*>[^<]|style=|onclick=`).Match(index) {
		t.Error("the page has scripts or styles in it, which its policy forbids")
	}
	kinds := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".wasm": "application/wasm", ".svg": "image/svg+xml"}
	sw, _ := io.ReadAll(serve(t, "/verify/sw.js", nil).Body)
	seen := map[string]bool{}
	for _, path := range regexp.MustCompile(`/verify/assets/[\w.-]+`).FindAllString(string(index)+string(sw), -1) {
		ext := path[strings.LastIndex(path, "."):]
		w := serve(t, path, map[string]string{"Accept-Encoding": "gzip"})
		seen[ext] = true
		if w.StatusCode != http.StatusOK || w.Header.Get("Content-Type") != kinds[ext] || !strings.Contains(w.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", path, w.StatusCode, w.Header)
		}
		if w.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			packed, _ := io.ReadAll(z)
			plain, _ := io.ReadAll(serve(t, path, nil).Body)
			if string(packed) != string(plain) {
				t.Errorf("%s: unpacked it is another file", path)
			}
		}
	}
	if len(seen) != len(kinds) {
		t.Errorf("only %v of the kinds of files are kept for use with no network", seen)
	}
	if w := serve(t, "/verify/.keep", nil); w.StatusCode != http.StatusNotFound {
		t.Errorf(".keep: %d", w.StatusCode)
	}
	if w := serve(t, "/verify/assets/none.js", nil); w.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", w.StatusCode)
	}
}
