package testkit

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/signet-city/signet/internal/web"
)

var fixtureName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// keepPages writes the pages of a package and its assets to dir/PACKAGE, so that they
// can be read from there without a server, and the list of all of dir to
// dir/index.html.
func keepPages(dir, pkg string, site *web.Site, pages *web.Pages, fixtures []Fixture) error {
	home := filepath.Join(dir, pkg)
	if err := os.MkdirAll(filepath.Join(home, "assets"), 0o755); err != nil {
		return err
	}
	for name, body := range site.Files() {
		if err := os.WriteFile(filepath.Join(home, "assets", filepath.Base(name)), body, 0o644); err != nil {
			return err
		}
	}
	for _, f := range fixtures {
		if !fixtureName.MatchString(f.Name) {
			return fmt.Errorf("a fixture cannot be named %q", f.Name)
		}
		for _, l := range allLooks {
			b, err := pages.Draw(l.Visitor, f.Identity, f.Page)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(home, f.Name+"."+l.name+".html"), []byte(relative(string(b), f.Name, l)), 0o644); err != nil {
				return err
			}
		}
	}
	return indexPages(dir)
}

// relative leads a page's addresses to the files beside it.
func relative(text, name string, l aLook) string {
	size := ""
	if l.Large {
		size = ".large"
	}
	return strings.NewReplacer(
		`="/assets/`, `="assets/`,
		`href="/?lang=en"`, `href="`+name+".en"+size+`.html"`, `href="/?lang=zh"`, `href="`+name+".zh"+size+`.html"`,
		`href="/?text=large"`, `href="`+name+"."+string(l.Lang)+`.large.html"`, `href="/?text=normal"`, `href="`+name+"."+string(l.Lang)+`.html"`,
		`href="/"`, `href="../index.html"`,
	).Replace(text)
}

// indexPages lists what is in dir. Packages write there one after the other: the last
// list has them all.
func indexPages(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.zh.html"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Pages</title>\n<h1>Pages</h1>\n")
	pkg := ""
	for _, file := range files {
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(strings.TrimSuffix(rel, ".zh.html"))
		folder, name, _ := strings.Cut(rel, "/")
		if folder != pkg {
			pkg = folder
			fmt.Fprintf(&b, "<h2>%s</h2>\n", html.EscapeString(pkg))
		}
		fmt.Fprintf(&b, "<p>%s:", html.EscapeString(name))
		for _, l := range allLooks {
			fmt.Fprintf(&b, " <a href=\"%s.%s.html\">%s</a>", html.EscapeString(rel), l.name, strings.Replace(l.name, ".", ", ", 1))
		}
		b.WriteString("</p>\n")
	}
	temporary, err := os.CreateTemp(dir, ".index-")
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(b.String())
	if err2 := temporary.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Chmod(temporary.Name(), 0o644)
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), filepath.Join(dir, "index.html"))
}
