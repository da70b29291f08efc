package testkit_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// TestCheckerFindsBadPages proves that the checks of pages are no decoration: each
// page here is wrong in one way.
func TestCheckerFindsBadPages(t *testing.T) {
	tests := []struct{ name, content, want string }{ // want "": nothing wrong
		{"good", `<h1>A page</h1><form method="post"><label for="a">Name</label><input id="a" name="a"><fieldset><legend>Which</legend>
<label><input type="radio" name="r" value="1"> One</label><label><input type="radio" name="r" value="2"> Two</label></fieldset>
<label for="d">Day</label><input id="d" type="date" name="d"><button class="button">Go</button></form><details><summary>More</summary><a href="/x">hidden</a></details>`, ""},
		{"no label", `<h1>A page</h1><input name="a">`, "axe label"},
		{"picture without words", `<h1>A page</h1><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">`, "axe image-alt"},
		{"no heading", `<p>A page</p>`, "axe page-has-heading-one"},
		{"pale text", `<h1>A page</h1><p class="pale">hard to read</p>`, "axe color-contrast"},
		{"too wide", `<h1>A page</h1><div class="broad">wide</div>`, "scrolls sideways"},
		{"out of order", `<h1>A page</h1><a href="/a">a</a> <a href="/b" tabindex="1">b</a>`, "before"},
		{"no focus to be seen", `<h1>A page</h1><p><a class="blind" href="/a">a</a></p>`, "shows no focus"},
		{"trap", `<h1>A page</h1><p><a href="/a" id="first">a</a></p><button class="button" id="trap">t</button><p><a href="/b">b</a></p>`, "Tab does not reach a"},
		{"low control", `<h1>A page</h1><label for="a">Name</label><input id="a" class="low">`, "less than 48"},
	}
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "站", EN: "Site"}})
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"assets/bad.css": {Data: []byte(`.pale { color: #ccc } .broad { width: 500px } .blind:focus { outline: none !important } .low { min-height: 0 !important; height: 30px; padding: 0 }`)},
		"assets/bad.js":  {Data: []byte(`document.getElementById("trap")?.addEventListener("keydown", (e) => e.preventDefault());`)},
	}
	const head = `{{define "head"}}<link rel="stylesheet" href="{{asset "bad.css"}}"><script src="{{asset "bad.js"}}" defer></script>{{end}}`
	var fixtures []testkit.Fixture
	for _, tt := range tests {
		files["templates/"+tt.name+".html"] = &fstest.MapFile{Data: []byte(head + `{{define "content"}}` + tt.content + `{{end}}`)}
		fixtures = append(fixtures, testkit.Fixture{Name: tt.name, Page: web.Page{Template: tt.name, Title: web.Text{ZH: "页", EN: "Page"}}})
	}
	pages, err := site.Pages(files)
	if err != nil {
		t.Fatal(err)
	}
	wrong := testkit.Wrong(t, site, pages, fixtures)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := strings.Join(wrong[tt.name], "\n")
			if tt.want == "" && all != "" || tt.want != "" && !strings.Contains(all, tt.want) {
				t.Errorf("want %q, found:\n%s", tt.want, all)
			}
		})
	}
}

func TestBrowserSeesErrors(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(400) // a document's own status is no error
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><title>t</title><script>console.error("said %s", "so"); setTimeout(() => { throw new Error("thrown") })</script><img src="/absent.png">`))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx := testkit.Browser(t)
	for _, part := range []string{"console.error: said", "thrown", "/absent.png"} {
		testkit.Allow(ctx, part)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(strings.Replace(server.URL, "127.0.0.1", "localhost", 1)), chromedp.WaitReady(chromedp.CSS("img"))); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("document.images[0].complete")); err != nil {
		t.Fatal(err)
	}
	seen := strings.Join(testkit.Seen(ctx), "\n")
	for _, part := range []string{"console.error: said", "thrown", "/absent.png"} {
		if !strings.Contains(seen, part) {
			t.Errorf("not seen: %s\n%s", part, seen)
		}
	}
	if strings.Contains(seen, "status of 400") {
		t.Errorf("a document's status: %s", seen)
	}
	path := filepath.Join(t.TempDir(), "a", "b.png")
	if err := testkit.Shot(ctx, path, 360, 740); err != nil {
		t.Fatal(err)
	}
	if png, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
		t.Errorf("picture: %v", err)
	}
}

// TestVirtualPasskey makes a credential as a page does and signs with one that was put
// in.
func TestVirtualPasskey(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><title>t</title>`))
	}))
	defer server.Close()
	ctx := testkit.Browser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(strings.Replace(server.URL, "127.0.0.1", "localhost", 1))); err != nil {
		t.Fatal(err)
	}
	id, err := testkit.VirtualPasskey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	passkey, credential := testkit.NewPasskey(t, "localhost", 7)
	if err := testkit.AddCredential(ctx, id, passkey); err != nil {
		t.Fatal(err)
	}
	const sign = `navigator.credentials.get({publicKey: {challenge: new Uint8Array(32), rpId: "localhost", userVerification: "required"}}).then(c => c.id)`
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](sign, chromedp.EvalAwaitPromise))
	if err != nil || got != passkey.CredentialID {
		t.Fatalf("signed with %q: %v", got, err)
	}
	if n, err := testkit.SignCount(ctx, id, credential); err != nil || n != 8 {
		t.Errorf("signed %d times: %v", n, err)
	}
	if n, err := testkit.SignCount(ctx, id, []byte("another")); err != nil || n != -1 {
		t.Errorf("one that is not there signed %d times: %v", n, err)
	}
	if err := testkit.AddCredential(ctx, id, testkit.Passkey{CredentialID: "+/="}); err == nil {
		t.Error("took base64 of another alphabet")
	}
}

func TestKeptPagesNeedNoServer(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SIGNET_PAGES", dir)
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "站", EN: "Site"}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := site.Pages(fstest.MapFS{"templates/p.html": {Data: []byte(`{{define "content"}}<h1>{{t "页" "A page"}}</h1>{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	fixture := testkit.Fixture{Name: "p", Page: web.Page{Template: "p", Title: web.Text{ZH: "页", EN: "Page"}}}
	if err := testkit.Keep(dir, "here", site, pages, fixture); err != nil {
		t.Fatal(err)
	}
	for name, parts := range map[string][]string{
		"index.html":           {`href="here/p.zh.html"`, `href="here/p.en.large.html"`},
		"here/p.zh.html":       {`href="p.en.html"`, `href="p.zh.large.html"`, `href="assets/signet.`, `href="../index.html"`},
		"here/p.en.large.html": {`href="p.zh.large.html"`, `href="p.en.html"`, "<h1>A page</h1>", `class="large"`},
	} {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(b), part) {
				t.Errorf("%s lacks %s:\n%s", name, part, b)
			}
		}
		if strings.Contains(string(b), `"/assets`) {
			t.Errorf("%s needs a server", name)
		}
	}
	fixture.Name = "../p"
	if err := testkit.Keep(dir, "here", site, pages, fixture); err == nil {
		t.Error("a name that leads elsewhere")
	}
}
