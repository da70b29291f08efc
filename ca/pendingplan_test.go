package ca_test

import (
	"strings"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// TestRequestsAreFoundByIndexes: however many requests were decided on, the few that wait
// and an agency's own are found without looking at the others.
func TestRequestsAreFoundByIndexes(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.exec(t, `INSERT INTO ca_requests (id, agency, profile, firm, person, issuer, name, hosts, csr, not_before, not_after, state, requester, request_key, request_hash, created_at, expires_at, changed_at)
			WITH RECURSIVE n (i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < 119999)
			SELECT CAST(i AS TEXT), 'agency-' || CAST(i % 100 AS TEXT), 'document', '', '', '', '', '', state.root, 0, 0, CASE WHEN i % 5000 = 0 THEN 'waiting' ELSE 'issued' END,
			'x', CAST(i AS TEXT), state.root, 0, 0, 0 FROM n, (SELECT root FROM ca_state) state`)
		if d.Engine() == db.PostgreSQL {
			c.exec(t, `ANALYZE ca_requests`)
		}
		for name, q := range ca.PendingQueries() {
			index := "ca_requests_open"
			switch {
			case strings.Contains(name, "agency"):
				index = "ca_requests_agency"
			case name == "counted" && d.Engine() == db.PostgreSQL: // which knows that none is a person's here
				index = "Index Scan using ca_requests_"
			}
			if plan := testkit.Plan(t, d, q.Text, q.Args...); !strings.Contains(plan, index) {
				t.Errorf("%s, which needs %s:\n%s", name, index, plan)
			}
		}
		for _, tt := range []struct {
			f    ca.PendingFilter
			want int
		}{
			{ca.PendingFilter{}, 100}, {ca.PendingFilter{State: ca.Waiting}, 4}, {ca.PendingFilter{State: ca.Waiting, Before: "110000"}, 2}, {ca.PendingFilter{Agency: "agency-7"}, 100},
			{ca.PendingFilter{Agency: "agency-7", Before: "100107"}, 1}, {ca.PendingFilter{Agency: "agency-0", State: ca.Waiting}, 4}, {ca.PendingFilter{Agency: "agency-7", State: ca.Waiting}, 0},
			{ca.PendingFilter{State: ca.Failed}, 0}, {ca.PendingFilter{State: ca.Made, Limit: 3}, 3},
		} {
			list, err := c.ListPending(t.Context(), tt.f)
			if err != nil || len(list) != tt.want {
				t.Errorf("%+v: %d, %v; want %d", tt.f, len(list), err, tt.want)
			}
		}
	})
}
