package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerifyExitCode tells 1 from 2, which scripts cannot.
func TestVerifyExitCode(t *testing.T) {
	dir := t.TempDir()
	writeFixture(t, dir)
	for _, c := range []struct {
		name  string
		files []string
		extra []string
		want  int
	}{
		{"valid", []string{"valid.txt"}, nil, 0},
		{"two valid", []string{"valid.txt", "valid.png"}, nil, 0},
		{"revoked", []string{"revoked.txt"}, nil, 1},
		{"malformed", []string{"malformed.txt"}, nil, 1},
		{"too large", []string{"too_large.txt"}, nil, 1},
		{"undetermined", []string{"undetermined.txt"}, nil, 2},
		{"unreadable", []string{"noise.bin"}, nil, 2},
		{"absent", []string{"nowhere.txt"}, nil, 2},
		{"no code", []string{"address.png"}, nil, 2},
		{"undetermined after valid", []string{"valid.txt", "undetermined.txt"}, nil, 2},
		{"valid after undetermined", []string{"undetermined.txt", "valid.txt"}, nil, 2},
		{"revoked beats undetermined", []string{"undetermined.txt", "revoked.txt", "undetermined.txt"}, nil, 1},
		{"revoked beats unreadable", []string{"revoked.txt", "noise.bin"}, nil, 1},
		{"two permits in one picture", []string{"two.png"}, nil, 1},
		{"no files", nil, nil, 2},
		{"unknown flag", []string{"valid.txt"}, []string{"--online"}, 2},
		{"bad time", []string{"valid.txt"}, []string{"--at", "yesterday"}, 2},
		{"absent root", []string{"valid.txt"}, []string{"--root", "nowhere.pem"}, 2},
		{"absent status", []string{"valid.txt"}, []string{"--status", "nowhere.elr1"}, 2},
		{"stale status", []string{"revoked.txt"}, []string{"--status", filepath.Join(dir, "stale.elr1")}, 2},
		{"absent trust", []string{"valid.txt"}, []string{"--trust", "nowhere.cbor"}, 0}, // the good one is there besides
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"verify", "--root", filepath.Join(dir, "root.pem"), "--trust", filepath.Join(dir, "bundle.cbor"),
				"--status", filepath.Join(dir, "snapshot.elr1"), "--at", "2027-03-01T12:00:00Z"}
			args = append(args, c.extra...)
			for _, file := range c.files {
				args = append(args, filepath.Join(dir, file))
			}
			var stdout, stderr bytes.Buffer
			got := report(&stderr, run(t.Context(), args, strings.NewReader(""), &stdout, &stderr, nil))
			if got != c.want {
				t.Errorf("exit code %d, want %d\n%s%s", got, c.want, stdout.String(), stderr.String())
			}
			for line := range strings.Lines(stderr.String()) {
				if !strings.HasPrefix(line, "signet: ") {
					t.Errorf("standard error has the line %q", line)
				}
			}
		})
	}
}
