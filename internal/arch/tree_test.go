package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// source is one parsed Go file.
type source struct {
	pkg   string // its folder, relative to the module
	name  string // "issue.go"
	test  bool
	lines int
	file  *ast.File
	set   *token.FileSet
}

// where returns "ca/issue.go:12".
func (s source) where(n ast.Node) string {
	return fmt.Sprintf("%s/%s:%d", s.pkg, s.name, s.set.Position(n.Pos()).Line)
}

// imported is one import of a file.
type imported struct {
	path string
	spec *ast.ImportSpec
}

// imports returns what the file imports, build constraints notwithstanding.
func (s source) imports() []imported {
	var out []imported
	for _, spec := range s.file.Imports {
		// The parser has accepted the literal.
		path, _ := strconv.Unquote(spec.Path.Value)
		if path != "C" {
			out = append(out, imported{path, spec})
		}
	}
	return out
}

// selectors calls visit with each name that the file takes from an imported
// package.
func (s source) selectors(visit func(path, name string, n ast.Node)) {
	paths := map[string]string{}
	for _, i := range s.imports() {
		name := i.path[strings.LastIndex(i.path, "/")+1:]
		if i.spec.Name != nil {
			name = i.spec.Name.Name
		}
		paths[name] = i.path
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && paths[x.Name] != "" {
				visit(paths[x.Name], sel.Sel.Name, n)
			}
		}
		return true
	})
}

// load parses every Go file of the module at root and returns the module's path.
// Folders that the go command skips, and modules inside, are left out.
func load(root string) (module string, sources []source, err error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", nil, fmt.Errorf("find module: %w", err)
	}
	for line := range strings.Lines(string(mod)) {
		if rest, ok := strings.CutPrefix(line, "module "); ok {
			module = strings.TrimSpace(rest)
		}
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(root, path, d.Name())
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		s, err := parse(root, path)
		sources = append(sources, s)
		return err
	})
	return module, sources, err
}

// skip returns fs.SkipDir for a folder that is no part of the module.
func skip(root, path, name string) error {
	if path == root {
		return nil
	}
	if name == "testdata" || name == "node_modules" || name == "build" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// parse parses one file.
func parse(root, path string) (source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return source{}, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	dir, err := filepath.Rel(root, filepath.Dir(path))
	return source{
		pkg: filepath.ToSlash(dir), name: filepath.Base(path), test: strings.HasSuffix(path, "_test.go"),
		lines: strings.Count(string(text), "\n"), file: file, set: set,
	}, err
}
