package outbox

import "github.com/prometheus/client_golang/prometheus"

// metrics holds what an outbox counts. Kinds are those of handlers, which bounds the
// labels.
type metrics struct {
	attempts *prometheus.CounterVec // kind, result
	waiting  prometheus.Gauge
	oldest   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_outbox_attempts_total",
			Help: "Attempts to deliver a message, by kind and result: delivered, failed (to be tried again) or lost."}, []string{"kind", "result"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_outbox_waiting", Help: "Messages that are not delivered yet."}),
		oldest:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_outbox_oldest_seconds", Help: "Age of the oldest message that is not delivered yet."}),
	}
	if reg != nil {
		reg.MustRegister(m.attempts, m.waiting, m.oldest)
	}
	return m
}
