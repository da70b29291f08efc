package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/testkit"
)

var (
	signet string // the program under test
	seed   = flag.Uint64("seed", 0, "what the moments of kills are drawn from; 0 draws one")
)

// server is the PostgreSQL server that the first test in need of it starts.
var server struct {
	once      sync.Once
	pg        *testkit.Postgres
	err       error
	databases atomic.Int64
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "signet-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	signet = filepath.Join(dir, "signet")
	build := exec.Command("go", "build", "-o", signet, "../../cmd/signet")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build signet:", err)
		return 1
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	defer func() {
		if server.pg != nil {
			server.pg.Stop()
		}
	}()
	return m.Run()
}

// engines runs f on both engines. database makes an empty database and returns its
// URL, "" for a SQLite file in the city's directory.
func engines(t *testing.T, f func(t *testing.T, database func(t *testing.T) string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, func(*testing.T) string { return "" }) })
	t.Run("postgres", func(t *testing.T) { f(t, postgresURL) })
}

func postgresURL(t *testing.T) string {
	t.Helper()
	server.once.Do(func() { server.pg, server.err = testkit.StartPostgres() })
	if server.err != nil {
		t.Skipf("PostgreSQL: %v", server.err)
	}
	name := fmt.Sprintf("e2e_%d", server.databases.Add(1))
	if err := server.pg.NewDatabase(name); err != nil {
		t.Fatal(err)
	}
	return server.pg.URL(name)
}

// result is how a command ended.
type result struct {
	out, err string
	code     int
}

// last returns the last line of standard output.
func (r result) last() string {
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	return lines[len(lines)-1]
}

// run runs the program to its end, which is not to take two minutes.
func run(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return finish(t, exec.CommandContext(ctx, signet, args...))
}

// finish runs any command to its end.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{out.String(), said.String(), cmd.ProcessState.ExitCode()}
}

// must runs the program and returns its output if the exit code is 0.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := run(t, args...)
	if r.code != 0 {
		t.Fatalf("signet %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// on returns the flag for a database, nothing for the one in the directory.
func on(database string) []string {
	if database == "" {
		return nil
	}
	return []string{"--database", database}
}

// tool returns a program of the system, or skips.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	return path
}

// served is a demo city that a process of ours serves.
type served struct {
	city.Demo
	file string // demo.json
	cmd  *exec.Cmd
	said *bytes.Buffer // standard error, to be read once the process has ended
	done bool
}

// anyPort makes a fresh demo city listen on free ports.
var anyPort = []string{"--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-mtls", "127.0.0.1:0", "--listen-debug", "127.0.0.1:0"}

// samePorts opens a city where it was made: only the debug port is free.
var samePorts = anyPort[6:]

// demo serves the demo city in dir until the test ends or stop is called.
func demo(t *testing.T, dir string, flags ...string) *served {
	t.Helper()
	s := &served{said: &bytes.Buffer{}}
	s.cmd = exec.Command(signet, append([]string{"demo", "--data", dir}, flags...)...)
	s.cmd.Stderr = s.said
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.done {
			s.stop(t)
		}
	})
	lines := bufio.NewReader(out)
	hung := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
	first, err := lines.ReadString('\n')
	hung.Stop()
	fields := strings.Fields(first)
	if err != nil || len(fields) != 3 || fields[0] != "ready" {
		_ = s.cmd.Wait()
		s.done = true
		t.Fatalf("the demo said %q (%v), want ready ISSUER DEMO_JSON\n%s", first, err, s.said)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // what else it says is for people
	s.file = fields[2]
	if err := json.Unmarshal(read(t, s.file), &s.Demo); err != nil {
		t.Fatal(err)
	}
	if s.Issuer != fields[1] {
		t.Errorf("issuer %s in demo.json, %s said", s.Issuer, fields[1])
	}
	return s
}

// stop ends the demo as a service manager does and checks that it leaves in order.
func (s *served) stop(t *testing.T) {
	t.Helper()
	s.done = true
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop the demo: %v", err)
	}
	hung := time.AfterFunc(40*time.Second, func() { _ = s.cmd.Process.Kill() })
	err := s.cmd.Wait()
	hung.Stop()
	if err != nil {
		t.Errorf("the demo ended with %v\n%s", err, s.said)
	}
	if strings.Contains(s.said.String(), "level=ERROR") {
		t.Errorf("the demo logged an error\n%s", s.said)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const agency = "donghu-amr"

const licenseRequest = `{"type":"food-business","holder":{"uscc":"91990101MA1F001175"},"data":{"trade_name":"湖畔小馆","premises":"江城市东湖区湖滨路20号",
"legal_representative":"林若川","category":"餐饮服务经营者","scope":"热食类食品制售","seats":40,"area_m2":120,"supervisor":"周予安","online":"否"},"not_before":"","not_after":""}`

// license is what the tests look at of one.
type license struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Permit string `json:"permit"`
}

// issue issues a licence through the command line.
func (s *served) issue(t *testing.T) license {
	t.Helper()
	request := write(t, filepath.Join(t.TempDir(), "request.json"), []byte(licenseRequest))
	return s.license(t, "issue", request)
}

// license runs a command of signet license that prints one.
func (s *served) license(t *testing.T, args ...string) license {
	t.Helper()
	var l license
	out := must(t, append(append([]string{"license"}, args...), "--demo", s.file, "--agency", agency, "--json")...)
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatal(err)
	}
	if l.ID == "" || l.Permit == "" {
		t.Fatalf("no licence in %s", out)
	}
	return l
}
