package rp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json/v2"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signet-city/signet/cmd/visitor"
)

// bin is the folder of the program under test.
var bin string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "signet-rp-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "signet"), "../../cmd/signet")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build signet:", err)
		return 1
	}
	bin = dir
	return m.Run()
}

// developer is a developer with an empty folder, a demo city and a free port.
type developer struct {
	dir, issuer, demo, address string
}

func newDeveloper(t *testing.T, tools ...string) *developer {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: %v", tool, err)
		}
	}
	d := &developer{dir: t.TempDir()}
	cmd := exec.Command(filepath.Join(bin, "signet"), "demo", "--data", filepath.Join(t.TempDir(), "city"),
		"--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-mtls", "127.0.0.1:0", "--listen-debug", "127.0.0.1:0")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if strings.Contains(said.String(), "level=ERROR") {
			t.Errorf("the demo logged an error\n%s", &said)
		}
	})
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	fields := strings.Fields(first)
	if err != nil || len(fields) != 3 || fields[0] != "ready" {
		t.Fatalf("the demo said %q (%v)", first, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	d.issuer, d.demo = fields[1], fields[2]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	_ = l.Close()
	return d
}

// own puts this developer's addresses where the page has those of everybody's machine.
func (d *developer) own(text string) string {
	return strings.NewReplacer("127.0.0.1:8000", d.address, "http://localhost:8080", d.issuer, "build/demo/demo.json", d.demo).Replace(text)
}

// shell is a command that runs a script in the developer's folder.
func (d *developer) shell(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-c", d.own(script))
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GOFLAGS=-mod=mod", "GOWORK=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// unreachable is how npm and go say that there is no network, and nothing else.
var unreachable = regexp.MustCompile(`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|dial tcp`)

// follow does what the page says under a heading: writes its files and runs its scripts.
// It returns how to stop the program that serves.
func (d *developer) follow(t *testing.T, list []block) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	stop = cancel
	for _, b := range list {
		switch {
		case b.kind != "sh":
			if err := os.WriteFile(filepath.Join(d.dir, b.name), []byte(d.own(b.text)), 0o600); err != nil {
				t.Fatal(err)
			}
		case b.name == "serve":
			cmd := d.shell(ctx, b.text)
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			stop = func() { cancel(); <-ended }
			d.await(t, ended, &said)
		default:
			out, err := d.shell(ctx, b.text).CombinedOutput()
			if err != nil && os.Getenv("CI") == "" && unreachable.Match(out) {
				t.Skipf("the packages of %q cannot be fetched: no network", strings.TrimSpace(b.text))
			}
			if err != nil {
				t.Fatalf("%v: %s\n%s", err, b.text, out)
			}
		}
	}
	return stop
}

// await waits until the developer's program answers.
func (d *developer) await(t *testing.T, ended chan error, said *bytes.Buffer) {
	t.Helper()
	for range 1800 {
		conn, err := net.Dial("tcp", d.address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the program ended: %v\n%s", err, said)
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("the program does not listen")
}

// signIn visits the developer's site and signs a persona in. It returns what the site
// says in the end.
func (d *developer) signIn(t *testing.T, persona string) string {
	t.Helper()
	v := visitor.New(nil)
	p, err := v.Open(t.Context(), "http://"+d.address+"/")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.At.Path, "/oidc/interaction/") || !bytes.Contains(p.Body, []byte("测试环境 Sandbox")) {
		t.Fatalf("%s is no page of personas: %s", p.At, p.Text("h1"))
	}
	p, err = v.Press(t.Context(), p, "allow", map[string]string{"persona": persona})
	if p == nil {
		t.Fatal(err)
	}
	return string(p.Body)
}

func (d *developer) tryAll(t *testing.T, list []block) {
	t.Helper()
	defer d.follow(t, list)()
	for persona, want := range map[string]string{"citizen": "Welcome, 陈立冬! Here you are ", "rare": "Welcome, 𠮷白露! Here you are ", "decliner": "access_denied: "} {
		if got := d.signIn(t, persona); !strings.HasPrefix(got, want) {
			t.Errorf("%s: the site says %q, want %q", persona, got, want)
		}
	}
}

func TestNode(t *testing.T) { newDeveloper(t, "node", "npm").tryAll(t, blocks(t)[byNode]) }

func TestGo(t *testing.T) { newDeveloper(t).tryAll(t, blocks(t)[byGo]) }

func TestCurl(t *testing.T) {
	d := newDeveloper(t, "curl", "jq", "openssl", "basenc")
	var script strings.Builder
	for _, b := range blocks(t)[byCurl] {
		script.WriteString(b.text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := d.shell(ctx, script.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), d.issuer+"/oidc/authorize?") {
	}
	v := visitor.New(func(to *url.URL) bool { return to.Host != d.address })
	p, err := v.Open(ctx, lines.Text())
	if err == nil {
		p, err = v.Press(ctx, p, "allow", map[string]string{"persona": "citizen"})
	}
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(p.Location)
	if err != nil || back.Query().Get("code") == "" {
		t.Fatalf("sent to %q", p.Location)
	}
	if _, err := io.WriteString(in, back.Query().Get("code")+"\n"); err != nil {
		t.Fatal(err)
	}
	var said []map[string]any
	for lines.Scan() {
		var m map[string]any
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		said = append(said, m)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(said) != 2 || said[0]["sandbox"] != true || said[1]["name"] != "陈立冬" || said[0]["sub"] != said[1]["sub"] {
		t.Errorf("the commands said %v", said)
	}
}

func TestOperator(t *testing.T) {
	d := newDeveloper(t, "jq")
	first := block{kind: "sh", text: "signet client sandbox --server http://localhost:8080 --redirect http://127.0.0.1:8000/callback\n"}
	list := append([]block{first}, blocks(t)[operator]...)
	d.follow(t, list)()
	public, err := os.ReadFile(filepath.Join(d.dir, "public.json"))
	if err != nil || bytes.Contains(public, []byte(`"d"`)) || !bytes.Contains(public, []byte(`"kid"`)) {
		t.Errorf("public keys %s, %v", public, err)
	}
	out, err := d.shell(t.Context(), "signet client list --demo build/demo/demo.json").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Food permits")) {
		t.Errorf("%v: %s", err, out)
	}
}
