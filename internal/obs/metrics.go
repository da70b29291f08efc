package obs

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns a registry that already holds the collectors of the Go
// runtime and of the process.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// metrics holds what Middleware counts. All listeners of a program share it.
type metrics struct {
	duration *prometheus.HistogramVec // route, method, class
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

// newMetrics registers the collectors, or finds those that an earlier Middleware
// registered. It panics if the names belong to somebody else, which can only
// happen at start-up.
func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	return &metrics{
		duration: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signet_http_request_duration_seconds",
			Help:    "Time to answer a request, by route pattern, method and status class.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10},
		}, []string{"route", "method", "class"})),
		inFlight: register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signet_http_requests_in_flight",
			Help: "Requests being answered now.",
		})),
		panics: register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signet_http_panics_total",
			Help: "Requests whose handler panicked.",
		})),
	}
}

// register registers c, or returns the equal collector already there.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if err == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	panic("register metrics: " + err.Error())
}

// observe records one answered request.
func (m *metrics) observe(r *http.Request, status int, took time.Duration) {
	m.duration.WithLabelValues(routeOf(r), methodOf(r), classOf(status)).Observe(took.Seconds())
}

// routeOf returns the pattern that the multiplexer matched. A request that no
// route took has none: its path must not become a label.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	return r.Pattern
}

// methodOf returns the request's method if it is one of the standard ones.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions:
		return r.Method
	default:
		return "other"
	}
}

// classOf returns 1xx to 5xx.
func classOf(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return string(rune('0'+status/100)) + "xx"
}
