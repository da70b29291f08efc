package web

import (
	"log/slog"
	"net/http"
	"time"
)

// Server returns a server for h whose limits no client can outlast. Whoever
// streams an answer for longer extends its own deadline through
// http.ResponseController.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		// What net/http says here is about clients (handshakes, resets).
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Protect bounds every request body to max bytes, refuses what a browser sends
// from another origin to change something, and sets the headers that keep a
// browser from guessing types, framing, running or sending anything on. A
// handler that serves pages replaces Content-Security-Policy by its own. Deny
// answers what is refused; nil means a fault as Handler writes it. Pass names the
// patterns, as a ServeMux has them, of forms that other sites are meant to send.
func Protect(next http.Handler, max int64, deny http.Handler, pass ...string) http.Handler {
	if deny == nil {
		deny = Handler(func(http.ResponseWriter, *http.Request) error { return errStranger }, nil)
	}
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(deny)
	for _, pattern := range pass {
		protection.AddInsecureBypassPattern(pattern)
	}
	checked := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		r.Body = http.MaxBytesReader(w, r.Body, max)
		checked.ServeHTTP(w, r)
	})
}
