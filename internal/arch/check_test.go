package arch_test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// check returns everything in the sources that the table does not allow.
func check(module string, sources []source) []string {
	var wrong []string
	for _, s := range sources {
		if inTree(s.pkg, everywhere) {
			continue
		}
		r, ok := table[s.pkg]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s/%s: package %s is not in the table", s.pkg, s.name, s.pkg))
			continue
		}
		wrong = append(wrong, checkImports(module, s, r)...)
		if r.pure && !s.test {
			wrong = append(wrong, checkCalls(s)...)
		}
		if s.pkg != "internal/obs" && s.name != "metrics.go" && !s.test {
			wrong = append(wrong, checkMetrics(s)...)
		}
	}
	return wrong
}

// inTree reports whether pkg is the folder tree or below it.
func inTree(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

// checkImports checks each import of one file.
func checkImports(module string, s source, r row) []string {
	var wrong []string
	for _, i := range s.imports() {
		var allowed bool
		first, _, _ := strings.Cut(i.path, "/")
		switch local, ours := strings.CutPrefix(i.path, module+"/"); {
		case ours:
			allowed = local == s.pkg || slices.Contains(r.imports, local) || s.test && slices.Contains(testsImport, local)
		case strings.Contains(first, "."):
			allowed = openTo(i.path, s)
		default:
			allowed = s.test || !r.pure || !fits(impureImports, i.path)
		}
		if !allowed {
			wrong = append(wrong, fmt.Sprintf("%s: %s may not import %s", s.where(i.spec), s.pkg, strings.TrimPrefix(i.path, module+"/")))
		}
	}
	return wrong
}

// openTo reports whether a library's door is open to a file.
func openTo(path string, s source) bool {
	if s.test && fits(testDoors, path) {
		return true
	}
	var best door
	for _, d := range doors {
		if fits([]string{d.path}, path) && len(d.path) >= len(best.path) {
			best = d
		}
	}
	return slices.Contains(best.open, s.pkg)
}

// fits reports whether path is one of patterns, or begins with one that ends in
// a slash. A library's root package also stands for the packages below it, unless
// a longer pattern says otherwise.
func fits(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if strings.HasSuffix(p, "/") {
			return strings.HasPrefix(path, p)
		}
		first, _, _ := strings.Cut(p, "/")
		return path == p || strings.Contains(first, ".") && strings.HasPrefix(path, p+"/")
	})
}

// checkCalls finds the calls that make a pure package impure.
func checkCalls(s source) []string {
	var wrong []string
	s.selectors(func(path, name string, n ast.Node) {
		full := path + "." + name
		if slices.ContainsFunc(impureCalls, func(call string) bool {
			before, star := strings.CutSuffix(call, "*")
			return full == call || star && strings.HasPrefix(full, before)
		}) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is pure and may not use %s", s.where(n), s.pkg, full))
		}
	})
	return wrong
}

// checkMetrics finds collectors made outside metrics.go.
func checkMetrics(s source) []string {
	var wrong []string
	s.selectors(func(path, name string, n ast.Node) {
		if path == "github.com/prometheus/client_golang/prometheus" && metricsOnly(name) {
			wrong = append(wrong, fmt.Sprintf("%s: prometheus.%s belongs in metrics.go", s.where(n), name))
		}
	})
	return wrong
}

// outside returns the outside libraries that pkg pulls in by itself and through
// the packages of this module that it imports.
func outside(module, pkg string, sources []source) []string {
	seen, libraries := map[string]bool{}, map[string]bool{}
	var visit func(string)
	visit = func(pkg string) {
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, s := range sources {
			if s.pkg != pkg || s.test {
				continue
			}
			for _, i := range s.imports() {
				if local, ours := strings.CutPrefix(i.path, module+"/"); ours {
					visit(local)
				} else if host, _, _ := strings.Cut(i.path, "/"); strings.Contains(host, ".") {
					parts := strings.SplitN(i.path, "/", 4)
					libraries[strings.Join(parts[:min(3, len(parts))], "/")] = true
				}
			}
		}
	}
	visit(pkg)
	var out []string
	for l := range libraries {
		out = append(out, l)
	}
	slices.Sort(out)
	return out
}
