package licenses_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// ids pages through a list, two at a time, and returns all of it.
func (c *city) ids(t *testing.T, f licenses.Filter) (all []string) {
	t.Helper()
	for f.Limit = 2; ; {
		list, next, err := c.List(t.Context(), f)
		must(t, err)
		for _, l := range list {
			all = append(all, l.ID)
		}
		if f.After = next; next == "" {
			return all
		}
	}
}

// TestSuccessorsLists: the successor finds what the agency before it issued, page by page
// and by every search, in one order with its own; for a split agency of that type alone.
func TestSuccessorsLists(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.authorize(t, "donghu-amr", "public-venue-hygiene")
		var food1, mine []string
		for i := range 3 {
			food1 = append(food1, c.issue(t, "donghu", fmt.Sprint("f", i), food(nil)).ID)
			mine = append(mine, c.issue(t, "edu", fmt.Sprint("t", i), teacher()).ID)
		}
		suspended, revoked := food1[0], food1[1]
		for id, act := range map[string]licenses.Act{suspended: licenses.Suspend, revoked: licenses.Revoke} {
			_, err := c.Act(t.Context(), callers["donghu"], id, act, "r", "")
			must(t, err)
		}
		number := func(id string) string {
			l, err := c.Any(t.Context(), id)
			must(t, err)
			return l.Number
		}
		heir := licenses.Filter{Agency: "jiangcheng-edu"}
		with := func(set func(f *licenses.Filter)) licenses.Filter { f := heir; set(&f); return f }
		searches := map[string]struct {
			f    licenses.Filter
			want []string // by the successor, the oldest first
		}{
			"type":      {with(func(f *licenses.Filter) { f.Type = "food-business" }), food1},
			"holder":    {with(func(f *licenses.Filter) { f.Holder = firmCode }), food1},
			"number":    {with(func(f *licenses.Filter) { f.Number = number(food1[2]) }), food1[2:]},
			"suspended": {with(func(f *licenses.Filter) { f.Status = licenses.Suspended }), food1[:1]},
			"revoked":   {with(func(f *licenses.Filter) { f.Status = licenses.Revoked }), food1[1:2]},
			"issued":    {with(func(f *licenses.Filter) { f.Status, f.Type = licenses.Issued, "food-business" }), food1[2:]},
		}
		for name, s := range searches {
			if got := c.ids(t, s.f); len(got) > 0 {
				t.Errorf("%s: a stranger finds %v", name, got)
			}
		}
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-edu", Type: "public-venue-hygiene"}))
		for name, s := range searches {
			if got := c.ids(t, s.f); len(got) > 0 {
				t.Errorf("%s: the successor for another type finds %v", name, got)
			}
		}
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-edu", Type: "food-business"}))
		var both []string
		for i := range food1 {
			both = append(both, food1[i], mine[i])
		}
		searches["all"] = struct {
			f    licenses.Filter
			want []string
		}{heir, both}
		for name, s := range searches {
			f := s.f
			f.Oldest = true
			oldest, newest := c.ids(t, f), c.ids(t, s.f)
			slices.Reverse(newest)
			if !slices.Equal(oldest, s.want) || !slices.Equal(newest, s.want) {
				t.Errorf("%s: %v and backwards %v, want %v", name, oldest, newest, s.want)
			}
		}
		if got := c.ids(t, licenses.Filter{Agency: "donghu-amr", Oldest: true}); !slices.Equal(got, food1) {
			t.Errorf("the former agency finds %v, want its own %v", got, food1)
		}
		if got := c.ids(t, licenses.Filter{Agency: "donghu-amr", Type: "teacher"}); len(got) > 0 {
			t.Errorf("the former agency finds its successor's: %v", got)
		}
	})
}

// TestExpiredOfAnotherAgency: what has come to its end, noted or not, is found by the
// successor for that type.
func TestExpiredOfAnotherAgency(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		old := c.issue(t, "donghu", "k", food(nil))
		later, err := licenses.New(t.Context(), licenses.Options{DB: d, Ring: c.ring, Registry: c.reg, Types: c.Types(), Now: func() time.Time { return time.Now().AddDate(6, 0, 0) }})
		must(t, err)
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-edu"}))
		for _, noted := range []bool{false, true} {
			list, _, err := later.List(t.Context(), licenses.Filter{Agency: "jiangcheng-edu", Status: licenses.Expired})
			must(t, err)
			if len(list) != 1 || list[0].ID != old.ID {
				t.Errorf("noted %t: %d found", noted, len(list))
			}
			_, err = later.Expire(t.Context())
			must(t, err)
		}
	})
}

// TestManyEstates: more than one statement looks at come in one order all the same.
func TestManyEstates(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var made []string
		for i := range 4 {
			made = append(made, c.issue(t, "donghu", fmt.Sprint("k", i), food(nil)).ID)
		}
		// Half of them come to stand in an estate of the first statement, the others in one of the second.
		first := "a-type"
		c.authorize(t, "jiangcheng-edu", first)
		for i := range licenses.Arms + 5 {
			c.authorize(t, "jiangcheng-edu", fmt.Sprintf("type-%03d", i))
		}
		must(t, d.Update(t.Context(), func(tx db.Tx) error {
			for i, id := range made {
				agency, licenseType := "donghu-amr", "food-business"
				if i%2 == 0 {
					agency, licenseType = "jiangcheng-edu", first
				}
				if _, err := tx.ExecContext(t.Context(), "UPDATE licenses SET agency = $1, type = $2 WHERE id = $3", agency, licenseType, id); err != nil {
					return err
				}
			}
			return nil
		}))
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-edu"}))
		if got := c.ids(t, licenses.Filter{Agency: "jiangcheng-edu", Oldest: true}); !slices.Equal(got, made) {
			t.Errorf("%v, want %v", got, made)
		}
		if got := c.ids(t, licenses.Filter{Agency: "jiangcheng-edu", Holder: firmCode, Oldest: true}); !slices.Equal(got, made) {
			t.Errorf("of the holder %v, want %v", got, made)
		}
	})
}

// TestFoundingsUseTheirIndex asks both engines how they would read the queue of new firms.
func TestFoundingsUseTheirIndex(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		series, blob := "generate_series(1, 20000) AS s(n)", "'x'::bytea"
		if d.Engine() == db.SQLite {
			series, blob = "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s)", "CAST('x' AS BLOB)"
		}
		statements := []string{`INSERT INTO license_foundings (id, agency, person, submitter, client, request_key, request_hash, body, state, created_at, changed_at)
			SELECT 'i' || (100000 + n), 'a' || (n % 10), 'p' || n, 's', 'c', 'k' || n, ` + blob + `, ` + blob + `, CASE n % 50 WHEN 1 THEN 'submitted' ELSE 'founded' END, n, n FROM ` + series}
		if d.Engine() == db.PostgreSQL {
			statements = append(statements, "ANALYZE license_foundings")
		}
		must(t, d.Update(t.Context(), func(tx db.Tx) error {
			for _, s := range statements {
				if _, err := tx.ExecContext(t.Context(), s); err != nil {
					return err
				}
			}
			return nil
		}))
		for _, state := range []licenses.FoundingState{licenses.FoundingSubmitted, licenses.FoundingDone} {
			query, args := licenses.FoundingsQuery(state, "a1", "a2")
			plan := testkit.Plan(t, d, query, args...)
			if strings.Count(plan, "license_foundings_agency") != 2 || strings.Contains(plan, "Seq Scan on license_foundings") || strings.Contains(plan, "pkey") {
				t.Errorf("%s:\n%s", state, plan)
			}
		}
	})
}
