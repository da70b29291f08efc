package web

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed templates assets
var own embed.FS

// SiteOptions are what NewSite needs.
type SiteOptions struct {
	Name     Text                                     // of the site, in every page's head
	Identify func(r *http.Request) (*Identity, error) // nil, or a nil Identity, for nobody
	Places   []Place                                  // what every page's head leads to; nil for nothing
	SignIn   string                                   // address of the page to sign in at; "" means /login, "-" that there is none
	Demo     bool                                     // every page says that the people and firms are invented
	Logger   *slog.Logger                             // nil discards
}

// Place is a part of the site that every page's head leads to.
type Place struct {
	Path  string // of its first page: it is marked on every page below it
	Label Text
	For   func(id *Identity) bool // whether it is shown to id, which is nil for nobody; nil means to all
}

// Site is what all pages share: frame, looks, languages and files.
type Site struct {
	o     SiteOptions
	log   *slog.Logger
	files map[string]asset // by path
	paths map[string]string
	pages *Pages // of the site itself: failures
}

// asset is a file whose address holds its hash, so that it is kept for good.
type asset struct {
	contentType string
	body        []byte
}

// NewSite returns the site. It fails if its own templates are broken.
func NewSite(o SiteOptions) (*Site, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch o.SignIn {
	case "":
		o.SignIn = "/login"
	case "-":
		o.SignIn = ""
	}
	if o.Identify == nil {
		o.Identify = func(*http.Request) (*Identity, error) { return nil, nil }
	}
	s := &Site{o: o, log: o.Logger, files: map[string]asset{}, paths: map[string]string{}}
	var err error
	s.pages, err = s.Pages(own)
	return s, err
}

// Mount adds /assets/ to mux. Pages are mounted by those who have them, before or
// after.
func (s *Site) Mount(mux *http.ServeMux) {
	nothing := s.Fail(errNowhere)
	// Nobody is asked who they are for a file.
	mux.Handle("GET /assets/{name}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := s.files[r.URL.Path]
		if !ok {
			nothing.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(a.body)
	}))
}

// Files returns the bodies of all assets by their paths, for those who keep pages
// in files.
func (s *Site) Files() map[string][]byte {
	files := map[string][]byte{}
	for name, a := range s.files {
		files[name] = a.body
	}
	return files
}

// Pages are the pages of one package: a template per file.
type Pages struct {
	site *Site
	set  map[Lang]map[string]func() (*template.Template, error)
}

// Parse reads every page, and fails if one is broken. Without it a page is read when it
// is shown for the first time: all of a city's take 15 MB, which the garbage collector
// would look through again and again for pages that nobody opens.
func (p *Pages) Parse() error {
	var errs []error
	for lang, set := range p.set {
		for name, page := range set {
			if _, err := page(); err != nil {
				errs = append(errs, fmt.Errorf("page %s in %s: %w", name, lang, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Pages finds the pages of a package. f holds templates/NAME.html, each of which
// defines "content" (and may define "head"), templates/parts/*.html, which any of them
// uses, and assets/*. It is for start-up: a Site does not change while it serves.
//
// In a template {{t "中文" "English"}} gives the sentence in the visitor's
// language and {{in .X}} does so for a Text; {{asset "x.css"}} is a file's
// address, {{date .T}} and {{clock .T}} tell a time in Shanghai. The templates
// "field", "problems" and "button" belong to the site.
func (s *Site) Pages(f fs.FS) (*Pages, error) {
	p := &Pages{site: s, set: map[Lang]map[string]func() (*template.Template, error){ZH: {}, EN: {}}}
	if err := s.addAssets(f); err != nil {
		return nil, err
	}
	names, err := fs.Glob(f, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for lang, set := range p.set {
		base, err := template.New("frame").Funcs(s.funcs(lang)).Option("missingkey=error").ParseFS(own, "templates/parts/*.html")
		if err != nil {
			return nil, err
		}
		if shared, _ := fs.Glob(f, "templates/parts/*.html"); len(shared) > 0 && f != fs.FS(own) {
			if base, err = base.ParseFS(f, "templates/parts/*.html"); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			set[strings.TrimSuffix(path.Base(name), ".html")] = sync.OnceValues(func() (*template.Template, error) {
				page, err := base.Clone()
				if err != nil {
					return nil, err
				}
				return page.ParseFS(f, name)
			})
		}
	}
	return p, nil
}

func (s *Site) addAssets(f fs.FS) error {
	entries, err := fs.ReadDir(f, "assets")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		body, err := fs.ReadFile(f, "assets/"+e.Name())
		if err != nil {
			return err
		}
		if s.paths[e.Name()] != "" {
			return fmt.Errorf("two files are named %s", e.Name())
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(e.Name())
		address := "/assets/" + strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		s.files[address] = asset{mime.TypeByExtension(ext), body}
		s.paths[e.Name()] = address
	}
	return nil
}

var shanghai = time.FixedZone("UTC+8", 8*3600)

func (s *Site) funcs(lang Lang) template.FuncMap {
	return template.FuncMap{
		"t":    func(zh, en string) string { return Text{zh, en}.In(lang) },
		"in":   func(t Text) string { return t.In(lang) },
		"lang": func() string { return string(lang) },
		"asset": func(name string) (string, error) {
			if s.paths[name] == "" {
				return "", fmt.Errorf("no asset %s", name)
			}
			return s.paths[name], nil
		},
		"date": func(t time.Time) string {
			if lang == EN {
				return t.In(shanghai).Format("2 January 2006")
			}
			return t.In(shanghai).Format("2006年1月2日")
		},
		"clock": func(t time.Time) string {
			if lang == EN {
				return t.In(shanghai).Format("2 January 2006, 15:04")
			}
			return t.In(shanghai).Format("2006年1月2日 15:04")
		},
	}
}

// Page is one answer.
type Page struct {
	Template string // the file's name without .html
	Title    Text
	Status   int    // 0 means 200
	Data     any    // what the template sees as "."
	Wrong    bool   // the form was sent back with problems: the title says so
	FormTo   string // an origin that the page's forms may lead to besides ours: where a redirect ends
	Wide     bool   // lists and tables
}

// Handler makes an http.Handler of f as the function of that name does, but an
// error is answered with a page in the visitor's language. f finds who is signed
// in by IdentityOf.
func (p *Pages) Handler(f func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if chosen := choose(w, r); chosen != "" {
			http.Redirect(w, r, chosen, http.StatusSeeOther)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, VisitorOf(r)))
		t := &tracker{ResponseWriter: w}
		id, err := p.site.o.Identify(r)
		if err == nil {
			err = checkPath(r)
		}
		if err == nil {
			if id != nil {
				r = r.WithContext(WithIdentity(r.Context(), id))
			}
			err = f(t, r)
		}
		if err == nil {
			return
		}
		logFailure(r, p.site.log, err)
		if t.written {
			panic(http.ErrAbortHandler)
		}
		p.site.fail(w, r, err)
	})
}

// SignedIn is Handler for pages that only somebody signed in may see: others are
// sent to sign in and come back.
func (p *Pages) SignedIn(f func(w http.ResponseWriter, r *http.Request, id *Identity) error) http.Handler {
	return p.Handler(func(w http.ResponseWriter, r *http.Request) error {
		id := IdentityOf(r.Context())
		if id != nil {
			return f(w, r, id)
		}
		next := r.URL.RequestURI()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			next = "/"
		}
		http.Redirect(w, r, "/login?next="+url.QueryEscape(next), http.StatusSeeOther)
		return nil
	})
}
