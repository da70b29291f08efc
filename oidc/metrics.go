package oidc

import "github.com/prometheus/client_golang/prometheus"

// metrics count tokens, which are not logged one by one.
type metrics struct {
	tokens   *prometheus.CounterVec // grant
	refusals *prometheus.CounterVec // error
	checks   *prometheus.CounterVec // result
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_tokens_total",
			Help: "Access tokens issued, by grant."}, []string{"grant"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_token_refusals_total",
			Help: "Token requests refused, by OAuth error."}, []string{"error"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_token_checks_total",
			Help: "Access tokens checked, by result."}, []string{"result"}),
	}
	if r != nil {
		r.MustRegister(m.tokens, m.refusals, m.checks)
	}
	return m
}
