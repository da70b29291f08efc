package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses/desk"
)

// TestCompareAndSwap asks the database alone, past the checks of the page.
func TestCompareAndSwap(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		id := last(c.apply("mu"))
		for _, tc := range []struct {
			name, who, agency string
			want              bool
		}{
			{"submitter", "mu", "donghu-amr", false},
			{"another agency", "wan", "jiangcheng-edu", false},
			{"second clerk", "wan", "donghu-amr", true},
			{"second clerk again", "wan", "donghu-amr", false},
			{"third clerk", "jing", "donghu-amr", false},
		} {
			if got, err := c.Approve(t.Context(), c.ids[tc.who], id, tc.agency); got != tc.want || err != nil {
				t.Errorf("%s: %t, %v, want %t", tc.name, got, err, tc.want)
			}
		}
		if n := len(c.events("application:" + id)); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
	})
}

// TestALicenceOutranksAFailure completes one application in two places, of which
// one is refused by the register.
func TestALicenceOutranksAFailure(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for _, order := range [][]string{{"", "LICENSE"}, {"LICENSE", ""}} {
			path := c.apply("mu")
			c.crash(path, "wan")
			for _, license := range order {
				_, err := c.Finish(t.Context(), last(path), license)
				must(t, err)
			}
			if got, err := c.Finish(t.Context(), last(path), ""); got != "issued" || err != nil {
				t.Errorf("after %q it is %s, %v", order, got, err)
			}
		}
	})
}

// TestQueriesUseIndexes asks SQLite how it would read the queues when they are long.
func TestQueriesUseIndexes(t *testing.T) {
	d := testkit.SQLite(t)
	for name, c := range map[string]struct{ query, want string }{
		"sweep": {desk.SweepQuery, "USING INDEX license_applications_approved"},
		"form":  {"SELECT id FROM license_applications WHERE submitter = $1 AND request_key = $2", "(submitter=? AND request_key=?)"},
		"origin": {"SELECT id FROM license_applications WHERE license = $1 AND license <> ''",
			"USING INDEX license_applications_license (license=?)"},
	} {
		if plan := testkit.Plan(t, d, c.query); !strings.Contains(plan, c.want) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s: plan\n%swant %s", name, plan, c.want)
		}
	}
}

// TestQueueUsesItsIndex asks both engines how they would read an agency's queue, its own and
// what it took over, among many applications of which most are decided.
func TestQueueUsesItsIndex(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		fillApplications(t, d)
		for _, in := range []string{"submitted", "issued"} {
			query, args := desk.QueueQuery(in, registry.Estate{Agency: "a1", Type: "t1"}, registry.Estate{Agency: "a1", Type: "t2"}, registry.Estate{Agency: "a2", Type: "t1"})
			plan := testkit.Plan(t, d, query, args...)
			if n := strings.Count(plan, "license_applications_waiting"); n != 3 || strings.Contains(plan, "pkey") || strings.Contains(plan, "Seq Scan on license_applications") {
				t.Errorf("%s: the index is read %d times, want 3:\n%s", in, n, plan)
			}
			if d.Engine() == db.SQLite && strings.Count(plan, "(agency=? AND type=? AND state>? AND (state,id)<(?,?))") != 3 {
				t.Errorf("%s: more of the index is read than is needed:\n%s", in, plan)
			}
		}
	})
}

// fillApplications writes 20,000 rows of ten agencies that look like applications.
func fillApplications(t *testing.T, d *db.DB) {
	t.Helper()
	series, blob := "generate_series(1, 20000) AS s(n)", "'x'::bytea"
	if d.Engine() == db.SQLite {
		series, blob = "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s)", "CAST('x' AS BLOB)"
	}
	must(t, d.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO license_applications (id, agency, type, body, state, submitter, request_key, request_hash, created_at, changed_at)
			SELECT 'i' || (100000 + n), 'a' || (n % 10), 't' || (1 + n % 3), `+blob+`, CASE n % 50 WHEN 1 THEN 'submitted' ELSE 'issued' END, 'p', 'k' || n, `+blob+`, n, n FROM `+series)
		return err
	}))
	if d.Engine() == db.PostgreSQL { // the service never analyses SQLite
		must(t, d.Update(t.Context(), func(tx db.Tx) error {
			_, err := tx.ExecContext(t.Context(), "ANALYZE license_applications")
			return err
		}))
	}
}

func TestMetrics(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.issue()
	c.post("mu", foodForm, food(c.key("mu", foodForm), "seats", "x"))
	c.now = time.Now()
	families, err := c.metrics.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue()
		}
	}
	for _, name := range []string{"signet_desk_submitted_total submitted", "signet_desk_submitted_total refused", "signet_desk_decided_total approved",
		"signet_desk_completed_total issued"} {
		if got[name] != 1 {
			t.Errorf("%s is %v, want 1: %v", name, got[name], got)
		}
	}
}
