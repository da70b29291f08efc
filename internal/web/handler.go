package web

import (
	"context"
	"encoding/json/v2"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
)

// Handler makes an http.Handler of f. An error that f returns is answered with
//
//	{"error": KIND, "message": SENTENCE, "problems": [{"path", "message"}], "reference": REQUEST ID}
//
// where KIND is that of internal/fault. For kind internal the message is
// "internal error" and there are no problems; the cause goes to log, which may be
// nil. f must return an error before it has written anything: afterwards the
// connection is cut, so that the client does not take half an answer for one.
func Handler(f func(w http.ResponseWriter, r *http.Request) error, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &tracker{ResponseWriter: w}
		err := checkPath(r)
		if err == nil {
			err = f(t, r)
		}
		if err == nil {
			return
		}
		logFailure(r, log, err)
		if t.written {
			panic(http.ErrAbortHandler)
		}
		writeFailure(w, r, err)
	})
}

// checkPath refuses a path with NUL or with what is no UTF-8, which names nothing:
// PostgreSQL has no such text.
func checkPath(r *http.Request) error {
	if strings.IndexByte(r.URL.Path, 0) >= 0 || !utf8.ValidString(r.URL.Path) {
		return fault.New(fault.NotFound, "nothing is there")
	}
	return nil
}

// Status returns the HTTP status with which Handler answers err.
func Status(err error) int {
	var c *challenge
	if errors.As(err, &c) && c.status != 0 {
		return c.status
	}
	switch kindOf(err) {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Denied:
		return http.StatusForbidden
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	default:
		return http.StatusInternalServerError
	}
}

// kindOf returns the kind of err's fault. Two errors of the standard library have
// a kind although they carry none: a body cut off by its limit, and a deadline.
func kindOf(err error) fault.Kind {
	if kind := fault.KindOf(err); kind != fault.Internal {
		return kind
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fault.TooLarge
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Unavailable
	default:
		return fault.Internal
	}
}

// logFailure logs an internal error with its cause and a lack of service with
// its cause; of what a caller did wrong it logs the kind only, because the
// details may be personal.
func logFailure(r *http.Request, log *slog.Logger, err error) {
	ctx, kind := r.Context(), kindOf(err)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		log.DebugContext(ctx, "client went away", slog.String("route", r.Pattern))
	case kind == fault.Internal:
		log.ErrorContext(ctx, "internal error", slog.String("route", r.Pattern), slog.Any("cause", err))
	case kind == fault.Unavailable:
		log.WarnContext(ctx, "unavailable", slog.String("route", r.Pattern), slog.Any("cause", err))
	default:
		log.DebugContext(ctx, "request refused", slog.String("route", r.Pattern), slog.String("kind", kind.String()))
	}
}

// failure is the body of every answer that is not a success.
type failure struct {
	Error     string          `json:"error"`
	Message   string          `json:"message"`
	Problems  []fault.Problem `json:"problems,omitempty"`
	Reference string          `json:"reference,omitempty"`
}

// writeFailure writes the answer for err.
func writeFailure(w http.ResponseWriter, r *http.Request, err error) {
	kind := kindOf(err)
	body := failure{Error: kind.String(), Message: message(kind, err), Reference: obs.RequestID(r.Context())}
	if kind != fault.Internal {
		body.Problems = fault.Problems(err)
	}
	b, marshalErr := json.Marshal(body)
	if marshalErr != nil { // only a sentence that is not UTF-8 could do this
		b = []byte(`{"error":"internal","message":"internal error"}`)
	}
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Content-Length", "Content-Disposition", "Etag", "Last-Modified", "Location"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	var c *challenge
	if errors.As(err, &c) && c.header != "" {
		h.Set("WWW-Authenticate", c.header)
		if c.nonce != "" {
			h.Set("DPoP-Nonce", c.nonce)
		}
	}
	if kind == fault.Unavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(Status(err))
	// The client may be gone: there is nobody left to tell.
	_, _ = w.Write(append(b, '\n'))
}

// message returns the public sentence for err.
func message(kind fault.Kind, err error) string {
	if fault.KindOf(err) == fault.Internal {
		switch kind {
		case fault.TooLarge:
			return "the body is too large"
		case fault.Unavailable:
			return "no answer in time, try again"
		}
	}
	return fault.Public(err)
}

// tracker remembers whether an answer was begun.
type tracker struct {
	http.ResponseWriter
	written bool
}

// WriteHeader implements http.ResponseWriter.
func (t *tracker) WriteHeader(status int) {
	t.written = t.written || status >= 200
	t.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (t *tracker) Write(b []byte) (int, error) {
	t.written = true
	return t.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (t *tracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }
