package obs

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// DebugHandler serves the loopback debug listener: /metrics, /debug/pprof/ and
// /debug/loglevel, which GET reads and PUT sets to debug, info, warn or error.
//
// Requests whose Host is not a loopback name, and cross-origin requests of a
// browser, are refused: a web page open on the same machine must not reach it.
func DebugHandler(registry prometheus.Gatherer, level *slog.LevelVar) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/loglevel", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strings.ToLower(level.Level().String()))
	})
	mux.HandleFunc("PUT /debug/loglevel", func(w http.ResponseWriter, r *http.Request) { setLevel(w, r, level) })
	protected := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			http.Error(w, "the debug listener answers to loopback names only", http.StatusForbidden)
			return
		}
		protected.ServeHTTP(w, r)
	})
}

// setLevel reads the name of a level from the body.
func setLevel(w http.ResponseWriter, r *http.Request, level *slog.LevelVar) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16))
	if err != nil {
		http.Error(w, "the body is longer than any level", http.StatusRequestEntityTooLarge)
		return
	}
	named, ok := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}[strings.TrimSpace(string(body))]
	if !ok {
		http.Error(w, "the level is one of debug, info, warn, error", http.StatusBadRequest)
		return
	}
	level.Set(named)
	w.WriteHeader(http.StatusNoContent)
}

// loopbackHost reports whether hostport, with or without a port, names this
// machine's loopback interface.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
