package keys

import (
	"crypto"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics holds what a ring counts. Purposes and states are fixed lists, which
// bounds the labels.
type metrics struct {
	signatures *prometheus.CounterVec // purpose, result
	keys       *prometheus.GaugeVec   // purpose, state
	paused     *prometheus.GaugeVec   // purpose
}

// newMetrics registers the collectors, or finds those of an earlier ring. It
// panics if the names belong to somebody else, which can only happen at start-up.
func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	return &metrics{
		signatures: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signet_keys_signatures_total",
			Help: "Signatures asked of the keyring, by purpose and result.",
		}, []string{"purpose", "result"})),
		keys: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signet_keys",
			Help: "Keys in the keyring, by purpose and state.",
		}, []string{"purpose", "state"})),
		paused: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signet_keys_paused",
			Help: "Keys that an officer keeps from signing, by purpose.",
		}, []string{"purpose"})),
	}
}

func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if err == nil {
		return c
	}
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	panic("register metrics: " + err.Error())
}

// signer returns a signer without a private half yet.
func (m *metrics) signer(purpose string, public crypto.PublicKey, g gate) *signer {
	return &signer{
		public: public,
		gate:   g,
		ok:     m.signatures.WithLabelValues(purpose, "ok"),
		failed: m.signatures.WithLabelValues(purpose, "error"),
	}
}

// count sets the gauge to what a snapshot holds.
func (m *metrics) count(s *snapshot) {
	type label struct {
		purpose string
		state   State
	}
	n, paused := map[label]int{}, map[string]int{}
	for _, e := range s.byID {
		n[label{e.key.Purpose, e.key.State}]++
		if !e.key.Paused.IsZero() && e.key.State != Retired && e.key.State != Compromised {
			paused[e.key.Purpose]++
		}
	}
	for _, purpose := range purposes {
		m.paused.WithLabelValues(purpose).Set(float64(paused[purpose]))
		for _, state := range states {
			m.keys.WithLabelValues(purpose, string(state)).Set(float64(n[label{purpose, state}]))
		}
	}
}
