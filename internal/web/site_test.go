package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// webIdentify makes an Identify that does not look at the request.
func webIdentify(f func() (*web.Identity, error)) func(*http.Request) (*web.Identity, error) {
	return func(*http.Request) (*web.Identity, error) { return f() }
}

func TestRenderSetsHeaders(t *testing.T) {
	h := onePage(t, newSite(t, nil), func(_ http.ResponseWriter, _ *http.Request, render func(web.Page) error) error {
		return render(web.Page{Status: 400, Wrong: true, Title: web.Text{ZH: "<页>", EN: "<Page>"}, FormTo: "https://rp.example:8443", Data: "<b>x"})
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Language", "en")
	w := serve(h, r)
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"form-action 'self' https://rp.example:8443; frame-ancestors 'none'; base-uri 'none'"
	if got := w.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q", got)
	}
	for name, value := range map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Vary": "Accept-Language, Cookie", "Referrer-Policy": "same-origin"} {
		if w.Header().Get(name) != value {
			t.Errorf("%s: %q", name, w.Header().Get(name))
		}
	}
	body := w.Body.String()
	if w.Code != 400 || !strings.Contains(body, "<title>Error: &lt;Page&gt; - Jiangcheng licences</title>") || !strings.Contains(body, "&lt;b&gt;x") {
		t.Errorf("status %d:\n%s", w.Code, body)
	}
	if regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=`).MatchString(body) {
		t.Errorf("something inline:\n%s", body)
	}
}

func TestPolicyTakesOnlyAnOrigin(t *testing.T) {
	tests := []struct{ name, formTo, want string }{
		{"none", "", "form-action 'self';"},
		{"https", "https://rp.example", "form-action 'self' https://rp.example;"},
		{"port", "http://127.0.0.1:9001", "form-action 'self' http://127.0.0.1:9001;"},
		{"another directive", "https://rp.example; script-src *", "form-action 'self';"},
		{"several", "https://a.example https://b.example", "form-action 'self';"},
		{"keyword", "'unsafe-inline'", "form-action 'self';"},
		{"script", "javascript:alert(1)", "form-action 'self';"},
		{"everything", "*", "form-action 'self';"},
		{"scheme alone", "https:", "form-action 'self';"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := web.Policy(tt.formTo); !strings.Contains(got, tt.want) || strings.Contains(got, "script-src *") {
				t.Errorf("policy %q", got)
			}
		})
	}
}

func TestRenderFailsWithNothingWritten(t *testing.T) {
	site := newSite(t, nil)
	pages, err := site.Pages(fstest.MapFS{"templates/broken.html": {Data: []byte(`{{define "content"}}<p>begun</p>{{.Nowhere.At.All}}{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"broken", "absent"} {
		w := serve(pages.Handler(func(w http.ResponseWriter, r *http.Request) error {
			return pages.Render(w, r, web.Page{Template: name, Data: struct{}{}})
		}), httptest.NewRequest("GET", "/", nil))
		if w.Code != 500 || strings.Contains(w.Body.String(), "begun") || !strings.Contains(w.Body.String(), "系统出现问题") {
			t.Errorf("%s: status %d\n%s", name, w.Code, w.Body)
		}
	}
}

func TestPagesRefusesWhatIsBroken(t *testing.T) {
	tests := []struct {
		name string
		f    fstest.MapFS
	}{
		{"syntax", fstest.MapFS{"templates/a.html": {Data: []byte(`{{define "content"}}{{if}}{{end}}`)}}},
		{"unknown function", fstest.MapFS{"templates/a.html": {Data: []byte(`{{define "content"}}{{nothing}}{{end}}`)}}},
		{"broken part", fstest.MapFS{"templates/parts/a.html": {Data: []byte(`{{define "x"}}`)}, "templates/a.html": {Data: []byte(`x`)}}},
		{"an asset's name taken", fstest.MapFS{"assets/signet.css": {Data: []byte(`x`)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pages, err := newSite(t, nil).Pages(tt.f)
			if err == nil {
				if _, drawn := pages.Draw(web.Visitor{Lang: web.EN}, nil, web.Page{Template: "a"}); drawn == nil {
					t.Error("drawn")
				}
				err = pages.Parse()
			}
			if err == nil {
				t.Error("taken")
			}
		})
	}
}

func TestAssets(t *testing.T) {
	site := newSite(t, nil)
	if _, err := site.Pages(fstest.MapFS{"assets/x.js": {Data: []byte("let x\n")}}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	site.Mount(mux)
	kinds := map[string]string{".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	for path, body := range site.Files() {
		if !regexp.MustCompile(`^/assets/[a-z]+\.[0-9a-f]{12}\.(css|js|svg)$`).MatchString(path) {
			t.Errorf("address %s", path)
		}
		w := serve(mux, httptest.NewRequest("GET", path, nil))
		kind := kinds[path[strings.LastIndex(path, "."):]]
		if w.Code != 200 || w.Body.String() != string(body) || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) ||
			w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: status %d, headers %v", path, w.Code, w.Header())
		}
	}
	for _, path := range []string{"/assets/signet.css", "/assets/signet.000000000000.css", "/assets/..%2ftemplates%2ferror.html", "/assets/%00"} {
		w := serve(mux, httptest.NewRequest("GET", path, nil))
		if w.Code != 404 || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, %v", path, w.Code, w.Header())
		}
	}
}

