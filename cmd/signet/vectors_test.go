package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-city/signet/verify"
)

// TestVerdictVectors gives every published verdict to the command line, as its
// files: what it prints is the vector's result, and its exit code follows.
func TestVerdictVectors(t *testing.T) {
	const dir = "../../docs/spec/vectors/verdict"
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(paths) < 13 {
		t.Fatalf("%d vectors: %v", len(paths), err)
	}
	// What a file is stripped of before it is a permit.
	instead := map[string]string{
		"malformed_line_end": `"verdict":"valid"`,
		"malformed_empty":    `"verdict":"undetermined","reason":"no_code_in_file"`,
	}
	seen := map[verify.Verdict]bool{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		t.Run(name, func(t *testing.T) {
			header, text := readVector(t, path)
			args := []string{"verify", "--json", "--at", header["at"]}
			for _, flag := range [][2]string{{"root", "root"}, {"trust", "trust"}, {"trust", "genuine"}, {"status", "status"}} {
				if file := header[flag[1]]; file != "" {
					args = append(args, "--"+flag[0], filepath.Join(dir, file))
				}
			}
			var stdout, stderr bytes.Buffer
			code := report(&stderr, run(t.Context(), append(args, "-"), strings.NewReader(text), &stdout, &stderr, nil))
			verdict := verify.Verdict(header["expect"])
			if other, ok := instead[name]; ok {
				if !strings.Contains(stdout.String(), other) {
					t.Errorf("printed %s, want %s", stdout.String(), other)
				}
				return
			}
			seen[verdict] = true
			want := strings.Replace(header["result"], `"file":""`, `"file":"-"`, 1) + "\n"
			if stdout.String() != want {
				t.Errorf("printed\n%swant\n%s%s", stdout.String(), want, stderr.String())
			}
			if worst := worse(0, verdict); code != worst {
				t.Errorf("exit code %d for %s, want %d", code, verdict, worst)
			}
		})
	}
	if len(seen) != 13 {
		t.Errorf("the vectors have %d of 13 verdicts", len(seen))
	}
}

// readVector returns the headers of a vector and the text behind them.
func readVector(t *testing.T, path string) (header map[string]string, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, text, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		t.Fatal("no empty line after the headers")
	}
	header = map[string]string{}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		header[key] = value
	}
	return header, text
}
