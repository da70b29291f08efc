package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module is a module with a package for each way that a run of go test can go.
var module = map[string]string{
	"go.mod":           "module example.org/m\n\ngo 1.21\n",
	"good/g_test.go":   "package good\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Log(\"chatter\") }\nfunc TestB(t *testing.T) { t.Run(\"one\", func(t *testing.T) {}); t.Run(\"two\", func(t *testing.T) { t.Skip(\"no module here\") }) }\n",
	"bad/b_test.go":    "package bad\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Error(\"got 1, want 2\") }) }\nfunc TestB(t *testing.T) {}\n",
	"broken/b.go":      "package broken\n\nvar x int = \"text\"\n",
	"broken/b_test.go": "package broken\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\n",
	"exits/e_test.go":  "package exits\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(m *testing.M) { fmt.Println(\"no database\"); os.Exit(3) }\nfunc TestA(t *testing.T) {}\n",
	"panics/p_test.go": "package panics\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\nfunc TestB(t *testing.T) { panic(\"boom\") }\n",
	"empty/e.go":       "package empty\n",
}

func TestReportOfARealRun(t *testing.T) {
	dir := t.TempDir()
	for name, content := range module {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "./...")
	cmd.Dir = dir
	// The run inside must not take the outer module or its work space for its own.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	events, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("go test in a failing module: %v", err)
	}
	var out bytes.Buffer
	ok, err := run(bytes.NewReader(events), &out, "example.org/m")
	if err != nil || ok {
		t.Errorf("ok %v, error %v", ok, err)
	}
	got := regexp.MustCompile(`\d+\.\d+s\)`).ReplaceAllString(out.String(), "0s)")
	for _, want := range []string{
		"ok   good  3 passed, 1 skipped (0s)\n",
		"skip good TestB/two: no module here\n",
		"FAIL bad TestA/sub (0s)\n    b_test.go:5: got 1, want 2\n",
		"FAIL bad  1 passed, 2 failed, 0 skipped (0s)\n",
		"cannot use \"text\"",
		"FAIL broken  0 passed, 0 failed, 0 skipped (0s) (does not build)\n",
		"FAIL exits  0 passed, 0 failed, 0 skipped (0s) (no test of it failed)\n    no database\n",
		"panic: boom",
		"failed: panics TestB",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q", want)
		}
	}
	for _, unwanted := range []string{"chatter", "=== RUN", "--- FAIL", "ok   empty"} {
		if strings.Contains(got, unwanted) {
			t.Errorf("holds %q", unwanted)
		}
	}
	if !strings.HasSuffix(got, "\n5 passed, 5 failed, 1 skipped\n") {
		t.Errorf("last line")
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestReport(t *testing.T) {
	const p = `"Package":"m/a"`
	tests := []struct {
		name, in string
		ok       bool
		contains string
		last     string
	}{
		{"all well", `{"Action":"pass",` + p + `,"Test":"TestA"}` + "\n" + `{"Action":"pass",` + p + `,"Elapsed":1.5}`, true,
			"ok   a  1 passed, 0 skipped (1.5s)", "1 passed, 0 failed, 0 skipped"},
		{"nothing", "", false, "failed: no test ran", "0 passed, 1 failed, 0 skipped"},
		{"no test in any package", `{"Action":"skip",` + p + `}`, false, "failed: no test ran", "0 passed, 1 failed, 0 skipped"},
		{"only skipped", `{"Action":"output",` + p + `,"Test":"TestA","Output":"    a_test.go:3: no PostgreSQL\n"}` + "\n" +
			`{"Action":"skip",` + p + `,"Test":"TestA"}`, true, "skip a TestA: no PostgreSQL\n", "0 passed, 0 failed, 1 skipped"},
		{"skipped in silence", `{"Action":"skip",` + p + `,"Test":"TestA"}`, true, "skip a TestA: no reason given", "0 passed, 0 failed, 1 skipped"},
		{"did not end", `{"Action":"run",` + p + `,"Test":"TestA"}` + "\n" + `{"Action":"run",` + p + `,"Test":"TestA/x"}` + "\n" +
			`{"Action":"output",` + p + `,"Test":"TestA/x","Output":"panic: test timed out\n"}` + "\n" + `{"Action":"fail",` + p + `}`, false,
			"FAIL a TestA/x did not end\n    panic: test timed out\n", "0 passed, 1 failed, 0 skipped"},
		{"no event", "go: go.mod is broken\n", false, "go: go.mod is broken\n", "0 passed, 1 failed, 0 skipped"},
		{"no event but JSON", "{}\n", false, "{}\n", "0 passed, 1 failed, 0 skipped"},
		{"unknown action", `{"Action":"attr",` + p + `,"Test":"TestA"}` + "\n" + `{"Action":"pass",` + p + `,"Test":"TestA"}`, true, "",
			"1 passed, 0 failed, 0 skipped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			ok, err := run(strings.NewReader(tt.in), &out, "m")
			if err != nil || ok != tt.ok {
				t.Errorf("ok %v, error %v", ok, err)
			}
			if !strings.Contains(out.String(), tt.contains) || !strings.HasSuffix("\n"+out.String(), "\n"+tt.last+"\n") {
				t.Errorf("%s", &out)
			}
		})
	}
}

func TestReportOfABrokenPipe(t *testing.T) {
	in := io.MultiReader(strings.NewReader(`{"Action":"pass","Package":"m","Test":"TestA"}`+"\n"), broken{})
	var out bytes.Buffer
	if ok, err := run(in, &out, "m"); ok || err == nil || !strings.HasSuffix(out.String(), "1 passed, 1 failed, 0 skipped\n") {
		t.Errorf("ok %v, error %v\n%s", ok, err, &out)
	}
}

// broken is a reader that fails.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestTextKeepsBothEnds(t *testing.T) {
	var b text
	b.add("first ")
	for range 100 {
		b.add(strings.Repeat("x", 10_000))
	}
	b.add(" last")
	s := b.String()
	if !strings.HasPrefix(s, "first ") || !strings.HasSuffix(s, " last") || !strings.Contains(s, "…") || len(s) > 4*maxOutput {
		t.Errorf("%d bytes: %.20q…%.20q", len(s), s, s[len(s)-20:])
	}
}
