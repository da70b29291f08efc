package config_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-city/signet/config"
)

// values compares configurations without where their values came from.
var values = cmpopts.IgnoreUnexported(config.Config{})

func TestSamplesLoadAndPrintBack(t *testing.T) {
	samples, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(samples) < 3 {
		t.Fatalf("samples %v, %v", samples, err)
	}
	for _, path := range samples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := config.Load(path, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
			var printed bytes.Buffer
			if err := c.Print(&printed); err != nil {
				t.Fatal(err)
			}
			again, err := config.Load(write(t, printed.String()), nil, nil)
			if err != nil {
				t.Fatalf("what print wrote: %v\n%s", err, &printed)
			}
			if diff := cmp.Diff(c, again, values); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	want := config.Config{
		Data: "/var/lib/signet", Database: "sqlite:/var/lib/signet/signet.db", Issuer: "http://localhost:8080",
		Listen: ":8443", ListenHTTP: ":8080", ListenMTLS: ":8444", ListenDebug: "127.0.0.1:9090",
		KEKFile: "/var/lib/signet/kek", RootKeyFile: "/var/lib/signet/root.key",
		Log:    config.Log{Level: "info", Format: "text"},
		Trust:  config.Trust{BundleLife: 336 * time.Hour, SnapshotLife: 72 * time.Hour, HeadLife: 24 * time.Hour},
		CA:     config.CA{CRLLife: 96 * time.Hour, Backdate: 5 * time.Minute},
		PKCS11: config.PKCS11{Concurrent: 4},
		Site:   config.Site{NameZH: "一网通办", NameEN: "City services"},
		Limits: config.Limits{BodyBytes: 8 << 20, BatchLines: 10_000},
	}
	got, err := config.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, values); diff != "" {
		t.Error(diff)
	}
	if err := (config.Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

func TestDefaultsFollowOtherFields(t *testing.T) {
	credentials := t.TempDir()
	c, err := config.Load("", []string{"CREDENTIALS_DIRECTORY=" + credentials}, map[string]string{"data": "/d", "listen-http": "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Database != "sqlite:/d/signet.db" || c.KEKFile != "/d/kek" || c.RootKeyFile != "/d/root.key" || c.Issuer != "" {
		t.Errorf("%+v", c)
	}
	if err := os.WriteFile(filepath.Join(credentials, "kek"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = config.Load("", []string{"CREDENTIALS_DIRECTORY=" + credentials}, nil)
	if err != nil || c.KEKFile != filepath.Join(credentials, "kek") {
		t.Errorf("credential: %q, %v", c.KEKFile, err)
	}
}

func TestLaterSourcesAreStronger(t *testing.T) {
	path := write(t, "listen: :1001\nlisten_http: :1002\nlisten_mtls: :1003\ntrust:\n  head_life: 1h\n")
	environ := []string{"SIGNET_LISTEN_HTTP=:2002", "SIGNET_LISTEN_MTLS=:2003", "SIGNET_TRUST_HEAD_LIFE=2h", "PATH=/bin",
		"SIGNET_LIMITS_BATCH_LINES=7", "SIGNET_PORT_8443_TCP=tcp://10.0.0.1:8443", "SIGNET_SERVICE_HOST=10.0.0.1"}
	c, err := config.Load(path, environ, map[string]string{"listen-mtls": ":3003"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ key, got, want, source string }{
		{"listen", c.Listen, ":1001", "file " + path},
		{"listen_http", c.ListenHTTP, ":2002", "environment SIGNET_LISTEN_HTTP"},
		{"listen_mtls", c.ListenMTLS, ":3003", "flag --listen-mtls"},
		{"trust.head_life", c.Trust.HeadLife.String(), "2h0m0s", "environment SIGNET_TRUST_HEAD_LIFE"},
		{"listen_debug", c.ListenDebug, "127.0.0.1:9090", "default"},
	} {
		if tt.got != tt.want || c.SourceOf(tt.key) != tt.source {
			t.Errorf("%s = %q from %q, want %q from %q", tt.key, tt.got, c.SourceOf(tt.key), tt.want, tt.source)
		}
	}
	if c.Limits.BatchLines != 7 {
		t.Errorf("batch lines %d", c.Limits.BatchLines)
	}
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"listen_mtls: \":3003\" # flag --listen-mtls\n", "  head_life: 2h0m0s # environment SIGNET_TRUST_HEAD_LIFE\n", "  # module: not set\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("print lacks %q:\n%s", line, &b)
		}
	}
}

func TestLoadReportsEveryProblemAtOnce(t *testing.T) {
	path := write(t, `
isuer: https://id.example
listen: 8443
log: verbose
trust:
  bundel_life: 3h
  snapshot_life: 5
limits:
  batch_lines: many
database: mysql://x
`)
	_, err := config.Load(path, []string{"SIGNET_LISTEN_HTPP=:1"}, map[string]string{"listen-debug": "0.0.0.0:9090", "databse": "x"})
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{
		"isuer is not known: did you mean issuer? (file " + path + ")",
		"listen must be text: put it in quotes (file " + path + ")",
		"log is a section: put its fields below it (file " + path + ")",
		"trust.bundel_life is not known: did you mean trust.bundle_life? (file " + path + ")",
		"trust.snapshot_life must be a duration such as 90m or 72h (file " + path + ")",
		"limits.batch_lines must be a whole number (file " + path + ")",
		"database must be sqlite:PATH or postgres://… (file " + path + ")",
		"SIGNET_LISTEN_HTPP is not known: did you mean SIGNET_LISTEN_HTTP? (environment)",
		"--databse is not known: did you mean --database? (flag)",
		"listen_debug must have a loopback host, such as 127.0.0.1: profiles show memory (flag --listen-debug)",
	} {
		if !strings.Contains(err.Error()+"\n", want+"\n") {
			t.Errorf("lacks %q", want)
		}
	}
	if len(problems) != 10 || t.Failed() {
		t.Errorf("%d problems:\n%v", len(problems), err)
	}
}

func TestLoadIsStrictAboutTheFile(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"duplicate key", "listen: a\nlisten: b\n", "already defined"},
		{"key with a dot", "trust.head_life: 1h\n", "trust.head_life is not known"},
		{"second document", "listen: :1\n---\nlisten: :2\n", "more than one YAML document"},
		{"second document after a mark", "---\nlisten: :1\n...\nx: 1\n", "more than one YAML document"},
		{"list", "- listen\n", "is not a YAML map"},
		{"number as key", "trust:\n  1: 2\n", "trust.1 is not known"},
		{"field as section", "listen:\n  host: x\n", "listen must be text"},
		{"empty field", "listen:\n", "listen is empty"},
		{"zero", "limits:\n  batch_lines: 0\n", "limits.batch_lines is empty"},
		{"broken", "listen: [\n", "is not a YAML map"},
		{"nothing near", "zzzzzzzzzzzz: 1\n", "zzzzzzzzzzzz is not known ("},
		{"fraction", "limits:\n  batch_lines: 1.5\n", "must be a whole number"},
		{"word for a yes", "egress:\n  allow_private_addresses_insecure: \"true\"\n", "must be true or false"},
		{"number for a yes", "egress:\n  allow_private_addresses_insecure: 1\n", "must be true or false"},
		{"control character", "kek_file: \"a\\nb\"\n", "kek_file holds a character that cannot be printed"},
		{"line separator", "kek_file: \"a\\u2028b\"\n", "kek_file holds a character that cannot be printed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Load(write(t, tt.yaml), nil, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoadAcceptsMarksAndEmptySections(t *testing.T) {
	c, err := config.Load(write(t, "# mine\n---\nlisten: :1\ntrust:\n#  head_life: 1h\n"), nil, nil)
	if err != nil || c.Listen != ":1" {
		t.Errorf("%q, %v", c.Listen, err)
	}
}

func TestLoadBoundsAndMissingFiles(t *testing.T) {
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := config.Load(write(t, strings.Repeat("#", 1<<20+1)), nil, nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("huge file: %v", err)
	}
	if _, err := config.Load(write(t, "0123456789abcdef-the-secret-itself"), nil, nil); err == nil || strings.Contains(err.Error(), "0123") {
		t.Errorf("a secret taken for the file: %v", err)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct{ name, key, value, want string }{ // want "": good
		{"https", "issuer", "https://id.example", ""},
		{"https and port", "issuer", "https://id.example:8443", ""},
		{"localhost", "issuer", "http://localhost:8080", ""},
		{"loopback IPv6", "issuer", "http://[::1]:8080", ""},
		{"plain http", "issuer", "http://id.example", "plain http is for loopback hosts only"},
		{"lookalike of localhost", "issuer", "http://localhost.evil.example", "plain http is for loopback hosts only"},
		{"trailing slash", "issuer", "https://id.example/", "no path"},
		{"path", "issuer", "https://id.example/oidc", "no path"},
		{"query", "issuer", "https://id.example?a=b", "no path"},
		{"empty query", "issuer", "https://id.example?", "no path"},
		{"fragment", "issuer", "https://id.example#a", "no path"},
		{"empty fragment", "issuer", "https://id.example#", "no path"},
		{"user", "issuer", "https://u:p@id.example", "must not hold a user"},
		{"capitals", "issuer", "https://ID.example", "lower case"},
		{"capital scheme", "issuer", "HTTPS://id.example", "lower case"},
		{"own port", "issuer", "https://id.example:443", "its scheme's own port"},
		{"port with zeros", "issuer", "https://id.example:08443", "own port"},
		{"great port", "issuer", "https://id.example:65536", "own port"},
		{"no host", "issuer", "https://", "must be a URL"},
		{"empty port", "issuer", "https://id.example:", "lower case"},
		{"no scheme", "issuer", "id.example", "must be a URL"},
		{"another scheme", "issuer", "ftp://id.example", "must begin with https://"},
		{"sqlite", "database", "sqlite:x.db", ""},
		{"sqlite without path", "database", "sqlite:", "plain path"},
		{"sqlite with options", "database", "sqlite:x.db?mode=rw", "plain path"},
		{"postgres by socket", "database", "postgres:///signet?host=/run/postgresql", ""},
		{"postgres password", "database", "postgres://u:hunter2@h/d", "holds a password"},
		{"postgres password below", "database", "postgres://u@h/d?password=hunter2", "holds a password"},
		{"postgres without slashes", "database", "postgres:x", "must be sqlite"},
		{"port picked", "listen", "127.0.0.1:0", ""},
		{"no port", "listen", "127.0.0.1", "must be host:port"},
		{"named port", "listen", ":https", "port from 0"},
		{"great listen port", "listen", ":65536", "port from 0"},
		{"taken port", "listen_mtls", ":8443", "has the port of listen"},
		{"debug by IPv6", "listen_debug", "[::1]:9090", ""},
		{"debug everywhere", "listen_debug", ":9090", "loopback"},
		{"debug by name", "listen_debug", "localhost:9090", ""},
		{"half of pkcs11", "pkcs11.token", "city", "all of its fields"},
		{"half of tls", "tls.cert_file", "x.pem", "all of its fields"},
		{"level", "log.level", "loud", "must be one of debug, info, warn, error"},
		{"format", "log.format", "xml", "must be one of text, json"},
		{"bundle too long", "trust.bundle_life", "2161h", "must be from 1s to 2160h"},
		{"negative", "trust.head_life", "-1h", "must be from 1s"},
		{"parts of a second", "trust.head_life", "1500ms", "whole seconds"},
		{"head outlives snapshot", "trust.head_life", "73h", "must not be longer than trust.snapshot_life"},
		{"bundle shorter than snapshot", "trust.bundle_life", "71h", "must not be longer than trust.bundle_life"},
		{"crl too long", "ca.crl_life", "241h", "must be from 1m"},
		{"backdated too far", "ca.backdate", "61m", "must be from 1s to 1h"},
		{"backdated into the future", "ca.backdate", "-1m", "must be from 1s to 1h"},
		{"small body", "limits.body_bytes", "4095", "must be from 4096"},
		{"root beside kek", "root_key_file", "/var/lib/signet/./kek", "same file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Load("", nil, map[string]string{tt.key: tt.value})
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

// TestEveryFieldIsDocumented holds that each field says what it means, its
// default and its danger.
func TestEveryFieldIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		s, ok := node.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			if !f.Names[0].IsExported() {
				continue
			}
			n++
			if doc := f.Doc.Text(); !strings.Contains(doc, "Default: ") || !strings.Contains(doc, "Danger: ") {
				t.Errorf("%s: the comment states no default or no danger", f.Names[0])
			}
		}
		return true
	})
	if n < 25 {
		t.Errorf("only %d fields seen", n)
	}
}

func FuzzLoad(f *testing.F) {
	samples, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range samples {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("trust: {bundle_life: 1h, 2: 3}\n---\n")
	f.Add("a: &a [*a]\n")
	path := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, yaml string) {
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path, nil, nil)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := c.Print(&b); err != nil {
			t.Fatal(err)
		}
		again, err := config.Load(write(t, b.String()), nil, nil)
		if err != nil {
			t.Fatalf("what print wrote: %v\n%s", err, &b)
		}
		if diff := cmp.Diff(c, again, values); diff != "" {
			t.Error(diff)
		}
	})
}

// write writes a file for one test.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signet.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
