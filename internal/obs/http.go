package obs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Middleware gives each request an id, which stands in its context, in its log
// records and in the answer's X-Request-Id; times and counts it; logs it; and
// turns a panic of next into status 500 with the id as the only explanation.
//
// The pattern of the route is read from the request after next has run: a
// handler between Middleware and the multiplexer must pass the same request on,
// or its route is counted as "none". Several listeners may share one registerer.
func Middleware(log *slog.Logger, reg prometheus.Registerer, next http.Handler) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m := newMetrics(reg)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := newRequestID()
		w.Header().Set("X-Request-Id", id)
		r = r.WithContext(WithRequestID(r.Context(), id))
		rec := &recorder{ResponseWriter: w}
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		aborted := serve(rec, r, next, log, m.panics)
		took := time.Since(start)
		m.observe(r, rec.code(), took)
		log.LogAttrs(r.Context(), levelOf(rec.code()), "request", slog.String("method", methodOf(r)),
			slog.String("route", routeOf(r)), slog.Int("status", rec.code()), slog.Int64("bytes", rec.bytes),
			slog.Duration("took", took))
		if aborted {
			panic(http.ErrAbortHandler)
		}
	})
}

// serve runs next and survives its panic. It reports whether the connection must
// be cut because an answer was already under way.
func serve(rec *recorder, r *http.Request, next http.Handler, log *slog.Logger, panics prometheus.Counter) (aborted bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler {
			aborted = true
			return
		}
		panics.Inc()
		logPanic(r.Context(), log, v)
		if rec.status != 0 {
			aborted = true
			return
		}
		answerPanic(rec, RequestID(r.Context()))
	}()
	next.ServeHTTP(rec, r)
	return false
}

// logPanic logs where the panic came from. A value that is not the runtime's own
// may hold what a person typed, so only its type is logged.
func logPanic(ctx context.Context, log *slog.Logger, v any) {
	what := fmt.Sprintf("%T", v)
	if e, ok := v.(runtime.Error); ok {
		what = e.Error()
	}
	log.LogAttrs(ctx, slog.LevelError, "handler panicked", slog.String("panic", what), slog.String("stack", string(debug.Stack())))
}

// answerPanic writes the same body that internal/web writes for an internal
// error.
func answerPanic(w http.ResponseWriter, id string) {
	h := w.Header()
	for name := range h {
		if name != "X-Request-Id" {
			h.Del(name)
		}
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusInternalServerError)
	// The client may be gone: there is nobody left to tell.
	_, _ = io.WriteString(w, `{"error":"internal","message":"internal error","reference":"`+id+`"}`+"\n")
}

// levelOf returns the level at which an answered request is logged.
func levelOf(status int) slog.Level {
	if status >= 500 {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// recorder remembers the status and size of an answer.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the header is written
	bytes  int64
}

// WriteHeader implements http.ResponseWriter. Informational statuses are passed
// on and not remembered: the real one follows.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// code returns the status sent, 200 for a handler that wrote nothing.
func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
