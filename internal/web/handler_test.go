package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/web"
)

// answer is the body that CONTRACT-level clients rely on.
type answer struct {
	Error     string          `json:"error"`
	Message   string          `json:"message"`
	Problems  []fault.Problem `json:"problems"`
	Reference string          `json:"reference"`
}

func TestHandlerTranslatesErrors(t *testing.T) {
	problem := fault.Problem{Path: "/holder/uscc", Message: "has a wrong check digit"}
	secret := errors.New("dial 10.0.0.7: password of 张三")
	tests := []struct {
		name   string
		err    error
		status int
		want   answer
	}{
		{"invalid", fault.InvalidInput("the licence is not complete", problem), 400,
			answer{"invalid", "the licence is not complete", []fault.Problem{problem}, "ref1"}},
		{"not found", fault.New(fault.NotFound, "no such licence"), 404, answer{"not_found", "no such licence", nil, "ref1"}},
		{"conflict", fault.Wrap(fault.Conflict, "already revoked", secret), 409, answer{"conflict", "already revoked", nil, "ref1"}},
		{"denied", fault.New(fault.Denied, "not your agency"), 403, answer{"denied", "not your agency", nil, "ref1"}},
		{"unavailable", fault.Wrap(fault.Unavailable, "try again", secret), 503, answer{"unavailable", "try again", nil, "ref1"}},
		{"too large", fault.New(fault.TooLarge, "more than 10 lines"), 413, answer{"too_large", "more than 10 lines", nil, "ref1"}},
		{"unknown error", secret, 500, answer{"internal", "internal error", nil, "ref1"}},
		{"internal fault", fault.Wrap(fault.Internal, "the key of agency 7", secret), 500, answer{"internal", "internal error", nil, "ref1"}},
		{"wrapped fault", fmt.Errorf("find licence: %w", fault.New(fault.NotFound, "no such licence")), 404,
			answer{"not_found", "no such licence", nil, "ref1"}},
		{"limit of the body", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 3}), 413, answer{"too_large", "the body is too large", nil, "ref1"}},
		{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), 503,
			answer{"unavailable", "no answer in time, try again", nil, "ref1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := web.Handler(func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("ETag", `"stale"`) // of the answer that was not to be
				return tt.err
			}, nil)
			r := httptest.NewRequest("GET", "/x", nil)
			r = r.WithContext(obs.WithRequestID(r.Context(), "ref1"))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || web.Status(tt.err) != tt.status {
				t.Errorf("status %d, Status() %d, want %d", w.Code, web.Status(tt.err), tt.status)
			}
			var got answer
			decode(t, w, &got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if w.Header().Get("Etag") != "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("headers of a failure: %v", w.Header())
			}
		})
	}
}

func TestHandlerLogsCausesOnlyOfOurOwnFailures(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string // in the log
		no   string // never in the log
	}{
		{"internal", errors.New("disk full"), "disk full", ""},
		{"unavailable", fault.Wrap(fault.Unavailable, "try again", errors.New("connection refused")), "connection refused", ""},
		{"invalid", fault.InvalidInput("wrong", fault.Problem{Path: "/name", Message: "张三"}), "", "张三"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			h := web.Handler(func(http.ResponseWriter, *http.Request) error { return tt.err }, obs.NewLogger(&log, nil, true))
			r := httptest.NewRequest("GET", "/x?name=张三", nil)
			h.ServeHTTP(httptest.NewRecorder(), r.WithContext(obs.WithRequestID(r.Context(), "ref1")))
			if !strings.Contains(log.String(), tt.want) {
				t.Errorf("log lacks %q: %s", tt.want, &log)
			}
			if tt.want != "" && !strings.Contains(log.String(), `"request":"ref1"`) {
				t.Errorf("log lacks the reference: %s", &log)
			}
			if tt.no != "" && strings.Contains(log.String(), tt.no) {
				t.Errorf("log holds %q: %s", tt.no, &log)
			}
		})
	}
}

func TestHandlerCutsAnAnswerUnderWay(t *testing.T) {
	server := httptest.NewServer(web.Handler(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush() // proves that Unwrap reaches the connection
		return errors.New("then the disk was gone")
	}, nil))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err == nil {
		t.Fatalf("a cut answer was read to its end: %q", &b)
	}
	if strings.Contains(b.String(), "internal") {
		t.Errorf("a second answer inside the first: %q", &b)
	}
}

func decode(t *testing.T, w *httptest.ResponseRecorder, v any) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
}
