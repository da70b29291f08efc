package city

import "github.com/prometheus/client_golang/prometheus"

// newSchedule returns the schedule of a replica, with its metrics.
func newSchedule(reg prometheus.Registerer, holder string) *schedule {
	s := &schedule{holder: holder,
		due: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "signet_keys_due",
			Help: "Steps of keys that are due within 30 days and wait for officers."}, []string{"purpose", "step"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_keys_schedule_failures_total",
			Help: "Scheduled steps of keys that did not succeed."}, []string{"purpose"})}
	reg.MustRegister(s.due, s.failed)
	return s
}
