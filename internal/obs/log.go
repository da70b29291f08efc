package obs

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
)

// requestIDKey is the context key of the request id.
type requestIDKey struct{}

// WithRequestID returns a context whose log records carry id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that WithRequestID stored, "" if there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// newRequestID returns 26 random lowercase letters and digits. Ids are made here
// and never taken from a request, so that nobody can forge the reference that a
// citizen reads out to the help desk.
func newRequestID() string { return strings.ToLower(rand.Text()) }

// NewLogger returns a logger that writes to w, one line per record, as JSON or
// as key=value text, and adds the request id found in the record's context. A
// nil level means Info and cannot be changed later.
func NewLogger(w io.Writer, level *slog.LevelVar, json bool) *slog.Logger {
	if level == nil {
		level = new(slog.LevelVar)
	}
	options := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(requestHandler{slog.NewJSONHandler(w, options)})
	}
	return slog.New(requestHandler{slog.NewTextHandler(w, options)})
}

// requestHandler adds the request id to each record.
type requestHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}
