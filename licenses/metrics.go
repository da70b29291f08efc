package licenses

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	issued  *prometheus.CounterVec // result
	acts    *prometheus.CounterVec // act
	swept   prometheus.Counter
	types   prometheus.Counter
	signing prometheus.Gauge

	foundings *prometheus.CounterVec // result
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_licenses_issue_total",
			Help: "Requests to issue a licence, by result: issued, replayed, refused, failed."}, []string{"result"}),
		acts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_licenses_acts_total",
			Help: "Licences suspended, resumed, revoked and replaced."}, []string{"act"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_licenses_swept_total",
			Help: "Licences left in signing that the sweeper completed."}),
		types: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_licenses_types_added_total",
			Help: "Versions of licence types added here."}),
		signing: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_licenses_signing",
			Help: "Licences found in signing for longer than the sweeper's grace at its last look."}),
		foundings: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_licenses_foundings_total",
			Help: "Applications for new firms, by what became of them: submitted, replayed, refused, founded, rejected, withdrawn, late."}, []string{"result"}),
	}
	if r != nil {
		r.MustRegister(m.issued, m.acts, m.swept, m.types, m.signing, m.foundings)
	}
	return m
}
