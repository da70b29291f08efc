package obs_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/obs"
)

func TestDebugHandler(t *testing.T) {
	tests := []struct {
		name, method, host, path, body, origin string
		status                                 int
		contains                               string
	}{
		{"metrics", "GET", "127.0.0.1:9090", "/metrics", "", "", 200, "go_goroutines"},
		{"metrics by name", "GET", "localhost:9090", "/metrics", "", "", 200, "go_goroutines"},
		{"metrics by IPv6", "GET", "[::1]:9090", "/metrics", "", "", 200, "go_goroutines"},
		{"without port", "GET", "[::1]", "/metrics", "", "", 200, "go_goroutines"},
		{"rebound name", "GET", "evil.example:9090", "/metrics", "", "", 403, ""},
		{"lookalike", "GET", "localhost.evil.example", "/metrics", "", "", 403, ""},
		{"address of the network", "GET", "192.0.2.1:9090", "/metrics", "", "", 403, ""},
		{"no host", "GET", "", "/metrics", "", "", 403, ""},
		{"profiles", "GET", "localhost", "/debug/pprof/", "", "", 200, "goroutine"},
		{"goroutines", "GET", "localhost", "/debug/pprof/goroutine?debug=1", "", "", 200, "goroutine profile"},
		{"read level", "GET", "localhost", "/debug/loglevel", "", "", 200, "info"},
		{"set level", "PUT", "localhost", "/debug/loglevel", "debug\n", "", 204, ""},
		{"set unknown level", "PUT", "localhost", "/debug/loglevel", "loud", "", 400, ""},
		{"set endless level", "PUT", "localhost", "/debug/loglevel", strings.Repeat("x", 17), "", 413, ""},
		{"set by a page", "PUT", "localhost", "/debug/loglevel", "debug", "https://evil.example", 403, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var level slog.LevelVar
			h := obs.DebugHandler(obs.NewRegistry(), &level)
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			r.Host = tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) {
				t.Errorf("%d %.200s", w.Code, w.Body)
			}
			want := slog.LevelInfo
			if tt.status == 204 {
				want = slog.LevelDebug
			}
			if level.Level() != want {
				t.Errorf("level is %v", level.Level())
			}
		})
	}
}
