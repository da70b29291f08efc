package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
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
// $SIGNET_SERVER is its issuer, $DEMO_JSON its description, $DATA its directory.
// Two commands are added: let NAME MEMBER sets a variable to a member of the JSON
// on the last standard output, and until PATTERN COMMAND… repeats a command until
// its output matches, for what the service publishes a moment later.
func TestCity(t *testing.T) {
	server, demo, data, _ := startDemo(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/city",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"let": let, "until": until},
		Setup: func(env *testscript.Env) error {
			env.Setenv("SIGNET_SERVER", server)
			env.Setenv("DEMO_JSON", demo)
			env.Setenv("DATA", data)
			return nil
		},
	})
}

// TestAuditVerifyNamesTheEvent edits an event behind the service's back.
func TestAuditVerifyNamesTheEvent(t *testing.T) {
	_, _, data, stop := startDemo(t)
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

// startDemo starts signet demo and waits until it is ready. It ends with the test,
// or with stop.
func startDemo(t *testing.T) (server, demo, data string, stop func()) {
	t.Helper()
	data = t.TempDir()
	// Not the test's context: it is cancelled before the cleanup that ends the city.
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "signet", "demo", "--data", data, "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0",
		"--listen-mtls", "127.0.0.1:0", "--listen-debug", "127.0.0.1:0")
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
	return fields[1], fields[2], data, stop
}

// let is the script command let.
func let(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: let NAME MEMBER")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	value, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("the last output has no member %s", args[1])
	}
	ts.Setenv(args[0], value)
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
