// Package scripts_test runs the scripts of the Makefile against machines that are
// not as they should be.
package scripts_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// outcome is how a script ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// script runs a script of this folder in dir with exactly the environment given.
func script(t *testing.T, dir string, env []string, name string, args ...string) outcome {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/bash", append([]string{path}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// commands makes a folder with the given commands, each a shell script.
func commands(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// links returns a folder with links to real commands and nothing else.
func links(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestToolchain(t *testing.T) {
	tests := []struct {
		name, version string // "": no go at all
		code          int
		says          string
	}{
		{"Debian 12", "go version go1.19.8 linux/amd64", 1, "needs Go 1.21 or newer, found go1.19.8"},
		{"just too old", "go version go1.20.14 linux/amd64", 1, "found go1.20.14"},
		{"oldest", "go version go1.21.0 linux/amd64", 0, ""},
		{"newer", "go version go1.30 linux/amd64", 0, ""},
		{"its own build", "go version devel go1.28-a1b2c3 linux/amd64", 0, ""},
		{"none", "", 1, "found none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := links(t, "awk", "sed")
			if tt.version != "" {
				path += ":" + commands(t, map[string]string{"go": "echo '" + tt.version + "'"})
			}
			got := script(t, ".", []string{"PATH=" + path}, "toolchain.sh")
			if got.code != tt.code || !strings.Contains(got.stderr, tt.says) || strings.Count(got.stderr, "\n") != tt.code {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestNeedSaysWhatToInstallWhereItMayNot(t *testing.T) {
	path := links(t, "mktemp", "tail", "rm") + ":" + commands(t, map[string]string{"id": "echo 1000", "openssl": "", "unshare": "", "cc": "", "chromium": ""})
	for _, tt := range []struct {
		name, ci string
		code     int
	}{{"a person", "", 0}, {"CI", "true", 1}} {
		t.Run(tt.name, func(t *testing.T) {
			got := script(t, ".", []string{"PATH=" + path, "CI=" + tt.ci}, "need.sh")
			if got.code != tt.code || strings.Count(got.stderr, "\n") != 1 ||
				!strings.HasPrefix(got.stderr, "signet: the tests also need: apt-get install zbar-tools softhsm2") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestNeedInstalls lets the script install with a stand-in for apt-get that knows
// a package only after an update, as on a fresh machine.
func TestNeedInstalls(t *testing.T) {
	bin := commands(t, map[string]string{"id": "echo 0", "openssl": "", "unshare": "", "cc": "", "initdb": "", "softhsm2-util": "", "certtool": "", "curl": "", "chromium": "", "fc-list": "echo 文泉驛"})
	apt := `case "$*" in
*update*) touch "$STATE/updated" ;;
*install*zbar-tools*) [ -e "$STATE/updated" ] || exit 100; printf '#!/bin/sh\n' >"$BIN/zbarimg"; chmod +x "$BIN/zbarimg" ;;
esac`
	if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte("#!/bin/sh\n"+apt+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + links(t, "mktemp", "tail", "rm", "touch", "chmod") + ":" + bin, "BIN=" + bin, "STATE=" + t.TempDir(), "CI=true"}
	got := script(t, ".", env, "need.sh")
	if got.code != 0 || got.stderr != "installing for the tests: zbar-tools\n" {
		t.Errorf("first run: %+v", got)
	}
	if got := script(t, ".", env, "need.sh"); got.code != 0 || got.stderr != "" {
		t.Errorf("second run: %+v", got)
	}
}

// TestNeedInstallsModules lets the script run with a stand-in for npm.
func TestNeedInstallsModules(t *testing.T) {
	const npm = `mkdir -p node_modules; echo "$PWD $*" >>"$STATE/calls"; echo {} >node_modules/.package-lock.json`
	tests := []struct {
		name, node, npm string
		code            int
		says            string
	}{
		{"installs", "echo v20.20.2", npm, 0, ""},
		{"old node", "echo v18.20.4", npm, 1, "needs Node.js 20 or newer with npm, found v18.20.4"},
		{"no registry", "echo v22.1.0", "echo ENOTFOUND >&2; exit 1", 1, "signet: npm ci in certs-test/web did not work"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, state := t.TempDir(), t.TempDir()
			web := filepath.Join(tree, "certs-test", "web")
			if err := os.MkdirAll(web, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(web, "package-lock.json"), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			bin := commands(t, map[string]string{"id": "echo 0", "openssl": "", "unshare": "", "cc": "", "initdb": "", "softhsm2-util": "", "zbarimg": "", "certtool": "", "curl": "",
				"chromium": "", "fc-list": "echo 文泉驛", "node": tt.node, "npm": tt.npm})
			env := []string{"PATH=" + links(t, "bash", "env", "mktemp", "tail", "rm", "touch", "mkdir", "sleep") + ":" + bin, "STATE=" + state, "CI=true"}
			got := script(t, tree, env, "need.sh")
			if got.code != tt.code || !strings.Contains(got.stderr, tt.says) {
				t.Fatalf("%+v", got)
			}
			if tt.code != 0 {
				return
			}
			if got := script(t, tree, env, "need.sh"); got.code != 0 || got.stderr != "" {
				t.Errorf("second run: %+v", got)
			}
			calls, err := os.ReadFile(filepath.Join(state, "calls"))
			if err != nil || string(calls) != web+" ci --no-audit --no-fund\n" {
				t.Errorf("npm was called: %q, %v", calls, err)
			}
		})
	}
}

func TestUnchanged(t *testing.T) {
	dir := t.TempDir()
	git := exec.CommandContext(t.Context(), "git", "init", "-q")
	git.Dir = dir
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	for name, text := range map[string]string{"a b.txt": "one\n", ".gitignore": "out/\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, command string
		code          int
	}{
		{"nothing", "true", 0},
		{"ignored file", "mkdir -p out && touch out/x", 0},
		{"same content", "printf 'one\\n' >'a b.txt'", 0},
		{"new content", "printf 'two\\n' >'a b.txt'", 1},
		{"new file", "touch new", 1},
		{"file gone", "rm new", 1},
		{"command that fails", "exit 3", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := script(t, dir, os.Environ(), "unchanged.sh", "bash", "-c", tt.command); got.code != tt.code {
				t.Errorf("%+v", got)
			}
		})
	}
}
