package scanner

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

//go:embed all:dist
var dist embed.FS

// Policy is the page's Content-Security-Policy. WebAssembly needs
// 'wasm-unsafe-eval', which allows no eval of scripts; a picture that was chosen is
// a blob.
const Policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; " +
	"connect-src 'self'; worker-src 'self'; manifest-src 'self'; media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// base is where the page lives. A service worker at sw.js controls no more.
const base = "/verify/"

// Built says whether npm has made the page. Without it Mount serves a page that
// says so.
func Built() bool {
	_, err := fs.Stat(dist, "dist/index.html")
	return err == nil
}

// file is one file of the page.
type file struct {
	body   []byte
	packed func() []byte // by gzip, made when first asked for; nil where it gains nothing
	kind   string
	etag   string
	cache  string
}

// Mount serves the page at /verify/ and sends /verify there. log may be nil.
func Mount(mux *http.ServeMux, log *slog.Logger) {
	mux.Handle("GET /verify", http.RedirectHandler(base, http.StatusPermanentRedirect))
	files := load()
	mux.Handle("GET "+base, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
		name := strings.TrimPrefix(r.URL.Path, base)
		if name == "" {
			name = "index.html"
		}
		f, ok := files[name]
		switch {
		case !ok && name == "index.html":
			return unbuilt(w)
		case !ok:
			return fault.New(fault.NotFound, "there is nothing at this address")
		}
		f.serve(w, r, name)
		return nil
	}, log))
}

func (f *file) serve(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	harden(h)
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", f.cache)
	body, etag := f.body, f.etag
	if name == "index.html" {
		v := web.VisitorOf(r)
		body, etag = look(f.body, v), etag+"-"+string(v.Lang)
		if v.Large {
			etag += "-large"
		}
		h.Set("Vary", "Accept-Language, Cookie")
	} else if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if r.Header.Get("Range") == "" && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body, etag = f.packed(), etag+"-gzip"
		}
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func harden(h http.Header) {
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "camera=(self), microphone=(), geolocation=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// unlooked is how the page begins as npm made it.
const unlooked = `<html lang="zh">`

// look begins the page as its visitor wants the site's pages; what he chooses on
// this one is kept by his browser.
func look(page []byte, v web.Visitor) []byte {
	begin := `<html lang="` + string(v.Lang) + `"`
	if v.Large {
		begin += ` class="large"`
	}
	return bytes.Replace(page, []byte(unlooked), []byte(begin+">"), 1)
}

func unbuilt(w http.ResponseWriter) error {
	h := w.Header()
	harden(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, err := w.Write([]byte("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Check a permit</title>\n" +
		"<h1>This page has not been built</h1>\n<p>Run <code>make build</code>.</p>\n<p lang=\"zh\">页面尚未生成，请运行 <code>make build</code>。</p>\n"))
	return err
}

// load reads the files that npm made. Those under assets/ have their hash in their
// name, so that they may be kept for good; the others must be asked for again.
func load() map[string]*file {
	files := map[string]*file{}
	_ = fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name()[0] == '.' {
			return err
		}
		body, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		f := &file{body: body, kind: kindOf(name), etag: hex.EncodeToString(sum[:16]), cache: "no-cache"}
		name = strings.TrimPrefix(name, "dist/")
		if strings.HasPrefix(name, "assets/") {
			f.cache = "public, max-age=31536000, immutable"
		}
		if len(body) > 1024 {
			f.packed = sync.OnceValue(func() []byte { return pack(body) })
		}
		files[name] = f
		return nil
	})
	return files
}

// kindOf does not leave to the machine's tables what a browser must be told.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json":
		return "application/json"
	case ".wasm":
		return "application/wasm"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		return kind
	}
	return "application/octet-stream"
}

func pack(body []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	_, _ = z.Write(body) // b is in memory
	_ = z.Close()
	return b.Bytes()
}
