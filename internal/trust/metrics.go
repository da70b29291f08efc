package trust

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	published *prometheus.CounterVec // kind
	tokens    prometheus.Counter
	failed    prometheus.Counter
}

// newMetrics registers the collectors on r; nil registers them nowhere. age is
// asked when they are read.
func newMetrics(r prometheus.Registerer, age func(kind) float64) *metrics {
	m := &metrics{
		published: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_trust_published_total",
			Help: "Bundles, snapshots and heads that this process published, by kind."}, []string{"kind"}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_trust_status_tokens_total",
			Help: "Status List Tokens that this process signed."}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_trust_failures_total",
			Help: "Attempts to publish that failed."}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.published, m.tokens, m.failed)
	for _, k := range kinds {
		m.published.WithLabelValues(string(k))
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "signet_trust_age_seconds",
			Help:        "Seconds since the bundle, snapshot or head being served was made, 0 if there is none.",
			ConstLabels: prometheus.Labels{"kind": string(k)}}, func() float64 { return age(k) }))
	}
	return m
}
