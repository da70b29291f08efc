package oidc

import "github.com/prometheus/client_golang/prometheus"

// metrics count tokens and requests, which are not logged one by one.
type metrics struct {
	tokens   *prometheus.CounterVec // grant
	refusals *prometheus.CounterVec // error
	checks   *prometheus.CounterVec // result
	requests *prometheus.CounterVec // outcome
	infos    *prometheus.CounterVec // result
	ends     *prometheus.CounterVec // reason
	logouts  *prometheus.CounterVec // result
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_tokens_total",
			Help: "Access tokens issued, by grant."}, []string{"grant"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_token_refusals_total",
			Help: "Token requests refused, by OAuth error."}, []string{"error"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_token_checks_total",
			Help: "Access tokens checked, by result."}, []string{"result"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_authorizations_total",
			Help: "Authorization requests: a code, a page first, or an OAuth error."}, []string{"outcome"}),
		infos: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_userinfo_total",
			Help: "Userinfo requests, by result."}, []string{"result"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_grants_ended_total",
			Help: "Grants that ended before their time, by reason."}, []string{"reason"}),
	}
	m.logouts = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_oidc_logout_notices_total",
		Help: "Tries to tell a site that a session has ended, by result."}, []string{"result"})
	if r != nil {
		r.MustRegister(m.tokens, m.refusals, m.checks, m.requests, m.infos, m.ends, m.logouts)
	}
	return m
}
