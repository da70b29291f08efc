package desk

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	submitted *prometheus.CounterVec // result
	decided   *prometheus.CounterVec // decision
	completed *prometheus.CounterVec // result
	acts      *prometheus.CounterVec // act, result
	attached  *prometheus.CounterVec // kind
	drafts    *prometheus.CounterVec // act
	approved  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		submitted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_desk_submitted_total",
			Help: "Forms sent in at a desk, by result: submitted, replayed, refused."}, []string{"result"}),
		decided: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_desk_decided_total",
			Help: "Decisions on applications: approved, reviewed (by the first of two), returned (to the first review), rejected, late (somebody else was faster), barred (it was the clerk's own)."}, []string{"decision"}),
		completed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_desk_completed_total",
			Help: "Approved applications: issued, failed, left to the sweeper."}, []string{"result"}),
		acts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_desk_acts_total",
			Help: "Licences suspended, resumed, revoked, renewed, changed and reprinted at a desk, by act and result: done, refused."}, []string{"act", "result"}),
		attached: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_desk_attached_total",
			Help: "Files that were sent in with applications, by kind: pdf, jpeg, png, refused."}, []string{"kind"}),
		drafts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "signet_desk_drafts_total",
			Help: "Drafts of forms, clerks' and applicants', by what was done: saved, thrown away, swept (old, or left behind by a submission)."}, []string{"act"}),
		approved: prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_desk_approved",
			Help: "Applications found approved and not issued for longer than the sweeper's grace at its last look."}),
	}
	if r != nil {
		r.MustRegister(m.submitted, m.decided, m.completed, m.acts, m.attached, m.drafts, m.approved)
	}
	return m
}
