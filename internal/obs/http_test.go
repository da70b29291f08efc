package obs_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/signet-city/signet/internal/obs"
)

// site has one handler for each way to answer.
func site(log *bytes.Buffer, reg prometheus.Registerer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /licenses/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, obs.RequestID(r.Context()))
	})
	mux.HandleFunc("GET /silent", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /panic/{how}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		switch r.PathValue("how") {
		case "value":
			panic("resident 440101199001011234")
		case "late":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			panic("late")
		case "abort":
			panic(http.ErrAbortHandler)
		default:
			var none []int
			none[len(r.URL.Path)] = 1
		}
	})
	return obs.Middleware(obs.NewLogger(log, nil, true), reg, mux)
}

func TestMiddlewareGivesEachRequestAnID(t *testing.T) {
	var log bytes.Buffer
	h := site(&log, prometheus.NewRegistry())
	seen := map[string]bool{}
	for range 3 {
		r := httptest.NewRequest("GET", "/licenses/440101199001011234?name=x", nil)
		r.Header.Set("X-Request-Id", "forged")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		id := w.Header().Get("X-Request-Id")
		if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(id) || w.Body.String() != id || seen[id] {
			t.Errorf("id %q, in the handler %q, seen before: %v", id, w.Body, seen[id])
		}
		seen[id] = true
		if !strings.Contains(log.String(), `"request":"`+id+`"`) {
			t.Errorf("the log lacks %s: %s", id, &log)
		}
	}
	if strings.Contains(log.String(), "440101") || strings.Contains(log.String(), "forged") {
		t.Errorf("the log holds what was asked for: %s", &log)
	}
}

func TestMiddlewareSurvivesPanics(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	h := site(&log, reg)
	for _, how := range []string{"runtime", "value"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/panic/"+how, nil))
		want := `{"error":"internal","message":"internal error","reference":"` + w.Header().Get("X-Request-Id") + `"}` + "\n"
		if w.Code != 500 || w.Body.String() != want || w.Header().Get("Etag") != "" {
			t.Errorf("%s: %d %v %s", how, w.Code, w.Header(), w.Body)
		}
	}
	if !strings.Contains(log.String(), "out of range") || strings.Contains(log.String(), "440101") {
		t.Errorf("log %s", &log)
	}
	if got := scrape(t, reg); !strings.Contains(got, "signet_http_panics_total 2") {
		t.Error(got)
	}
}

func TestMiddlewareCutsTheConnectionAfterALatePanic(t *testing.T) {
	var log bytes.Buffer
	server := httptest.NewServer(site(&log, prometheus.NewRegistry()))
	defer server.Close()
	for _, how := range []string{"late", "abort"} {
		resp, err := http.Get(server.URL + "/panic/" + how)
		if err != nil {
			continue // cut before the header: as good
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%s: the answer ended as if it were whole", how)
		}
		resp.Body.Close()
	}
}

func TestMiddlewareBoundsLabels(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := site(new(bytes.Buffer), reg)
	again := site(new(bytes.Buffer), reg) // a second listener shares the registry
	for _, r := range []*http.Request{
		httptest.NewRequest("GET", "/licenses/1", nil),
		httptest.NewRequest("GET", "/licenses/2", nil),
		httptest.NewRequest("GET", "/nowhere/440101199001011234", nil),
		httptest.NewRequest("BREW", "/pot", nil),
		httptest.NewRequest("GET", "/silent", nil),
	} {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	again.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/licenses/3", nil))
	got := scrape(t, reg)
	for _, want := range []string{
		`signet_http_request_duration_seconds_count{class="2xx",method="GET",route="GET /licenses/{id}"} 3`,
		`signet_http_request_duration_seconds_count{class="2xx",method="GET",route="GET /silent"} 1`,
		`signet_http_request_duration_seconds_count{class="4xx",method="GET",route="none"} 1`,
		`signet_http_request_duration_seconds_count{class="4xx",method="other",route="none"} 1`,
		`signet_http_requests_in_flight 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("metrics lack %s:\n%s", want, got)
		}
	}
	if strings.Contains(got, "440101") || strings.Contains(got, "BREW") {
		t.Errorf("a label holds what was asked for:\n%s", got)
	}
}

func scrape(t *testing.T, reg prometheus.Gatherer) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
