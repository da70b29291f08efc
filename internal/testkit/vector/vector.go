// Package vector reads files of test vectors and holds a folder of them against
// the table that made it.
//
// A file is headers, "name: value" on a line each, an empty line, and a body whose
// form its specification in docs/spec describes. It is for tests alone, and imports
// nothing of ours, so that pure packages may use it.
package vector

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the vectors anew")

// Read returns the body of a file after it gave each header to header. A header
// that header refuses, or a file without an empty line, ends the test.
func Read(t testing.TB, path string, header func(name, value string) error) (body string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line after the headers", path)
	}
	for line := range strings.SplitSeq(head, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		if err := header(name, value); err != nil {
			t.Fatalf("%s: header %q: %v", path, name, err)
		}
	}
	return body
}

// Paths returns the vectors of a folder, in order. There must be some.
func Paths(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors in %s: %v", dir, err)
	}
	return paths
}

// Suite is a folder of vectors.
type Suite struct {
	Dir   string
	Names []string                             // which vectors there must be, without ".txt", in any order
	Make  func() map[string][]byte             // every file by its name, for -update
	Each  func(t *testing.T, path string) bool // holds one vector; whether it is one that is accepted
}

// Run holds every vector in a test of its name. There must be neither more nor
// fewer than Names says, and more that are refused than that are accepted. With the
// flag -update the files are written anew before.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	if *update {
		s.write(t)
	}
	var names []string
	good := 0
	for _, path := range Paths(t, s.Dir) {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		names = append(names, name)
		t.Run(name, func(t *testing.T) {
			if s.Each(t, path) {
				good++
			}
		})
	}
	if want := slices.Sorted(slices.Values(s.Names)); !slices.Equal(names, want) {
		t.Errorf("files:\n got %q\nwant %q; run with -update", names, want)
	}
	if bad := len(names) - good; good == 0 || bad <= good {
		t.Errorf("%d valid vectors and %d others, want more failures than successes", good, bad)
	}
}

// write replaces the folder.
func (s Suite) write(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(s.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := s.Make()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(s.Dir, name), files[name], 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
