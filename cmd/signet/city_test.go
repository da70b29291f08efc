package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-city/signet/internal/db"
)

// TestCity runs testdata/city/*.txtar against a demo city in a process of its own:
// what an operator and an agency's clerk do on the command line. The scripts share
// the city, so each keeps to agencies, clients and licences of its own.
//
// $SIGNET_SERVER is its issuer, $DEMO_JSON its description, $DATA its directory,
// $SOON a day after a month.
// Three commands are added: let NAME MEMBER sets a variable to a member (a.b within a) of the JSON
// on the last standard output, now NAME sets one to the time, and until PATTERN COMMAND… repeats a command until
// its output matches, for what the service publishes a moment later.
func TestCity(t *testing.T) { scripts(t, "testdata/city") }

// TestRotation has a city of its own, whose issuing CAs and root change.
func TestRotation(t *testing.T) { scripts(t, "testdata/rotation") }

// TestGlass has a city of its own, whose officers are replaced.
func TestGlass(t *testing.T) { scripts(t, "testdata/glass") }

// scripts runs the scripts of a directory against one city.
func scripts(t *testing.T, dir string) {
	data := t.TempDir()
	server, demo, _ := startDemo(t, data)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"let": let, "until": until, "now": now},
		Setup: func(env *testscript.Env) error {
			env.Setenv("SIGNET_SERVER", server)
			env.Setenv("DEMO_JSON", demo)
			env.Setenv("DATA", data)
			env.Setenv("SOON", time.Now().AddDate(0, 0, 30).Format(time.DateOnly))
			return nil
		},
	})
}

// TestAuditVerifyNamesTheEvent edits an event behind the service's back.
func TestAuditVerifyNamesTheEvent(t *testing.T) {
	data := t.TempDir()
	_, _, stop := startDemo(t, data)
	stop()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(data, "signet.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var event string
	err = d.Update(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `UPDATE audit_events SET object = 'firm:nobody'
			WHERE id = (SELECT min(id) FROM audit_events WHERE kind = 'registry.firm.add') RETURNING id`).Scan(&event)
	})
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := report(&stderr, run(t.Context(), []string{"audit", "verify", "--data", data}, nil, &stdout, &stderr, nil))
	want := regexp.MustCompile(`^edited ` + event + `\naudit: size=[0-9]+ problems=1\n$`)
	if code != 1 || !want.MatchString(stdout.String()) {
		t.Errorf("exit code %d, output %q, want 1 and %s\n%s", code, stdout.String(), want, stderr.String())
	}
}

