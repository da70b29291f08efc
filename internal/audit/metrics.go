package audit

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	pending prometheus.Gauge
	size    prometheus.Gauge
	seal    prometheus.Histogram
	failed  prometheus.Counter
	lost    prometheus.Counter

	witness   *prometheus.CounterVec // by name and outcome
	witnessed *prometheus.GaugeVec   // by name
}

// newMetrics registers the collectors on r; nil registers them nowhere.
func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_audit_pending",
			Help: "Events found waiting to be sealed at the last look."}),
		size: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_audit_size",
			Help: "Events in the newest checkpoint."}),
		seal: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "signet_audit_seal_seconds",
			Help: "Time to seal all that was pending and to sign the checkpoint.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_audit_seal_failures_total",
			Help: "Seals that failed."}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "signet_audit_seal_races_total",
			Help: "Batches that another sequencer sealed first."}),
		witness: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_audit_witness_total",
			Help: "Times that a witness was asked, by outcome. rolled_back and not_continued mean that somebody meddled."}, []string{"witness", "outcome"}),
		witnessed: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "signet_audit_witness_size",
			Help: "Events in the newest checkpoint that a witness has cosigned."}, []string{"witness"}),
	}
	if r != nil {
		r.MustRegister(m.pending, m.size, m.seal, m.failed, m.lost, m.witness, m.witnessed)
	}
	return m
}
