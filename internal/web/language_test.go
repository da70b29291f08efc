package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/web"
)

func TestVisitorOf(t *testing.T) {
	zh, en := web.Visitor{Lang: web.ZH}, web.Visitor{Lang: web.EN}
	tests := []struct {
		name, accept, cookies string
		want                  web.Visitor
	}{
		{"nothing", "", "", zh},
		{"Chinese", "zh-CN,zh;q=0.9,en;q=0.8", "", zh},
		{"Hong Kong", "zh-HK,zh-TW;q=0.8,en;q=0.5", "", zh},
		{"traditional script", "zh-Hant", "", zh},
		{"English", "en-GB,en;q=0.9", "", en},
		{"English first", "en,zh;q=0.9", "", en},
		{"Chinese weighs more", "en;q=0.3,zh;q=0.9", "", zh},
		{"a language we lack, then English", "fr-FR,en;q=0.5", "", en},
		{"languages we lack", "fr,de", "", en},
		{"a language we lack, then Chinese", "ja,zh;q=0.2", "", zh},
		{"Cantonese", "yue-HK,en;q=0.9", "", zh},
		{"anything", "*", "", zh},
		{"refused language", "en;q=0,zh", "", zh},
		{"no header at all but junk", "\x00\xff;;;,,q=9", "", zh},
		{"endless", strings.Repeat("en-US,", 5000) + "en", "", zh},
		{"cookie", "en", "signet-lang=zh", zh},
		{"cookie the other way", "zh", "signet-lang=en", en},
		{"cookie of a language we lack", "en", "signet-lang=fr", en},
		{"cookie with markup", "zh", `signet-lang=<script>`, zh},
		{"large", "zh", "signet-text=large", web.Visitor{Lang: web.ZH, Large: true}},
		{"normal", "zh", "signet-text=normal", zh},
		{"large as a language", "zh", "signet-lang=large", zh},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tt.accept != "" {
				r.Header.Set("Accept-Language", tt.accept)
			}
			if tt.cookies != "" {
				r.Header.Set("Cookie", tt.cookies)
			}
			if diff := cmp.Diff(tt.want, web.VisitorOf(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// page is one page that says what it was given.
func onePage(t *testing.T, site *web.Site, answer func(w http.ResponseWriter, r *http.Request, render func(web.Page) error) error) http.Handler {
	t.Helper()
	pages, err := site.Pages(fstest.MapFS{"templates/p.html": {Data: []byte(`{{define "content"}}<h1>{{t "页面" "A page"}}</h1>{{.}}{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	return pages.Handler(func(w http.ResponseWriter, r *http.Request) error {
		return answer(w, r, func(p web.Page) error {
			p.Template = "p"
			return pages.Render(w, r, p)
		})
	})
}

func plainPage(_ http.ResponseWriter, r *http.Request, render func(web.Page) error) error {
	return render(web.Page{Title: web.Text{ZH: "页", EN: "Page"}, Data: "x"})
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestSwitches follows what the frame's links ask for: a cookie, and back to the same
// page without the question.
func TestSwitches(t *testing.T) {
	h := onePage(t, newSite(t, nil), plainPage)
	tests := []struct{ name, target, location, cookie string }{
		{"English", "/a/b?lang=en", "/a/b", "signet-lang=en"},
		{"Chinese", "/?lang=zh", "/", "signet-lang=zh"},
		{"large", "/a?text=large", "/a", "signet-text=large"},
		{"normal", "/a?text=normal", "/a", "signet-text=normal"},
		{"the rest of the query stays", "/a?q=%E6%B1%9F&lang=en&p=2", "/a?p=2&q=%E6%B1%9F", "signet-lang=en"},
		{"escaped path", "/a%20b/%2F?lang=en", "/a%20b/%2F", "signet-lang=en"},
		{"a language we lack", "/a?lang=fr", "", ""},
		{"a size as a language", "/a?lang=large", "", ""},
		{"another parameter's end", "/a?xlang=en", "", ""},
		{"two slashes", "//evil.example/?lang=en", "/", "signet-lang=en"},
		{"slash and backslash", "/%5Cevil.example/?lang=en", "/%5Cevil.example/", "signet-lang=en"},
		{"tab", "/%09/evil.example?lang=en", "/%09/evil.example", "signet-lang=en"},
		{"newline in the path", "/%0d%0aSet-Cookie:x?lang=en", "/%0D%0ASet-Cookie:x", "signet-lang=en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			u, err := url.ParseRequestURI(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
			w := serve(h, r)
			if tt.location == "" {
				if w.Code != 200 || w.Header().Get("Set-Cookie") != "" {
					t.Errorf("status %d, headers %v", w.Code, w.Header())
				}
				return
			}
			if w.Code != http.StatusSeeOther || !strings.EqualFold(w.Header().Get("Location"), tt.location) || !strings.HasPrefix(w.Header().Get("Set-Cookie"), tt.cookie+";") {
				t.Errorf("status %d, location %q, cookie %q", w.Code, w.Header().Get("Location"), w.Header().Get("Set-Cookie"))
			}
		})
	}
	t.Run("not by a form", func(t *testing.T) {
		if w := serve(h, httptest.NewRequest("POST", "/a?lang=en", nil)); w.Code != 200 || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("status %d, headers %v", w.Code, w.Header())
		}
	})
}

func TestFrameLinks(t *testing.T) {
	h := onePage(t, newSite(t, nil), plainPage)
	tests := []struct {
		name, method, target, referer string
		has, no                       []string
	}{
		{"place", "GET", "/desk/1?p=2", "", []string{`href="/desk/1?lang=en&amp;p=2"`, `href="/desk/1?p=2&amp;text=large"`, `href="/login?next=%2Fdesk%2F1%3Fp%3D2"`}, nil},
		{"markup in the address", "GET", `/%22%3E%3Cscript%3E?a=%22%3E%3Cscript%3E`, "", []string{`href="/%22%3E%3Cscript%3E?`}, []string{"<script>"}},
		{"at home", "GET", "/", "", []string{`href="/" aria-current="page"`, `href="/login"`}, nil},
		{"below a place", "GET", "/verify/x", "", []string{`href="/verify/" aria-current="true"`}, nil},
		{"where one signs in", "GET", "/login", "", nil, []string{">登录<"}},
		{"a form sent back", "POST", "/desk/1/approve", "http://city.example/desk/1?p=2", []string{`href="/desk/1?lang=en&amp;p=2"`}, []string{"approve"}},
		{"a form of another site", "POST", "/desk/1/approve", "http://evil.example/x", []string{`href="/desk/1/approve?lang=en"`}, []string{"evil"}},
		{"a hostile referer", "POST", "/a", "http://city.example//evil.example/", []string{`href="/?lang=en"`}, []string{"evil.example"}},
		{"no referer", "POST", "/a", "", []string{`href="/a?lang=en"`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "http://city.example"+tt.target, nil)
			if tt.referer != "" {
				r.Header.Set("Referer", tt.referer)
			}
			body := serve(h, r).Body.String()
			for _, text := range tt.has {
				if !strings.Contains(body, text) {
					t.Errorf("lacks %s\n%s", text, body)
				}
			}
			for _, text := range tt.no {
				if strings.Contains(body, text) {
					t.Errorf("has %s\n%s", text, body)
				}
			}
		})
	}
}

func TestFailurePages(t *testing.T) {
	secret := errors.New("dial 10.0.0.7: password of 张三")
	tests := []struct {
		name       string
		err        error
		status     int
		zh, en     string
		reference  bool
		signIn     bool
		retryAfter string
	}{
		{"invalid", fault.Wrap(fault.Invalid, "x", secret), 400, "内容有误", "Something is not right", false, false, ""},
		{"not found", fault.New(fault.NotFound, "x"), 404, "找不到页面", "Page not found", false, false, ""},
		{"conflict", fault.New(fault.Conflict, "x"), 409, "无法重复办理", "This has already changed", false, false, ""},
		{"denied", fault.New(fault.Denied, "x"), 403, "没有权限", "You cannot do this", false, true, ""},
		{"unavailable", fault.Wrap(fault.Unavailable, "x", secret), 503, "服务暂时不可用", "The service is not available", true, false, "1"},
		{"too large", &http.MaxBytesError{Limit: 3}, 413, "内容过大", "Too large", false, false, ""},
		{"unknown error", secret, 500, "系统出现问题", "Something went wrong on our side", true, false, ""},
		{"explained", web.Refuse(fault.Conflict, web.Text{ZH: "已由他人复核", EN: "Somebody has approved it"}), 409, "已由他人复核", "Somebody has approved it", false, false, ""},
		{"an internal error explains nothing", web.Explain(secret, web.Text{ZH: "密码", EN: "password"}), 500, "系统出现问题", "Something went wrong on our side", true, false, ""},
	}
	for _, tt := range tests {
		for lang, want := range map[string]string{"zh": tt.zh, "en": tt.en} {
			t.Run(tt.name+" "+lang, func(t *testing.T) {
				h := onePage(t, newSite(t, nil), func(w http.ResponseWriter, r *http.Request, _ func(web.Page) error) error {
					w.Header().Set("ETag", `"stale"`)
					return tt.err
				})
				r := httptest.NewRequest("GET", "/x", nil)
				r.Header.Set("Accept-Language", lang)
				w := serve(h, r.WithContext(obs.WithRequestID(r.Context(), "ref1")))
				body, header := w.Body.String(), w.Header()
				if w.Code != tt.status || !strings.Contains(body, want) || !strings.Contains(body, `<html lang="`+lang+`">`) {
					t.Errorf("status %d:\n%s", w.Code, body)
				}
				if strings.Contains(body, "ref1") != tt.reference || strings.Contains(body, `class="button" href="/login`) != tt.signIn {
					t.Errorf("reference or sign-in:\n%s", body)
				}
				for _, never := range []string{"10.0.0.7", "张三", "password"} {
					if strings.Contains(body, never) {
						t.Errorf("the page says %q", never)
					}
				}
				if header.Get("Etag") != "" || header.Get("Cache-Control") != "no-store" || header.Get("Content-Language") != lang || header.Get("Retry-After") != tt.retryAfter {
					t.Errorf("headers %v", header)
				}
			})
		}
	}
}
