package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
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
		"queue": {desk.QueueQuery, "USING COVERING INDEX license_applications_queue (agency=? AND state=? AND id<?)"},
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
