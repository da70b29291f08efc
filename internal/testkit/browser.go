package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserLife bounds everything that one test does in its browser.
const browserLife = 15 * time.Minute

// Browser starts headless Chromium with a profile of its own and returns a context
// for package chromedp, or skips where there is none. Its network is this machine
// alone. Flags are Chromium's, such as "--use-fake-ui-for-media-stream" or
// "--lang=en-GB". The browser is closed when the test ends.
//
// What a page logs as an error, throws and does not catch, or fails to load, fails the
// test (see Allow). A document's own status, such as 400 for a form that was
// sent back, does not.
func Browser(t testing.TB, flags ...string) context.Context {
	t.Helper()
	path, err := chromium()
	if err != nil {
		t.Skipf("Chromium: %v", err)
	}
	profile, err := os.MkdirTemp("", "signet-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeProfile(profile) })
	ctx, cancel := context.WithTimeout(context.Background(), browserLife)
	t.Cleanup(cancel)
	ctx, closeAllocator := chromedp.NewExecAllocator(ctx, browserOptions(path, profile, flags)...)
	t.Cleanup(closeAllocator)
	w := &watch{documents: map[network.RequestID]bool{}}
	ctx, closeBrowser := chromedp.NewContext(context.WithValue(ctx, watchKey{}, w), chromedp.WithListener(w.see),
		chromedp.WithErrorf(t.Logf), chromedp.WithLogf(func(string, ...any) {}))
	t.Cleanup(func() {
		w.report(ctx, t)
		closeBrowser()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// chromium finds the browser.
func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none found (apt-get install chromium)")
}

func browserOptions(path, profile string, flags []string) []chromedp.ExecAllocatorOption {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.WindowSize(1280, 800),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "zh-CN"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 { // as root its sandbox cannot be had
		options = append(options, chromedp.NoSandbox)
	}
	for _, flag := range flags {
		name, value, given := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if given {
			options = append(options, chromedp.Flag(name, value))
		} else {
			options = append(options, chromedp.Flag(name, true))
		}
	}
	return options
}

// removeProfile waits for the browser's last processes to let go of their files.
func removeProfile(dir string) {
	for range 40 {
		if os.RemoveAll(dir) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Allow lets a page of the browser log errors that contain part.
func Allow(ctx context.Context, part string) {
	if w, ok := ctx.Value(watchKey{}).(*watch); ok {
		w.mu.Lock()
		w.allowed = append(w.allowed, part)
		w.mu.Unlock()
	}
}

// Tab opens another tab of the same browser, watched like the first one.
func Tab(t testing.TB, ctx context.Context) context.Context {
	t.Helper()
	w, ok := ctx.Value(watchKey{}).(*watch)
	if !ok {
		t.Fatal("not a context of Browser")
	}
	tab, cancel := chromedp.NewContext(ctx, chromedp.WithListener(w.see), chromedp.WithNewWindow(false))
	t.Cleanup(cancel)
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("open tab: %v", err)
	}
	return tab
}

// Shot writes a picture of the page as a window of that size shows it, in CSS
// pixels, to a PNG file, and makes its folder. The window keeps the size.
func Shot(ctx context.Context, path string, width, height int64) error {
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		return err
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, png, 0o644)
}

type watchKey struct{}

// watch collects what went wrong in a browser's pages.
type watch struct {
	mu        sync.Mutex
	documents map[network.RequestID]bool // requests for pages
	fetches   bool                       // what scripts fetch may fail too
	entries   []entry
	allowed   []string
}

type entry struct {
	request network.RequestID // "" unless it is about a request
	text    string
}

// see takes an event. It runs on the goroutine that reads the browser's messages.
func (w *watch) see(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Type == network.ResourceTypeDocument || w.fetches && (e.Type == network.ResourceTypeFetch || e.Type == network.ResourceTypeXHR) {
			w.documents[e.RequestID] = true
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			w.entries = append(w.entries, entry{e.Entry.NetworkRequestID, strings.TrimSpace(e.Entry.Text + " " + e.Entry.URL)})
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var parts []string
			for _, arg := range e.Args {
				parts = append(parts, strings.Trim(string(arg.Value), `"`)+arg.Description)
			}
			w.entries = append(w.entries, entry{text: "console.error: " + strings.Join(parts, " ")})
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		w.entries = append(w.entries, entry{text: text})
	}
}

// report fails the test for what was not allowed.
func (w *watch) report(ctx context.Context, t testing.TB) {
	// What the browser said before it answers this has been seen.
	soon, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, _ = chromedp.Run(soon, chromedp.Evaluate[int]("1"))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.wrong(w.allowed) {
		t.Errorf("in the browser: %s", text)
	}
}

// wrong returns what was seen and is not allowed. The caller holds w.mu.
func (w *watch) wrong(allowed []string) []string {
	var list []string
	for _, e := range w.entries {
		if e.request != "" && w.documents[e.request] || containsAny(e.text, allowed) {
			continue
		}
		list = append(list, e.text)
	}
	return list
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
