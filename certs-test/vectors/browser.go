package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/verify/scanner"
)

//go:embed page.js
var inPage string

// pageAnswers asks the page's own core, in Chromium.
func pageAnswers(ctx context.Context, b *builder) ([]string, error) {
	if !scanner.Built() {
		return nil, fmt.Errorf("the page is not in this program: npm ci && npm run build in verify/scanner, then build again")
	}
	const batch = 1000
	mux := http.NewServeMux()
	scanner.Mount(mux, nil)
	mux.HandleFunc("GET /cases/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n >= len(b.questions) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"bases": b.bases, "questions": b.questions[n:min(n+batch, len(b.questions))]})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	base := fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	core, err := coreURL(ctx, base)
	if err != nil {
		return nil, err
	}

	ctx, done, err := chromium(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := chromedp.Do(ctx, chromedp.Navigate(base+"/verify/")); err != nil {
		return nil, fmt.Errorf("open the page: %w", err)
	}
	var all []string
	for n := 0; n < len(b.questions); n += batch {
		call := fmt.Sprintf("(%s)(%q, %q)", strings.TrimRight(strings.TrimSpace(inPage), ";"), core, fmt.Sprintf("/cases/%d", n))
		answers, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](call, chromedp.EvalAwaitPromise))
		if err != nil {
			return nil, fmt.Errorf("ask the page: %w", err)
		}
		all = append(all, answers...)
	}
	return all, nil
}

// coreURL finds where the build has put the core.
func coreURL(ctx context.Context, base string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/verify/parts.json", nil)
	if err != nil {
		return "", err
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = w.Body.Close() }()
	body, err := io.ReadAll(w.Body)
	if err != nil {
		return "", err
	}
	var parts struct {
		Core string `json:"core"`
	}
	return parts.Core, json.Unmarshal(body, &parts)
}

// chromium starts a browser whose network is this machine alone.
func chromium(ctx context.Context) (context.Context, func(), error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome", "headless-shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, nil, fmt.Errorf("no Chromium (apt-get install chromium)")
	}
	profile, err := os.MkdirTemp("", "signet-vectors-")
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"))
	if os.Geteuid() == 0 { // as root its sandbox cannot be had
		options = append(options, chromedp.NoSandbox)
	}
	ctx, closeAllocator := chromedp.NewExecAllocator(ctx, options...)
	ctx, closeBrowser := chromedp.NewContext(ctx, chromedp.WithLogf(func(string, ...any) {}), chromedp.WithErrorf(func(string, ...any) {}))
	return ctx, func() {
		closeBrowser()
		closeAllocator()
		for range 40 {
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}, nil
}
