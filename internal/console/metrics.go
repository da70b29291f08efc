package console

import "github.com/prometheus/client_golang/prometheus"

// Why nobody was let in.
const (
	refusedOfficer = "not_officer"
	refusedProof   = "weak_proof"
)

type metrics struct {
	refused *prometheus.CounterVec // reason
	acts    *prometheus.CounterVec // act, way, result
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_console_refused_total",
			Help: "People who were not let in to the officers' pages and API, by reason: not_officer, weak_proof."}, []string{"reason"}),
		acts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_console_acts_total",
			Help: "What officers did, by act, way (page, api) and result: done, refused."}, []string{"act", "way", "result"}),
	}
	if r != nil {
		r.MustRegister(m.refused, m.acts)
	}
	return m
}

// did counts an act and returns err.
func (m *metrics) did(act, way string, err error) error {
	result := "done"
	if err != nil {
		result = "refused"
	}
	m.acts.WithLabelValues(act, way, result).Inc()
	return err
}
