package main

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/verify/trust"
)

// ran is what a run of the program came to.
type ran struct {
	code           int
	stdout, stderr string
}

func runSignet(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := report(&stderr, run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr, nil))
	return ran{code, stdout.String(), stderr.String()}
}

// logCity is a demo city that was stopped and whose log is sealed, and one of its
// events.
func logCity(t *testing.T) (data, event string) {
	t.Helper()
	data = t.TempDir()
	_, _, stop := startDemo(t, data)
	stop()
	c, err := city.Open(t.Context(), city.Options{Where: city.Where{Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	_, sealErr := c.Log.Seal(t.Context())
	err = c.DB.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT min(id) FROM audit_events WHERE kind = 'registry.firm.add'`).Scan(&event)
	})
	if err := errors.Join(sealErr, err, c.Close()); err != nil {
		t.Fatal(err)
	}
	return data, event
}

// logKeys returns --vkey for each key that a city's log may have, from its bundle.
func logKeys(t *testing.T, bundle, proof string) (flags []string) {
	t.Helper()
	b, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := trust.ParseBundle(b)
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.ParseRoot(parsed.Root)
	if err != nil {
		t.Fatal(err)
	}
	_, checkpoint, _ := strings.Cut(proof, "\n\n")
	origin, _, _ := strings.Cut(checkpoint, "\n")
	for _, s := range root.Log {
		public, err := trust.ParsePublic(s.Alg, s.Public)
		if err != nil {
			t.Fatal(err)
		}
		key, err := keys.VerifierKey(origin, public)
		if err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--vkey", key)
	}
	return flags
}

func TestAuditProof(t *testing.T) {
	data, event := logCity(t)
	public := filepath.Join(data, "public")
	made := runSignet(t, "", "audit", "proof", event, "--data", data)
	if made.code != 0 || !strings.HasPrefix(made.stdout, "c2sp.org/tlog-proof@v1\nextra ") || made.stderr != "" {
		t.Fatalf("%+v", made)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "event.tlog-proof")
	forged := filepath.Join(dir, "forged")
	other := filepath.Join(dir, "other.pem")
	index := regexp.MustCompile(`index (\d+)`).FindStringSubmatch(made.stdout)[1]
	writeFixture(t, dir)
	for name, text := range map[string]string{file: made.stdout, forged: strings.Replace(made.stdout, "index "+index, "index 0", 1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "otherroot.pem"), other); err != nil {
		t.Fatal(err)
	}
	root, bundle := filepath.Join(public, "root.pem"), filepath.Join(public, "bundle.cbor")
	good := `(?s)^event: ` + event + `\nseq: ` + index + `\nat: .*kind: registry\.firm\.add\nactor: .*log: localhost[:0-9]*/log\nsize: \d+\nwitnesses: 0\n$`
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"against the root", []string{"--check", file, "--root", root, "--trust", bundle}, 0, good, `^$`},
		{"against a city's directory", []string{"--check", file, "--data", data}, 0, good, `^$`},
		{"against the log's key", append([]string{"--check", file}, logKeys(t, bundle, made.stdout)...), 0, good, `^$`},
		{"from standard input", []string{"--check", "-", "--data", data}, 0, good, `^$`},
		{"in JSON", []string{"--check", file, "--data", data, "--json"}, 0, `^{"event":"` + event + `","seq":` + index + `,.*"kind":"registry.firm.add"`, `^$`},
		{"forged", []string{"--check", forged, "--data", data}, 1, `^$`, `does not lead from this event`},
		{"another root", []string{"--check", file, "--root", other, "--trust", bundle}, 1, `^$`, `check proof: open root statement`},
		{"no key at all", []string{"--check", file, "--vkey", "localhost/log+5896c9ef+AUQpkwZQBKoeTEj03QFYGUwCNJvMZkzZbkAOommRio1R"}, 1, `^$`, `no key of a log`},
		{"another key", []string{"--check", file, "--vkey", "example.org/log+5896c9ef+AUQpkwZQBKoeTEj03QFYGUwCNJvMZkzZbkAOommRio1R"}, 1, `^$`, `not signed by a known key`},
		{"no witness has signed", []string{"--check", file, "--data", data, "--witness", "w.example/1+e49b0a06+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"}, 1, `^$`, `is not cosigned by w\.example/1`},
		{"no proof", []string{"--check", root, "--data", data}, 1, `^$`, `this is no proof`},
		{"not there", []string{"--check", filepath.Join(dir, "nothing"), "--data", data}, 1, `^$`, `no such file`},
		{"no key", []string{"--check", file}, 2, `^$`, `hint: give --vkey, or --root and --trust`},
		{"root alone", []string{"--check", file, "--root", root}, 2, `^$`, `hint: give --trust`},
		{"trust alone", []string{"--check", file, "--trust", bundle}, 2, `^$`, `without --root`},
		{"root not there", []string{"--check", file, "--root", filepath.Join(dir, "nothing"), "--trust", bundle}, 2, `^$`, `no such file`},
		{"event and file", []string{event, "--check", file}, 2, `^$`, `not both`},
		{"neither", nil, 2, `^$`, `which event`},
		{"two events", []string{event, event}, 2, `^$`, `accepts at most 1`},
		{"key without check", []string{event, "--data", data, "--vkey", "x"}, 2, `^$`, `--vkey goes with --check`},
		{"unknown event", []string{"nobody", "--data", data}, 1, `^$`, `no such event`},
		{"certificate that was never issued", []string{"sha256:" + strings.Repeat("0", 64), "--data", data}, 1, `^$`, `no such event`},
		{"no city", []string{event, "--data", dir}, 1, `^$`, `.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runSignet(t, made.stdout, append([]string{"audit", "proof"}, c.args...)...)
			if r.code != c.code || !regexp.MustCompile(c.stdout).MatchString(r.stdout) || !regexp.MustCompile(c.stderr).MatchString(r.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", r.code, c.code, r.stdout, r.stderr)
			}
		})
	}
	asJSON := runSignet(t, "", "audit", "proof", event, "--data", data, "--json")
	var view struct {
		Event string `json:"event"`
		Proof string `json:"proof"`
		Seq   int64  `json:"seq"`
		Size  int64  `json:"size"`
	}
	if err := json.Unmarshal([]byte(asJSON.stdout), &view); err != nil || view.Event != event || view.Proof != made.stdout {
		t.Errorf("in JSON: %+v: %v", asJSON, err)
	}
}

// exportTokens lets one program export.
type exportTokens struct{}

func (exportTokens) CheckToken(_ context.Context, token string) (web.Caller, error) {
	if token != "good" {
		return web.Caller{}, fault.New(fault.Denied, "no")
	}
	return web.Caller{ClientID: "desk", Scopes: []string{audit.Scope}}, nil
}

// exportServer serves the log of a city beside a token endpoint that gives out token.
func exportServer(t *testing.T, c *city.City, token string, cut bool) (server string) {
	t.Helper()
	mux := http.NewServeMux()
	c.Log.MountExport(mux, exportTokens{}, nil)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.MarshalWrite(w, map[string]string{"issuer": server, "token_endpoint": server + "/token"})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("scope") != "audit" {
			http.Error(w, "scope", http.StatusBadRequest)
			return
		}
		_ = json.MarshalWrite(w, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 60})
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cut && strings.HasPrefix(r.URL.Path, "/log/") {
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, r)
			_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	server = s.URL
	return server
}

