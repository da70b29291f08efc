package conformance_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var function = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// tests returns the names of a package's tests.
func tests(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tests in %s: %v", pkg, err)
	}
	found := map[string]bool{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllStringSubmatch(string(b), -1) {
			found[m[1]] = true
		}
	}
	return found
}

// Every module of the public plans is shown by a test that there is, or there is a
// reason why none shows it.
func TestChecklists(t *testing.T) {
	for file, modules := range map[string]int{"fapi2.txt": 45, "oidc-basic.txt": 40, "oidc-logout.txt": 13} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen, known := map[string]bool{}, map[string]map[string]bool{}
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "#") || line == "" {
				continue
			}
			name, by, ok := strings.Cut(line, ": ")
			if !ok || seen[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzRS0123456789-_") != "" {
				t.Errorf("%s: %q names no module, or one twice", file, line)
			}
			seen[name] = true
			if reason, ok := strings.CutPrefix(by, "reason: "); ok {
				if len(reason) < 20 {
					t.Errorf("%s: %s: %q is no reason", file, name, reason)
				}
				continue
			}
			pkg, test, _ := strings.Cut(by, ".")
			if known[pkg] == nil {
				known[pkg] = tests(t, pkg)
			}
			if !known[pkg][test] {
				t.Errorf("%s: %s: there is no test %s", file, name, by)
			}
		}
		if len(seen) != modules {
			t.Errorf("%s names %d modules, not %d", file, len(seen), modules)
		}
	}
}
