package obs_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-city/signet/internal/obs"
)

// get returns the status and body of one address.
func get(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		health, mux := obs.NewHealth(), http.NewServeMux()
		health.Logger = obs.NewLogger(&log, nil, true)
		health.Mount(mux)
		if code, body := get(mux, "/readyz"); code != 200 || body != `{"failing":[],"ready":true}` {
			t.Errorf("without checks: %d %s", code, body)
		}
		var down error
		runs := 0
		health.Add("database", func(context.Context) error { runs++; return down })
		health.Add("keys", func(context.Context) error { return nil })
		for range 5 {
			if code, _ := get(mux, "/readyz"); code != 200 {
				t.Errorf("all hold: %d", code)
			}
		}
		if runs != 1 {
			t.Errorf("%d runs in one second", runs)
		}
		down = errors.New("connection refused at 10.0.0.7")
		time.Sleep(time.Second)
		code, body := get(mux, "/readyz")
		if code != 503 || body != `{"failing":["database"],"ready":false}` {
			t.Errorf("database down: %d %s", code, body)
		}
		if !strings.Contains(log.String(), "connection refused") {
			t.Errorf("log %q", &log)
		}
		if code, body := get(mux, "/healthz"); code != 200 || body != `{"alive":true}` {
			t.Errorf("alive: %d %s", code, body)
		}
	})
}

func TestHealthDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health, release := obs.NewHealth(), make(chan struct{})
		defer close(release)
		health.Add("stuck", func(context.Context) error { <-release; return nil })
		health.Add("panics", func(context.Context) error { panic("x") })
		start := time.Now()
		all := health.Check(t.Context())
		if all["stuck"] == nil || all["panics"] == nil {
			t.Errorf("outcome %v", all)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestHealthSurvivesAClientThatGoesAway(t *testing.T) {
	health := obs.NewHealth()
	health.Add("database", func(ctx context.Context) error { return ctx.Err() })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := health.Check(gone)["database"]; err != nil {
		t.Errorf("one client's departure made the program unready: %v", err)
	}
}
