package ca

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
)

// metrics are the counters of this package. Labels are profiles and kinds of
// fault: both are few.
type metrics struct {
	issued   *prometheus.CounterVec
	revoked  prometheus.Counter
	released prometheus.Counter
	crls     prometheus.Counter

	problems   prometheus.Gauge
	expiring   *prometheus.GaugeVec
	expiringAt time.Time // of the last count; Run's alone
}

// newMetrics registers with reg, or nowhere if it is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_ca_issue_total",
			Help: "Requests for certificates by profile and result."}, []string{"profile", "result"}),
		revoked:  prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_ca_revoked_total", Help: "Certificates revoked or held."}),
		released: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_ca_released_total", Help: "Certificates whose hold was taken back."}),
		crls:     prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_ca_crls_total", Help: "CRLs published."}),
		problems: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_ca_published_problems",
			Help: "Problems that the last check of the published certificates, CRLs and OCSP answers found, if this replica made it; that it could not look is one."}),
		expiring: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "signet_ca_expiring",
			Help: "Certificates in force that expire soon, by profile and within what time."}, []string{"profile", "within"}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.issued), reg.Register(m.revoked), reg.Register(m.released), reg.Register(m.crls),
		reg.Register(m.expiring), reg.Register(m.problems))
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

// ocspMetrics count answers. OCSP is counted, not audited: an answer says nothing
// that the log does not.
type ocspMetrics struct {
	answered map[string]prometheus.Counter
	signed   *prometheus.CounterVec
	limited  *prometheus.CounterVec
}

// Results of OCSP requests, as the label has them.
const (
	ocspGood         = "good"
	ocspRevoked      = "revoked"
	ocspUnknown      = "unknown"
	ocspMalformed    = "malformed"
	ocspInternal     = "internal_error"
	ocspTryLater     = "try_later"
	ocspUnauthorized = "unauthorized"
)

// newOCSPMetrics registers with reg, or nowhere if it is nil.
func newOCSPMetrics(reg prometheus.Registerer, cached func() int) (*ocspMetrics, error) {
	answered := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_ca_ocsp_answers_total", Help: "OCSP requests by result."}, []string{"result"})
	m := &ocspMetrics{
		answered: map[string]prometheus.Counter{},
		signed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_ca_ocsp_signatures_total",
			Help: "Signatures over OCSP answers by why: first, nonce, unknown, changed, renewed; failed for none."}, []string{"why"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_ca_ocsp_limited_total",
			Help: "OCSP requests over a limit of fresh signatures: nonce, unknown."}, []string{"what"}),
	}
	for _, result := range []string{ocspGood, ocspRevoked, ocspUnknown, ocspMalformed, ocspInternal, ocspTryLater, ocspUnauthorized} {
		m.answered[result] = answered.WithLabelValues(result)
	}
	if reg == nil {
		return m, nil
	}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "signet_ca_ocsp_cached", Help: "OCSP answers in memory."}, func() float64 { return float64(cached()) })
	return m, errors.Join(reg.Register(answered), reg.Register(m.signed), reg.Register(m.limited), reg.Register(gauge))
}