// TestCityOverTLS speaks to a city whose certificate only its own root vouches for.
func TestCityOverTLS(t *testing.T) {
	data := t.TempDir()
	server, demo, _ := startDemo(t, data, "--https")
	secret := filepath.Join(t.TempDir(), "credentials.json")
	for _, c := range []struct {
		name string
		args []string
		code int
		want string // on standard error
	}{
		{"all from demo.json", []string{"client", "add", "--demo", demo, "--name", "x", "--scope", "registry", "--out", secret}, 0, `^$`},
		{"root named", []string{"registry", "firm", "list", "--server", server, "--credentials", secret, "--ca-file", filepath.Join(data, "public", "root.pem")}, 0, `^$`},
		{"root not named", []string{"registry", "firm", "list", "--server", server, "--credentials", secret}, 1, `hint: name the city's root certificate with --ca-file\n$`},
		{"no root in the file", []string{"registry", "firm", "list", "--server", server, "--credentials", secret, "--ca-file", secret}, 1, `holds no certificate in PEM\n$`},
		{"issuer by another name", []string{"registry", "firm", "list", "--server", strings.Replace(server, "localhost", "127.0.0.1", 1),
			"--credentials", secret, "--ca-file", filepath.Join(data, "public", "root.pem")}, 1, `hint: give --server exactly as the city's issuer is written\n$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := report(&stderr, run(t.Context(), c.args, nil, &stdout, &stderr, nil))
			if code != c.code || !regexp.MustCompile(c.want).MatchString(stderr.String()) {
				t.Errorf("exit code %d, want %d; standard error does not match %s:\n%s", code, c.code, c.want, stderr.String())
			}
		})
	}
}

// TestImportResumes stops the city in the middle of an import. Importing again gives
// every line its licence, those that were answered the same as before.
func TestImportResumes(t *testing.T) {
	const lines = 3 * importLines
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "lines.ndjson")
	var b bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&b, `{"key":"resume-%d","type":"teacher","holder":{"resident":"990101198503120117"},"data":{"kind":"小学教师资格","subject":"语文","granted":"2026-09-01"},"not_after":"2036-08-31"}`+"\n", i)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, demo, stop := startDemo(t, data)
	args := []string{"license", "import", "--demo", demo, "--agency", "jiangcheng-edu", file}
	var first, second, stderr bytes.Buffer
	code := report(&stderr, run(t.Context(), args, nil, &stopping{Writer: &first, stop: stop}, &stderr, nil))
	if code != 1 || !strings.Contains(stderr.String(), "hint: run the same command again") {
		t.Fatalf("exit code %d:\n%s", code, stderr.String())
	}
	startDemo(t, data)
	stderr.Reset()
	if code := report(&stderr, run(t.Context(), args, nil, &second, &stderr, nil)); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr.String())
	}
	answered := bytes.Count(first.Bytes(), []byte("\n"))
	if answered == 0 || answered >= lines || !bytes.HasPrefix(second.Bytes(), first.Bytes()) {
		t.Errorf("%d lines were answered before the stop, and not the same afterwards", answered)
	}
	ids := map[string]bool{}
	for line := range strings.Lines(second.String()) {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.Permit == "" {
			t.Fatalf("line %q: %v", line, err)
		}
		ids[o.ID] = true
	}
	if len(ids) != lines {
		t.Errorf("%d licences for %d lines", len(ids), lines)
	}
}

// stopping calls stop when the first result is written.
type stopping struct {
	io.Writer
	stop func()
}

func (s *stopping) Write(b []byte) (int, error) {
	s.stop()
	return s.Writer.Write(b)
}

// startDemo makes or opens the demo city in a directory and waits until it is ready.
// It ends with the test, or with stop.
func startDemo(t *testing.T, data string, flags ...string) (server, demo string, stop func()) {
	t.Helper()
	// Not the test's context: it is cancelled before the cleanup that ends the city.
	ctx, cancel := context.WithCancel(context.Background())
	args := append([]string{"demo", "--data", data}, flags...)
	if _, err := os.Stat(filepath.Join(data, "demo.json")); err != nil { // its ports are not fixed yet
		args = append(args, "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-mtls", "127.0.0.1:0", "--listen-debug", "127.0.0.1:0")
	}
	c := exec.CommandContext(ctx, "signet", args...)
	c.Stderr = t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	stop = sync.OnceFunc(func() {
		defer cancel()
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("the demo city ended with %v", err)
		}
	})
	t.Cleanup(stop)
	fields := strings.Fields(line)
	if err != nil || len(fields) != 3 || fields[0] != "ready" {
		t.Fatalf("the demo city said %q: %v", line, err)
	}
	return fields[1], fields[2], stop
}

// let is the script command let.
func let(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: let NAME MEMBER")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	path := strings.Split(args[1], ".")
	for _, name := range path[:len(path)-1] {
		object, _ = object[name].(map[string]any)
	}
	value, ok := object[path[len(path)-1]].(string)
	if !ok {
		ts.Fatalf("the last output has no member %s", args[1])
	}
	ts.Setenv(args[0], value)
}

// now is the script command now.
func now(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: now NAME")
	}
	ts.Setenv(args[0], time.Now().UTC().Format(time.RFC3339))
}

// until is the script command until.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND…")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		c := exec.Command(args[1], args[2:]...)
		c.Dir = ts.MkAbs(".")
		out, _ := c.Output() // verify has exit codes that are no failure of this command
		if pattern.Match(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never matched %s:\n%s", args[0], out)
		}
	}
}
