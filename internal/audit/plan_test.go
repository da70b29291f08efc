package audit_test

import (
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/testkit"
)

// TestQueriesUseIndexes asks SQLite how it would run the queries that must stay
// cheap when the log is large.
func TestQueriesUseIndexes(t *testing.T) {
	d := testkit.SQLite(t)
	for name, c := range map[string]struct{ query, want string }{
		"pending":   {audit.PendingQuery, "USING INDEX audit_events_pending"},
		"number":    {audit.NumberQuery, "SEARCH audit_events USING INDEX sqlite_autoindex_audit_events_1 (id=?)"},
		"by kind":   {audit.FindQuery(audit.EventFilter{Kind: "a", After: "b", Limit: 1}), "USING INDEX sqlite_autoindex_audit_events_1 (id>?)"},
		"by object": {audit.FindQuery(audit.EventFilter{Object: "a"}), "USING INDEX audit_events_by_object (object=?)"},
		"since":     {audit.SinceQuery(3, 10), "USING INDEX audit_events_sealed (seq>? AND seq<?)"},
		"due":       {audit.DueQuery, "USING INDEX audit_erasures_open"},
		"both":      {audit.FindQuery(audit.EventFilter{Object: "a", Kind: "b"}), "USING INDEX audit_events_by_object (object=?)"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := testkit.Plan(t, d, c.query)
			if !strings.Contains(plan, c.want) {
				t.Errorf("plan:\n%swant %s", plan, c.want)
			}
		})
	}
}
