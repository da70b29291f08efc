package testkit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/internal/web"
)

// Fixture is a page with something on it.
type Fixture struct {
	Name     string        // of its file: lowercase letters, digits and hyphens
	Identity *web.Identity // who sees it, nil for nobody signed in
	Page     web.Page
}

// The rules of axe-core that every page keeps. Large text has the same document: only
// what depends on sizes is looked at again.
const (
	axeRules      = `{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}`
	axeLargeRules = `{type: "rule", values: ["color-contrast", "target-size", "scrollable-region-focusable"]}`
)

// largeTarget is how high a control is in the large-text mode, in CSS px.
const largeTarget = 48

//go:embed checks/page.js
var pageChecks string

// aLook is one way to look at a page.
type aLook struct {
	web.Visitor
	name string // as it ends a file's name
}

var allLooks = []aLook{
	{web.Visitor{Lang: web.ZH}, "zh"}, {web.Visitor{Lang: web.EN}, "en"},
	{web.Visitor{Lang: web.ZH, Large: true}, "zh.large"}, {web.Visitor{Lang: web.EN, Large: true}, "en.large"},
}

// CheckPages reads every page, and draws each fixture in both languages, normal and large. Where the
// environment names a folder in SIGNET_PAGES it writes them there. Then it opens
// each in Chromium, with the headers that it is served with, and fails the test
// unless axe-core finds nothing, nothing scrolls sideways on 320 px nor on 640 px at
// 200% zoom, and Tab reaches every control in its order with a focus to be
// seen. It skips, after drawing, where Chromium or axe-core is missing. With a folder in
// SIGNET_SHOTS it leaves pictures of whole pages there, as a phone and a desktop
// show them: Chinese, and English in large text.
func CheckPages(t *testing.T, site *web.Site, pages *web.Pages, fixtures []Fixture) {
	t.Helper()
	if err := pages.Parse(); err != nil {
		t.Fatal(err)
	}
	for _, f := range fixtures {
		for _, l := range allLooks {
			if _, err := pages.Draw(l.Visitor, f.Identity, f.Page); err != nil {
				t.Fatalf("%s, %s: %v", f.Name, l.name, err)
			}
		}
	}
	_, file, _, _ := runtime.Caller(1)
	if dir := os.Getenv("SIGNET_PAGES"); dir != "" {
		if err := keepPages(dir, callersPackage(file), site, pages, fixtures); err != nil {
			t.Fatal(err)
		}
	}
	c := newChecker(t, site, pages, fixtures)
	begin := time.Now()
	for i, f := range fixtures {
		for _, l := range allLooks {
			wrong, err := c.check(i, l)
			if err != nil {
				t.Fatalf("%s, %s: %v", f.Name, l.name, err)
			}
			for _, w := range wrong {
				t.Errorf("%s, %s: %s", f.Name, l.name, w)
			}
			if dir := os.Getenv("SIGNET_SHOTS"); dir != "" && l.Large == (l.Lang == web.EN) {
				if err := shoot(c.ctx, filepath.Join(dir, callersPackage(file), f.Name+"."+l.name), c.address(i, l)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n := len(fixtures) * len(allLooks); n > 0 {
		t.Logf("%d pages in %d looks, %v each", len(fixtures), len(allLooks), (time.Since(begin) / time.Duration(n)).Round(time.Millisecond))
	}
}

// checker has fixtures served and a browser to look at them.
type checker struct {
	ctx  context.Context
	base string
	axe  string // its source
}

// newChecker skips the test where Chromium or axe-core is missing.
func newChecker(t *testing.T, site *web.Site, pages *web.Pages, fixtures []Fixture) *checker {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join(moduleRoot(), "certs-test", "web", "node_modules", "axe-core", "axe.min.js"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("axe-core: not installed (npm ci in certs-test/web)")
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(serveFixtures(site, pages, fixtures))
	t.Cleanup(server.Close)
	ctx := Browser(t)
	ctx.Value(watchKey{}).(*watch).fetches = true // of programs that are not here
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: pageChecks}); err != nil {
		t.Fatal(err)
	}
	return &checker{ctx, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), string(axe)}
}

func (c *checker) address(i int, l aLook) string { return fmt.Sprintf("%s/%d/%s", c.base, i, l.name) }

// serveFixtures serves fixture I in look L at /I/L as the site serves pages.
func serveFixtures(site *web.Site, pages *web.Pages, fixtures []Fixture) http.Handler {
	mux := http.NewServeMux()
	site.Mount(mux)
	for i, f := range fixtures {
		for _, l := range allLooks {
			h := pages.Handler(func(w http.ResponseWriter, r *http.Request) error {
				if f.Identity != nil {
					r = r.WithContext(web.WithIdentity(r.Context(), f.Identity))
				}
				return pages.Render(w, r, f.Page)
			})
			mux.HandleFunc(fmt.Sprintf("GET /%d/%s", i, l.name), func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Cookie")
				r.AddCookie(&http.Cookie{Name: "signet-lang", Value: string(l.Lang)})
				if l.Large {
					r.AddCookie(&http.Cookie{Name: "signet-text", Value: "large"})
				}
				h.ServeHTTP(w, r)
			})
		}
	}
	return web.Protect(mux, 1<<20, nil)
}

// check opens fixture i and returns what is wrong with it.
func (c *checker) check(i int, l aLook) ([]string, error) {
	ctx := c.ctx
	// 640 px at 200% are 320 CSS px of two pixels each.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(320, 400, chromedp.EmulateScale(2)), chromedp.Navigate(c.address(i, l))); err != nil {
		return nil, err
	}
	wrong, err := ask(ctx, "signetChecks.layout()")
	if err != nil {
		return nil, err
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(320, 640)); err != nil {
		return nil, err
	}
	rules := axeRules
	if l.Large {
		rules = axeLargeRules
	}
	questions := []string{"signetChecks.layout()", c.axe + "\n;signetChecks.axe(" + rules + ")"}
	if l.Large {
		questions = append(questions, fmt.Sprintf("signetChecks.targets(%d)", largeTarget))
	}
	for _, q := range questions {
		more, err := ask(ctx, q)
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, more...)
	}
	if l.Large != (l.Lang == web.EN) { // the order is the same in each language and each size
		return wrong, nil
	}
	more, err := walk(ctx)
	return append(wrong, more...), err
}

