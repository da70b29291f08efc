package main

import (
	"bytes"
	"encoding/json/v2"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// busy is a city that answers batches as its script says: a status, with Retry-After,
// or 0 for the result of each line.
type busy struct {
	*httptest.Server
	script []int
	header string
	calls  atomic.Int64
	lines  atomic.Int64
	cutAt  int64 // the connection breaks after so many results, 0 for never

	failAt int64  // the result with which the server begins to fail, for one batch
	failAs string // kind of the error
}

func newBusy(t *testing.T, header string, script ...int) *busy {
	t.Helper()
	b := &busy{script: script, header: header}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, b.URL, b.URL+"/oidc/token")
	})
	mux.HandleFunc("POST /oidc/token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"t","token_type":"bearer","expires_in":600}`)
	})
	mux.HandleFunc("POST /licenses/v1/batch", b.batch)
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	return b
}

func (b *busy) batch(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if n := int(b.calls.Add(1)) - 1; n < len(b.script) && b.script[n] != 0 {
		w.Header().Set("Retry-After", b.header)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(b.script[n])
		_, _ = io.WriteString(w, `{"error":"unavailable","message":"not now"}`)
		return
	}
	failAt := b.failAt // of this batch to its end, which the client may not wait for
	n := 0
	for line := range bytes.Lines(body) {
		var of struct {
			Key string `json:"key"`
		}
		_ = json.Unmarshal(line, &of)
		n++
		if failAt > 0 && b.lines.Load() >= failAt {
			_, _ = fmt.Fprintf(w, `{"line":%d,"key":%q,"error":%q,"message":"not now"}`+"\n", n, of.Key, b.failAs)
			continue
		}
		_, _ = fmt.Fprintf(w, `{"line":%d,"key":%q,"id":"i-%s","number":"N","status":"issued","permit":"EL1:X"}`+"\n", n, of.Key, of.Key)
		if b.lines.Add(1) == b.cutAt {
			_, _ = io.WriteString(w, `{"line":`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

// importing runs license import against a server with further arguments.
func importing(t *testing.T, server string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(secret, []byte(`{"client_id":"c","client_secret":"s"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	args = append([]string{"license", "import", "--server", server, "--credentials", secret}, args...)
	code = report(&errs, run(t.Context(), args, nil, &out, &errs, nil))
	return code, out.String(), errs.String()
}

// numbered writes a file of n lines.
func numbered(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"key":"k%d"}`+"\n", i+1)
	}
	path := filepath.Join(t.TempDir(), "lines.ndjson")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportWaits(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		script       []int
		code         int
		least        time.Duration
		want         string // on standard error
	}{
		{"busy twice", "1", []int{503, 429}, 0, 2 * time.Second, `(?m)^signet: import: the server asks to wait, for 1s$`},
		{"a date that has passed", "Sat, 28 Nov 2020 10:00:00 GMT", []int{429}, 0, time.Second, `for 1s$`},
		{"between two batches", "1", []int{0, 503}, 0, time.Second, `for 1s$`},
		{"another failure", "1", []int{500}, 1, 0, `not now \(unavailable\)`},
		{"a refusal", "1", []int{403}, 1, 0, `lines 1 to 500: `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBusy(t, tt.header, tt.script...)
			begin := time.Now()
			code, stdout, stderr := importing(t, b.URL, numbered(t, 501))
			if code != tt.code || time.Since(begin) < tt.least || !regexp.MustCompile("(?m)"+tt.want).MatchString(stderr) {
				t.Errorf("exit code %d after %v:\n%s", code, time.Since(begin), stderr)
			}
			if lines := strings.Count(stdout, "\n"); code == 0 && lines != 501 || code != 0 && lines != 0 {
				t.Errorf("%d results", lines)
			}
		})
	}
}

// TestImportCut cuts the connection amid a batch. With --resume the import goes on
// behind the last line that was answered, and says nothing of the others again.
func TestImportCut(t *testing.T) {
	b := newBusy(t, "1")
	b.cutAt = 700
	path := numbered(t, 1203)
	failures := filepath.Join(t.TempDir(), "refused.ndjson")
	args := []string{"--resume", "--failures", failures, "--json", path}
	code, first, stderr := importing(t, b.URL, args...)
	if code != 1 || !strings.Contains(stderr, "line 701") || !strings.Contains(stderr, "hint: run the same command again: it goes on behind line 700") ||
		!strings.Contains(first, `"lines":700,"issued":700,"refused":0,`) || !strings.HasSuffix(first, `"complete":false}`+"\n") {
		t.Fatalf("exit code %d:\n%s%s", code, first[max(0, len(first)-200):], stderr)
	}
	if info, err := os.Stat(path + markSuffix); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("what is kept: %v, %v", info, err)
	}
	if code, _, stderr := importing(t, newBusy(t, "1").URL, args...); code != 1 || !strings.Contains(stderr, "that was another server or client") {
		t.Errorf("another server: exit code %d:\n%s", code, stderr)
	}
	code, second, stderr := importing(t, b.URL, args...)
	if code != 0 || !strings.Contains(second, `"lines":503,"issued":503,"refused":0,"resumed_after":700,`) {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	results := strings.Split(strings.TrimSpace(first+second), "\n")
	n := 0
	for _, line := range results {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.Line == 0 {
			continue // a summary
		}
		if n++; o.Line != n || o.Key != fmt.Sprint("k", n) {
			t.Fatalf("result %d is of line %d, key %s", n, o.Line, o.Key)
		}
	}
	if n != 1203 || b.lines.Load() != 1203 {
		t.Errorf("%d results, %d lines were sent, want 1203 of each", n, b.lines.Load())
	}
	if _, err := os.Stat(path + markSuffix); !os.IsNotExist(err) {
		t.Errorf("something is kept of a complete import: %v", err)
	}
}

// TestImportServerFails: lines that the server could not take amid a batch are not
// refused and not left behind, but sent again.
func TestImportServerFails(t *testing.T) {
	for _, kind := range []string{"unavailable", "internal"} {
		b := newBusy(t, "1")
		b.failAt, b.failAs = 256, kind
		path := numbered(t, 600)
		args := []string{"--resume", "--json", path}
		code, out, stderr := importing(t, b.URL, args...)
		if code != 1 || !strings.Contains(stderr, "line 257: the server could not take it: not now ("+kind+")") ||
			!strings.Contains(out, `"lines":256,"issued":256,"refused":0,`) || strings.Contains(out, kind) {
			t.Fatalf("%s: exit code %d:\n%s%s", kind, code, out[max(0, len(out)-200):], stderr)
		}
		b.failAt = 0
		code, out, stderr = importing(t, b.URL, args...)
		if code != 0 || !strings.Contains(out, `"lines":344,"issued":344,"refused":0,"resumed_after":256,`) || b.lines.Load() != 600 {
			t.Errorf("%s: exit code %d, %d lines were issued:\n%s", kind, code, b.lines.Load(), stderr)
		}
	}
	b := newBusy(t, "1")
	b.failAt, b.failAs = 256, "invalid" // which is the line's own fault
	if code, out, stderr := importing(t, b.URL, "--json", numbered(t, 300)); code != 1 || !strings.Contains(out, `"lines":300,"issued":256,"refused":44,`) {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
}

// TestImportMemory: a large file takes no more memory than a small one.
func TestImportMemory(t *testing.T) {
	b := newBusy(t, "1")
	path := numbered(t, 60_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var stderr bytes.Buffer
	in, err := openInput(&env{stderr: &stderr}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	i := &importer{api: &api{account: account{server: b.URL, id: "c", secret: "s"}, scope: scopeLicenses, http: b.Client()},
		env: &env{stdout: io.Discard, stderr: &stderr}, in: in, begun: time.Now()}
	i.progress = newProgress(i.env)
	if err := i.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); i.done != 60_000 || grown > 4<<20 {
		t.Errorf("%d lines, %d bytes more are held", i.done, grown)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "1.5": 0, "soon": 0, "99999999999999": 0,
		"Sat, 28 Nov 2026 10:00:09 GMT": 9 * time.Second, "Sat, 28 Nov 2026 09:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}

// TestImportProgress draws a bar on a terminal only, and tells when the rest is done.
func TestImportProgress(t *testing.T) {
	var b bytes.Buffer
	in := &input{size: 1000, raw: &counting{n: 250}}
	i := &importer{env: &env{stderr: &b}, in: in, done: 10, refused: 1}
	now := time.Now()
	i.progress = &progress{env: i.env, begun: now.Add(-10 * time.Second), told: now.Add(-2 * time.Second)}
	i.progress.tell(i)
	i.progress.tell(i) // within the same second
	if got, want := b.String(), "signet: import: lines=10 issued=9 refused=1 rate=1/s percent=25 eta=30s\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	b.Reset()
	i.progress.terminal, i.progress.told = true, now.Add(-time.Second)
	i.progress.tell(i)
	i.progress.end(i)
	if !strings.HasPrefix(b.String(), "\r["+strings.Repeat("#", 7)+strings.Repeat(".", 23)+"] lines=10 ") ||
		!strings.HasSuffix(b.String(), " \rsignet: import: lines=10 issued=9 refused=1\n") {
		t.Errorf("drew %q", b.String())
	}
	in.size = 0 // nobody knows
	if text := bar(5, 0) + i.progress.pace(i, now); text != " rate=1/s" {
		t.Errorf("without a size: %q", text)
	}
}
