package web_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/web"
)

func TestProtect(t *testing.T) {
	h := web.Protect(web.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.ReadAll(r.Body); err != nil {
			return err
		}
		return web.WriteJSON(w, 200, "done")
	}, nil), 8, nil)
	tests := []struct {
		name, method, body string
		header             [2]string
		status             int
	}{
		{"plain client", "POST", "12345678", [2]string{}, 200},
		{"too long", "POST", "123456789", [2]string{}, 413},
		{"same site page", "POST", "", [2]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"foreign page", "POST", "", [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"foreign origin", "POST", "", [2]string{"Origin", "https://evil.example"}, 403},
		{"foreign link", "GET", "", [2]string{"Sec-Fetch-Site", "cross-site"}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "http://city.example/", strings.NewReader(tt.body))
			if tt.header[0] != "" {
				r.Header.Set(tt.header[0], tt.header[1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if w.Code == 200 && !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("policy %q", w.Header().Get("Content-Security-Policy"))
			}
		})
	}
}

// TestProtectPasses: a form that other sites are meant to send comes through, and
// nothing beside it.
func TestProtectPasses(t *testing.T) {
	h := web.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), 8, nil, "POST /form")
	for target, status := range map[string]int{"POST /form": 200, "POST /form/confirm": 403, "POST /": 403, "PUT /form": 403, "POST /Form": 403} {
		method, path, _ := strings.Cut(target, " ")
		r := httptest.NewRequest(method, "http://city.example"+path, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%s: status %d, want %d", target, w.Code, status)
		}
	}
}

func TestServerBoundsHeaders(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := web.Server(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= 0 || server.WriteTimeout <= 0 || server.IdleTimeout <= 0 {
		t.Errorf("a timeout is missing: %+v", server)
	}
	go server.Serve(listener)
	defer server.Close()
	r, err := http.NewRequest("GET", "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("a", 64<<10))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}
