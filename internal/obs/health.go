package obs

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	checkTimeout  = 2 * time.Second // for each check of readiness
	checkLifetime = time.Second     // how long an answer of /readyz is reused
)

// Health answers whether the program lives and whether it is ready for work.
// Its zero value has no checks and is ready.
type Health struct {
	// Logger gets the reason of each check that did not hold; nil drops it. The
	// answer itself names the check only. Set it before Mount.
	Logger *slog.Logger

	mu     sync.Mutex // held while the checks run, so that a flood costs one run
	checks []check
	last   map[string]error
	ran    time.Time
}

// check is one named condition of readiness.
type check struct {
	name string
	run  func(context.Context) error
}

// NewHealth returns a Health without checks.
func NewHealth() *Health { return new(Health) }

// Add adds a condition of readiness. The check gets a context of two seconds,
// must be safe to call at any time, and must not change anything.
func (h *Health) Add(name string, run func(ctx context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, run})
	h.ran = time.Time{}
}

// Check returns the outcome of every check by name, nil for one that holds. An
// answer younger than a second is given again.
func (h *Health) Check(ctx context.Context) map[string]error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ran.IsZero() && time.Since(h.ran) < checkLifetime {
		return h.last
	}
	// The outcome is shared with whoever asks next: one client that goes away
	// must not make it "cancelled" for the others.
	h.last, h.ran = runChecks(context.WithoutCancel(ctx), h.checks), time.Now()
	for _, name := range failing(h.last) {
		if h.Logger != nil {
			h.Logger.WarnContext(ctx, "not ready", slog.String("check", name), slog.Any("cause", h.last[name]))
		}
	}
	return h.last
}

// runChecks runs all checks at once.
func runChecks(ctx context.Context, checks []check) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome, len(checks))
	for _, c := range checks {
		go func() { outcomes <- outcome{c.name, runCheck(ctx, c)} }()
	}
	all := make(map[string]error, len(checks))
	for _, c := range checks {
		all[c.name] = errNoAnswer
	}
	for range checks {
		select {
		case o := <-outcomes:
			all[o.name] = o.err
		case <-ctx.Done(): // a check that ignores its context counts as failed
			return all
		}
	}
	return all
}

// errNoAnswer is the outcome of a check that did not return in time.
var errNoAnswer = errors.New("no answer in time")

// runCheck runs one check and survives its panic.
func runCheck(ctx context.Context, c check) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("check %s: panic of type %T", c.name, v)
		}
	}()
	return c.run(ctx)
}

// failing returns the sorted names of the checks that do not hold.
func failing(all map[string]error) []string {
	names := []string{}
	for name, err := range all {
		if err != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Mount adds GET /healthz, which answers 200 while the program runs, and GET
// /readyz, which answers 200 when every check holds and 503 otherwise.
func (h *Health) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, map[string]any{"alive": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		names := failing(h.Check(r.Context()))
		status := http.StatusOK
		if len(names) > 0 {
			status = http.StatusServiceUnavailable
		}
		writeHealth(w, status, map[string]any{"ready": len(names) == 0, "failing": names})
	})
}

// writeHealth writes v as JSON. Load balancers poll these addresses: nothing may
// be cached.
func writeHealth(w http.ResponseWriter, status int, v map[string]any) {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The client may be gone: there is nobody left to tell.
	_, _ = w.Write(append(body, '\n'))
}
