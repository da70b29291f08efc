package ca

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
)

// metrics are the counters of this package. Labels are profiles and kinds of
// fault: both are few.
type metrics struct {
	issued  *prometheus.CounterVec
	revoked prometheus.Counter
	crls    prometheus.Counter
}

// newMetrics registers with reg, or nowhere if it is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_ca_issue_total",
			Help: "Requests for certificates by profile and result."}, []string{"profile", "result"}),
		revoked: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_ca_revoked_total", Help: "Certificates revoked."}),
		crls:    prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_ca_crls_total", Help: "CRLs published."}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.issued), reg.Register(m.revoked), reg.Register(m.crls))
}

// count counts one request. An unknown profile is not a label.
func (m *metrics) count(kind profile.Kind, err error) {
	if _, ok := kind.Rules(); !ok {
		kind = "unknown"
	}
	result := "ok"
	if err != nil {
		result = fault.KindOf(err).String()
	}
	m.issued.WithLabelValues(string(kind), result).Inc()
}