func TestNobodyIsIdentifiedForAFile(t *testing.T) {
	site := newSite(t, func() (*web.Identity, error) { t.Error("asked who it is"); return nil, nil })
	mux := http.NewServeMux()
	site.Mount(mux)
	for path := range site.Files() {
		serve(mux, httptest.NewRequest("GET", path, nil))
	}
}

func TestSignedIn(t *testing.T) {
	tests := []struct {
		name, method, target string
		id                   *web.Identity
		err                  error
		status               int
		location             string
	}{
		{"somebody", "GET", "/wallet", &web.Identity{Name: "王小明"}, nil, 200, ""},
		{"nobody", "GET", "/wallet/a%2Fb?p=1&q=%26", nil, nil, 303, "/login?next=%2Fwallet%2Fa%252Fb%3Fp%3D1%26q%3D%2526"},
		{"a form of nobody", "POST", "/wallet?x=1", nil, nil, 303, "/login?next=%2F"},
		{"sign-in is down", "GET", "/wallet", nil, fault.New(fault.Unavailable, "x"), 503, ""},
		{"a bug", "GET", "/wallet", nil, errors.New("x"), 500, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t, func() (*web.Identity, error) { return tt.id, tt.err })
			pages := site.Own()
			h := pages.SignedIn(func(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
				if id != web.IdentityOf(r.Context()) {
					t.Error("two identities")
				}
				return web.WriteJSON(w, 200, id.Name)
			})
			w := serve(h, httptest.NewRequest(tt.method, tt.target, nil))
			if w.Code != tt.status || w.Header().Get("Location") != tt.location {
				t.Errorf("status %d, location %q", w.Code, w.Header().Get("Location"))
			}
		})
	}
}

func TestAgencies(t *testing.T) {
	id := &web.Identity{Roles: []web.Role{{Agency: "b", Name: web.RoleClerk}, {Agency: "a", Name: web.RoleClerk}, {Agency: "", Name: web.RoleOfficer}}}
	if got := strings.Join(id.Agencies(web.RoleClerk), " "); got != "a b" {
		t.Errorf("clerk at %q", got)
	}
	if web.IdentityOf(context.Background()) != nil {
		t.Error("somebody in an empty context")
	}
}

func TestLocalPath(t *testing.T) {
	good := []string{"/", "/a", "/a?b=c&d=%2F%2Fe", "/a#b", "/a/../b", "/oidc/interaction/x", "/%E6%B1%9F", "/a?next=https://evil.example/"}
	bad := []string{"", "a", "?a", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "\t//evil.example", "/a\n", " /a",
		"https://evil.example/", "https:/evil.example", "javascript:alert(1)", "data:text/html,x", "/%zz", "/a\x00", "/a\x7f", "/a b", "http:///evil.example", "@evil.example"}
	for _, next := range good {
		if got := web.LocalPath(next); got != next {
			t.Errorf("%q became %q", next, got)
		}
	}
	for _, next := range bad {
		if got := web.LocalPath(next); got != "/" {
			t.Errorf("%q became %q", next, got)
		}
	}
}