// shoot takes pictures of a whole page.
func shoot(ctx context.Context, path, address string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	for _, size := range [][2]int64{{360, 740}, {1280, 800}} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate(address)); err != nil {
			return err
		}
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			return err
		}
		if err := os.WriteFile(fmt.Sprintf("%s.%d.png", path, size[0]), png, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func ask(ctx context.Context, script string) ([]string, error) {
	return chromedp.Run(ctx, chromedp.Evaluate[[]string](script, chromedp.EvalAwaitPromise))
}

// walk presses Tab until every control was reached. Some take several: a date has
// three parts.
func walk(ctx context.Context) ([]string, error) {
	n, err := chromedp.Run(ctx, chromedp.Evaluate[int]("signetChecks.begin()"))
	if err != nil {
		return nil, err
	}
	for round := 0; round < 6 && n > 0; round++ {
		for range n {
			tab := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: "Tab", Code: "Tab", WindowsVirtualKeyCode: 9}
			if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, tab); err != nil {
				return nil, err
			}
		}
		if n, err = chromedp.Run(ctx, chromedp.Evaluate[int]("signetChecks.left()")); err != nil {
			return nil, err
		}
	}
	return ask(ctx, "signetChecks.end()")
}

// moduleRoot returns the module's folder.
func moduleRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// callersPackage names the package of a file as a folder: oidc-login.
func callersPackage(file string) string {
	rel, err := filepath.Rel(moduleRoot(), filepath.Dir(file))
	if err != nil {
		return "pages"
	}
	return strings.ReplaceAll(filepath.ToSlash(rel), "/", "-")
}
