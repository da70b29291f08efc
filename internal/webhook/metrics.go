package webhook

import "github.com/prometheus/client_golang/prometheus"

// metrics holds what a service counts. Areas are few and ours.
type metrics struct {
	written  *prometheus.CounterVec // area
	behind   *prometheus.GaugeVec   // area
	disabled *prometheus.CounterVec // reason
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		written: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_webhook_messages_total",
			Help: "Messages written for webhooks, by area."}, []string{"area"}),
		behind: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "signet_webhook_behind",
			Help: "Sealed events that were not looked at yet for webhooks, by area."}, []string{"area"}),
		disabled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_webhook_disabled_total",
			Help: "Webhooks that were disabled, by reason: gone or failing."}, []string{"reason"}),
	}
	if reg != nil {
		reg.MustRegister(m.written, m.behind, m.disabled)
	}
	return m
}
