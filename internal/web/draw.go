package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// frame is what the frame's template sees.
type frame struct {
	Site     Text
	Demo     bool
	Page     Page
	Visitor  Visitor
	Identity *Identity
	Places   []placed
	SignIn   string            // address to sign in and come back, "" for no such link
	Switch   map[string]string // addresses of this page in another look: zh, en, large, normal
}

// placed is a Place in one page's head.
type placed struct {
	Place
	Here string // aria-current: "page", "true" on a page below it, "" elsewhere
}

// Render writes a page. It fails, with nothing written, if the template does.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, page Page) error {
	v := visitorOf(r.Context())
	b, err := p.draw(v, IdentityOf(r.Context()), address(r), page)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(v.Lang))
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language, Cookie")
	// With no-referrer a browser would send "Origin: null" with our own forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", policy(page.FormTo))
	if page.Status != 0 {
		w.WriteHeader(page.Status)
	}
	_, _ = w.Write(b)
	return nil
}

// policy allows what pages are made of: our own files. Browsers apply form-action
// to the redirects after a form too. Anything but an origin is left out of it: it
// could add directives.
func policy(formTo string) string {
	if u, err := url.Parse(formTo); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(formTo, "; ,'\"") {
		formTo = ""
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"form-action " + strings.TrimSpace("'self' "+formTo) + "; frame-ancestors 'none'; base-uri 'none'"
}

// address is where the page that answers r can be read again. A form that was
// sent back is read again where it came from: what it was sent to may take no GET.
func address(r *http.Request) *url.URL {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return r.URL
	}
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host == "" || from.Host != r.Host {
		return r.URL
	}
	return from
}

// Draw returns a page as its visitor sees it, for those who keep pages in files.
func (p *Pages) Draw(v Visitor, id *Identity, page Page) ([]byte, error) {
	return p.draw(v, id, &url.URL{Path: "/"}, page)
}

func (p *Pages) draw(v Visitor, id *Identity, at *url.URL, page Page) ([]byte, error) {
	read := p.set[v.Lang][page.Template]
	if read == nil {
		return nil, fmt.Errorf("no page %q", page.Template)
	}
	t, err := read()
	if err != nil {
		return nil, fmt.Errorf("read page %s: %w", page.Template, err)
	}
	f := frame{Site: p.site.o.Name, Demo: p.site.o.Demo, Page: page, Visitor: v, Identity: id,
		Places: p.site.places(id, at.Path), Switch: switches(at)}
	if id == nil {
		f.SignIn = p.site.signIn(at)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame", f); err != nil {
		return nil, fmt.Errorf("draw page %s: %w", page.Template, err)
	}
	return b.Bytes(), nil
}

// places returns what the page at path leads id to.
func (s *Site) places(id *Identity, path string) []placed {
	var list []placed
	for _, place := range s.o.Places {
		if place.For != nil && !place.For(id) {
			continue
		}
		here := ""
		switch {
		case path == place.Path:
			here = "page"
		case place.Path != "/" && strings.HasPrefix(path, strings.TrimSuffix(place.Path, "/")+"/"):
			here = "true"
		}
		list = append(list, placed{place, here})
	}
	return list
}

// signIn returns where to sign in and come back to the page at that address.
func (s *Site) signIn(at *url.URL) string {
	switch {
	case s.o.SignIn == "" || at.Path == s.o.SignIn:
		return ""
	case at.Path == "/" || at.Path == "/logout":
		return s.o.SignIn
	}
	return s.o.SignIn + "?next=" + url.QueryEscape(LocalPath(at.RequestURI()))
}

// switches returns the page's own address with each of the looks asked for.
func switches(at *url.URL) map[string]string {
	path := LocalPath(at.EscapedPath())
	m := map[string]string{}
	for name, param := range looks {
		q := at.Query()
		q.Set(param, name)
		m[name] = path + "?" + q.Encode()
	}
	return m
}