// FuzzLocalPath holds it against what a browser does with an address: whatever
// comes out stays on the site.
func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/a?b=c", "//evil", "/\\evil", "/\t/evil", "https://evil", "/%2f/evil", "/.//evil"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := web.LocalPath(next)
		if got != "/" && got != next || web.LocalPath(got) != got {
			t.Fatalf("%q became %q", next, got)
		}
		// WHATWG URL: tabs and newlines are dropped, a backslash is a slash.
		seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(strings.TrimSpace(got))
		if !strings.HasPrefix(seen, "/") || strings.HasPrefix(seen, "//") {
			t.Fatalf("%q leads away", got)
		}
	})
}

func TestCover(t *testing.T) {
	site := newSite(t, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /here/{id}", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.PathValue("id"))) })
	mux.HandleFunc("POST /here/{id}", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	mux.HandleFunc("GET /tree/", func(http.ResponseWriter, *http.Request) {})
	h := site.Cover(mux)
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	tests := []struct {
		name, method, target, accept string
		status                       int
		kind, says, allow            string
	}{
		{"found", "GET", "/here/7", browser, 200, "", "7", ""},
		{"a handler's own 404", "POST", "/here/7", browser, 404, "text/plain", "404 page not found", ""},
		{"browser", "GET", "/nowhere", browser, 404, "text/html", "找不到页面", ""},
		{"program", "GET", "/nowhere", "", 404, "application/json", `"not_found"`, ""},
		{"curl", "GET", "/nowhere", "*/*", 404, "application/json", `"not_found"`, ""},
		{"wants no page", "GET", "/nowhere", "text/html;q=0, application/json", 404, "application/json", `"not_found"`, ""},
		{"HTML in another case", "GET", "/nowhere", "application/json, Text/HTML ; q=0.1", 404, "text/html", "找不到页面", ""},
		{"weight that is none", "GET", "/nowhere", "text/html;q=x", 404, "text/html", "找不到页面", ""},
		{"method, browser", "DELETE", "/here/7", browser, 405, "text/html", "不能以这种方式", "GET, HEAD, POST"},
		{"method, program", "DELETE", "/here/7", "", 405, "application/json", `"invalid"`, "GET, HEAD, POST"},
		{"without its slash", "GET", "/tree", browser, 307, "text/html", "", ""},
		{"with too many", "GET", "/tree//x", browser, 307, "text/html", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			if tt.accept != "" {
				r.Header.Set("Accept", tt.accept)
			}
			w := serve(h, r)
			status := w.Code
			if status == 301 {
				status = 307 // net/http has used both
			}
			if status != tt.status || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.kind) || !strings.Contains(w.Body.String(), tt.says) || w.Header().Get("Allow") != tt.allow {
				t.Errorf("status %d, headers %v:\n%s", w.Code, w.Header(), w.Body)
			}
		})
	}
}

func TestProtectAnswersStrangers(t *testing.T) {
	site := newSite(t, nil)
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	tests := []struct {
		name   string
		deny   http.Handler
		accept string
		lang   string
		kind   string
		says   string
	}{
		{"page in Chinese", site.Stranger(), "text/html", "zh", "text/html", "此请求来自其他网站"},
		{"page in English", site.Stranger(), "text/html", "en", "text/html", "sent by a page of another site"},
		{"program", site.Stranger(), "*/*", "en", "application/json", `"denied"`},
		{"no handler", nil, "text/html", "zh", "application/json", `"denied"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/desk", strings.NewReader("a=b"))
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Accept", tt.accept)
			r.Header.Set("Accept-Language", tt.lang)
			w := serve(web.Protect(never, 100, tt.deny), r)
			header := w.Header()
			if w.Code != 403 || !strings.HasPrefix(header.Get("Content-Type"), tt.kind) || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("status %d, headers %v:\n%s", w.Code, header, w.Body)
			}
			if header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("headers %v", header)
			}
			if tt.kind == "application/json" {
				var body answer
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error != "denied" {
					t.Errorf("%+v, %v", body, err)
				}
			}
		})
	}
}

func TestSiteWithoutSignIn(t *testing.T) {
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "站", EN: "Site"}, SignIn: "-"})
	if err != nil {
		t.Fatal(err)
	}
	w := serve(site.Fail(fault.New(fault.Denied, "x")), func() *http.Request {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Header.Set("Accept", "text/html")
		return r
	}())
	if body := w.Body.String(); w.Code != 403 || strings.Contains(body, "/login") || strings.Contains(body, "演示") || strings.Contains(body, `class="bar"`) {
		t.Errorf("status %d:\n%s", w.Code, body)
	}
}
