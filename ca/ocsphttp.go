package ca

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/internal/fault"
)

// mountOCSP adds the responders' addresses. Without KeepSlashes in front of mux,
// requests by GET that hold "//" are redirected to other ones.
func (c *CA) mountOCSP(mux *http.ServeMux) {
	c.route(mux, "POST /ca/{issuer}/ocsp", c.postOCSP)
	c.route(mux, "GET /ca/{issuer}/ocsp", c.getOCSP)
	c.route(mux, "GET /ca/{issuer}/ocsp/{request...}", c.getOCSP)
}

// KeepSlashes goes in front of the multiplexer that Mount or MountPublic was given.
// A request by GET is base64 in the path (RFC 6960 appendix A.1), where many
// clients write a slash as it is; two of them in a row are text, and a ServeMux
// would make them one. So the slashes of such requests are escaped. Other requests
// pass as they are.
func (c *CA) KeepSlashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := escapeRequest(r.URL.EscapedPath())
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		escaped, address := *r, *r.URL
		address.RawPath = path
		escaped.URL = &address
		next.ServeHTTP(w, &escaped)
		r.Pattern = escaped.Pattern // metrics ask for it
	})
}

// escapeRequest returns the path of an OCSP request with the slashes of its text
// escaped; ok is false for other paths and where there is nothing to escape.
func escapeRequest(path string) (escaped string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/ca/")
	if !ok {
		return "", false
	}
	issuer, rest, _ := strings.Cut(rest, "/")
	text, ok := strings.CutPrefix(rest, "ocsp/")
	if !ok || !strings.Contains(text, "/") {
		return "", false
	}
	return "/ca/" + issuer + "/ocsp/" + strings.ReplaceAll(text, "/", "%2F"), true
}

func (c *CA) postOCSP(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxOCSPRequest+1))
	if err != nil {
		body = nil // cut off: malformed
	}
	return c.serveOCSP(w, r, body)
}

func (c *CA) getOCSP(w http.ResponseWriter, r *http.Request) error {
	// The text begins with M, whatever is asked: slashes before it come from an
	// address that was put together carelessly. A space was a plus sign.
	text := strings.ReplaceAll(strings.TrimLeft(r.PathValue("request"), "/"), " ", "+")
	if base64.StdEncoding.DecodedLen(len(text)) > maxOCSPRequest {
		text = ""
	}
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		body = nil
	}
	return c.serveOCSP(w, r, body)
}

// serveOCSP answers in OCSP's own words, always with status 200: clients read no
// answer that comes with another one.
func (c *CA) serveOCSP(w http.ResponseWriter, r *http.Request, body []byte) error {
	issuer := r.PathValue("issuer")
	if _, ok := c.issuers[issuer]; !ok {
		return errNoFile
	}
	q, err := parseOCSPRequest(body)
	if err != nil {
		c.refuseOCSP(w, ocsp.Malformed, ocspMalformed)
		return nil
	}
	a, own, err := c.ocsp.answer(r.Context(), issuer, q)
	if err != nil {
		c.failOCSP(w, r, err)
		return nil
	}
	c.ocsp.metrics.answered[resultNames[a.found.status]].Inc()
	c.writeOCSP(w, r, a, own)
	return nil
}

var resultNames = map[int]string{ocsp.Good: ocspGood, ocsp.Revoked: ocspRevoked, ocsp.Unknown: ocspUnknown}

// Header values that are the same for every answer.
var (
	ocspKind    = []string{"application/ocsp-response"}
	ocspNosniff = []string{"nosniff"}
	ocspNoStore = []string{"no-store"}
	ocspControl = []string{cacheControl(ocspMaxAge)}
)

func cacheControl(age time.Duration) string {
	return fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(age.Seconds()))
}

// writeOCSP writes an answer with what RFC 5019 section 6.2 says about it. Caches
// may keep it for minutes only, so that a revocation reaches those behind them.
func (c *CA) writeOCSP(w http.ResponseWriter, r *http.Request, a *answer, own bool) {
	h := w.Header()
	h["Content-Type"], h["X-Content-Type-Options"] = ocspKind, ocspNosniff
	if own {
		h["Cache-Control"] = ocspNoStore
	} else {
		h["Etag"], h["Last-Modified"], h["Expires"] = a.etag, a.modified, a.expires
		h["Cache-Control"] = ocspControl
		if left := a.until.Sub(c.now()); left < ocspMaxAge {
			h["Cache-Control"] = []string{cacheControl(max(0, left))}
		}
		if r.Method != http.MethodPost && matches(r.Header.Get("If-None-Match"), a.etag[0]) {
			delete(h, "Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	_, _ = w.Write(a.der) // the client may be gone
}

// matches reports whether If-None-Match names the tag (RFC 9110 section 13.1.2).
func matches(header, tag string) bool {
	if header == "" {
		return false
	}
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// failOCSP translates an error of the responder.
func (c *CA) failOCSP(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	switch {
	case kind == fault.Denied || kind == fault.Conflict:
		c.refuseOCSP(w, ocsp.Unauthorized, ocspUnauthorized)
	case kind == fault.Unavailable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		w.Header().Set("Retry-After", "1")
		c.refuseOCSP(w, ocsp.TryLater, ocspTryLater)
		if !errors.Is(err, errOCSPLimit) { // which is counted: nobody shall fill the log
			c.log.WarnContext(r.Context(), "OCSP unavailable", slog.Any("cause", err))
		}
	default:
		c.refuseOCSP(w, ocsp.InternalError, ocspInternal)
		c.log.ErrorContext(r.Context(), "answer OCSP", slog.Any("cause", err))
	}
}

// refuseOCSP writes an answer without a signature (RFC 6960 section 4.2.1).
func (c *CA) refuseOCSP(w http.ResponseWriter, status ocsp.ResponseStatus, result string) {
	c.ocsp.metrics.answered[result].Inc()
	h := w.Header()
	h["Content-Type"], h["X-Content-Type-Options"], h["Cache-Control"] = ocspKind, ocspNosniff, ocspNoStore
	_, _ = w.Write([]byte{0x30, 3, 0x0a, 1, byte(status)})
}