func TestAuditExport(t *testing.T) {
	data, _ := logCity(t)
	c, err := city.Open(t.Context(), city.Options{Where: city.Where{Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	secret := filepath.Join(dir, "credentials.json")
	if err := os.WriteFile(secret, []byte(`{"client_id":"desk","client_secret":"secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exportServer(t, c, "good", false)
	export := func(server string, args ...string) ran {
		t.Helper()
		return runSignet(t, "", append([]string{"audit", "export", "--server", server, "--credentials", secret}, args...)...)
	}
	all := export(server)
	if all.code != 0 || !regexp.MustCompile(`^signet: export: events=\d+ from=0 to=\d+ erased=0 size=\d+ whole=true\n$`).MatchString(all.stderr) {
		t.Fatalf("exit code %d\n%s", all.code, all.stderr)
	}
	some := export(server, "--from", "3", "--to", "5")
	if some.code != 0 || strings.Count(some.stdout, "\n") != 4 || !strings.Contains(all.stdout, some.stdout[:strings.Index(some.stdout, `{"checkpoint"`)]) {
		t.Errorf("a part of it: %+v", some)
	}
	file := filepath.Join(dir, "events.ndjson")
	kept := export(server, "-o", file, "--json")
	if kept.code != 0 || !regexp.MustCompile(`^{"events":\d+,"from":0,"to":\d+,"erased":0,"log":"localhost[:0-9]*/log","size":\d+,"whole":true}\n$`).MatchString(kept.stdout) {
		t.Errorf("into a file: %+v", kept)
	}
	b, err := os.ReadFile(file)
	if info, statErr := os.Stat(file); err != nil || statErr != nil || info.Mode().Perm() != 0o600 || string(b) != all.stdout {
		t.Errorf("the file is not the export, or others may read it: %v", err)
	}
	if again := export(server, "-o", file); again.code != 1 || again.stdout != "" {
		t.Errorf("over a file that is there: %+v", again)
	}
	if b2, err := os.ReadFile(file); err != nil || !bytes.Equal(b, b2) {
		t.Errorf("the file that was there: %v", err)
	}
	for name, r := range map[string]ran{
		"cut off":         export(exportServer(t, c, "good", true), "-o", filepath.Join(dir, "cut")),
		"not allowed":     export(exportServer(t, c, "bad", false), "-o", filepath.Join(dir, "denied")),
		"beyond the end":  export(server, "--from", "999999", "-o", filepath.Join(dir, "beyond")),
		"nobody is there": export("http://127.0.0.1:1", "-o", filepath.Join(dir, "nobody")),
	} {
		if r.code != 1 || r.stdout != "" || r.stderr == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 2 {
		t.Errorf("what failed left files: %v, %v", left, err)
	}
	for _, args := range [][]string{{"--from", "-1"}, {"--from", "5", "--to", "4"}, {"--to", "-1"}, {"--from", "x"}, {"x"}} {
		if r := export(server, args...); r.code != 2 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
