package login

import "github.com/prometheus/client_golang/prometheus"

// The methods and reasons that label metrics. All three reasons of a refused
// password sign-in are one: not even a metric tells them apart.
const (
	methodPassword = "password"
	methodPasskey  = "passkey"
	methodRecovery = "recovery" // a code; it begins a wait and no session
	methodDesk     = "desk"     // a desk's code; it begins no session

	reasonCredentials = "credentials" // username, password or code
	reasonLimit       = "limit"       // too many tries
	reasonChallenge   = "challenge"   // unknown, used, expired or another browser's
	reasonAssertion   = "assertion"   // did not verify, or nobody's
	reasonCounter     = "counter"     // fell: the passkey may have been copied
)

// metrics count what is not logged one by one.
type metrics struct {
	signIns  *prometheus.CounterVec // method
	refusals *prometheus.CounterVec // method, reason
	swept    *prometheus.CounterVec // what
	reproofs *prometheus.CounterVec // what
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_login_sign_ins_total",
			Help: "Sessions begun, by method."}, []string{"method"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_login_refusals_total",
			Help: "Sign-ins refused, by method and reason."}, []string{"method", "reason"}),
		swept: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_login_swept_total",
			Help: "Expired rows deleted, by what they held."}, []string{"what"}),
		reproofs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_login_reproofs_total",
			Help: "Codes of identity desks, by what became of them: begun, used, replaced, cancelled."}, []string{"what"}),
	}
	if r != nil {
		r.MustRegister(m.signIns, m.refusals, m.swept, m.reproofs)
	}
	return m
}

func (m *metrics) refused(method, reason string) { m.refusals.WithLabelValues(method, reason).Inc() }
