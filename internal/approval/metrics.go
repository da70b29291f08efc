package approval

import "github.com/prometheus/client_golang/prometheus"

// metrics count what happens to requests.
type metrics struct {
	requests *prometheus.CounterVec // state
	refused  *prometheus.CounterVec // reason
	waiting  *prometheus.GaugeVec   // state
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_approval_requests_total",
			Help: "Requests that came into a state, by state."}, []string{"state"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_approval_refusals_total",
			Help: "Approvals refused, by reason."}, []string{"reason"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "signet_approval_waiting",
			Help: "Requests that wait, by state: open for an officer, approved for their run."}, []string{"state"}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.refused, m.waiting)
	}
	return m
}

// became counts a request that came into a state.
func (m *metrics) became(state State) { m.requests.WithLabelValues(string(state)).Inc() }

// The reasons that label refused approvals.
const (
	reasonPolicy = "policy" // who approves may not
	reasonProof  = "proof"  // the signature is not theirs, or not over this statement
	reasonCopied = "copied" // the passkey's counter fell
	reasonState  = "state"  // decided, expired or changed
)
