package licenses_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// replica opens the licences of the same city once more.
func (f *founders) replica(t testing.TB) *licenses.Service {
	t.Helper()
	types, err := licenses.ShippedTypes()
	must(t, err)
	s, err := licenses.New(t.Context(), licenses.Options{DB: f.db, Ring: f.ring, Registry: f.reg, Types: types, Tokens: tokens{}, Orders: orders{}})
	must(t, err)
	return s
}

// TestFoundingRaces: two replicas, and many who decide at once, or send one key at once,
// or found under one name.
func TestFoundingRaces(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		replicas := []*licenses.Service{f.Service, f.replica(t)}
		race := func(name string, one func(s *licenses.Service, i int) (*licenses.Founding, error)) (won map[string]int) {
			var wg sync.WaitGroup
			made, errs := make([]*licenses.Founding, 16), make([]error, 16)
			for i := range made {
				wg.Go(func() { made[i], errs[i] = one(replicas[i%2], i) })
			}
			wg.Wait()
			won = map[string]int{}
			for i, err := range errs {
				switch {
				case err == nil && made[i].State == licenses.FoundingDone:
					won[made[i].Firm]++
				case err == nil:
					won[""]++
				case fault.KindOf(err) != fault.Conflict && licenses.Problems(err) == nil:
					t.Errorf("%s: %v", name, err)
				}
			}
			return won
		}
		decided := f.apply(t, claim("甲有限公司"))
		if won := race("two clerks", func(s *licenses.Service, i int) (*licenses.Founding, error) {
			return s.DecideFounding(ctx, clerkOf([]string{f.mu, f.wan}[i/2%2]), decided, licenses.FoundingDecision{Approve: true})
		}); len(won) != 1 || won[""] != 0 {
			t.Errorf("two clerks: %v", won)
		}
		both := f.apply(t, claim("乙有限公司"))
		if won := race("approval and rejection", func(s *licenses.Service, i int) (*licenses.Founding, error) {
			return s.DecideFounding(ctx, clerkOf([]string{f.mu, f.wan}[i/2%2]), both, licenses.FoundingDecision{Approve: i/2%2 == 0, Reason: "r"})
		}); len(won) != 1 {
			t.Errorf("approval and rejection: %v", won)
		}
		if won := race("one key", func(s *licenses.Service, i int) (*licenses.Founding, error) {
			return s.Found(ctx, callers["donghu"], "one", plan(func(r *licenses.FoundingRequest) { r.Name = "丙有限公司" }))
		}); len(won) != 1 || won[""] != 0 {
			t.Errorf("one key: %v", won)
		} else {
			for _, n := range won {
				if n != 16 {
					t.Errorf("one key: %d of 16 were answered", n)
				}
			}
		}
		if won := race("one name", func(s *licenses.Service, i int) (*licenses.Founding, error) {
			return s.Found(ctx, callers["donghu"], fmt.Sprint("name", i), plan(func(r *licenses.FoundingRequest) { r.Name = "丁有限公司" }))
		}); len(won) != 1 {
			t.Errorf("one name: %v", won)
		}
		if won := race("many firms", func(s *licenses.Service, i int) (*licenses.Founding, error) {
			return s.Found(ctx, callers["donghu"], fmt.Sprint("many", i), plan(func(r *licenses.FoundingRequest) { r.Name = fmt.Sprintf("第%d有限公司", i) }))
		}); len(won) != 16 {
			t.Errorf("many firms: %v", won)
		}
		n := f.counts(t)
		for _, table := range []string{"registry_firm_names", "registry_delegations", "ca_orders", "licenses"} {
			if n[table] != n["licenses"] || n["registry_firms"] != n["licenses"]+1 || n["license_signing"] != 0 {
				t.Errorf("%v", n)
			}
		}
		f.wantClean(t, n["licenses"])
	})
}

// TestFoundingIsWholeOrNothing makes the database fail after each table that the
// transaction writes, and after each event: nothing is there then, and the same call
// succeeds afterwards.
func TestFoundingIsWholeOrNothing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		for i, table := range append([]string{"license_foundings"}, foundingTables...) {
			name := fmt.Sprintf("第%d有限公司", i)
			id := f.apply(t, claim(name))
			before := f.counts(t)
			events := []string{""}
			if table == "audit_events" {
				events = []string{"registry.firm.add", "registry.delegate", licenses.EventIntent, "certificate.order.make", licenses.EventFound}
			}
			for _, event := range events {
				repair := breakAfter(t, d, table, event)
				if _, err := f.DecideFounding(ctx, clerkOf(f.mu), id, licenses.FoundingDecision{Approve: true}); err == nil || fault.KindOf(err) != fault.Internal {
					t.Errorf("%s %s: %v", table, event, err)
				}
				if table != "license_foundings" || event != "" { // an application is written there too
					if _, err := f.Found(ctx, callers["donghu"], fmt.Sprint("k", i), plan(func(r *licenses.FoundingRequest) { r.Name = name })); err == nil || fault.KindOf(err) != fault.Internal {
						t.Errorf("%s %s: %v", table, event, err)
					}
				}
				repair()
				if after := f.counts(t); fmt.Sprint(after) != fmt.Sprint(before) {
					t.Errorf("%s %s: %v, then %v", table, event, before, after)
				}
				if g, err := f.FoundingAt(ctx, "donghu-amr", id); err != nil || g.State != licenses.FoundingSubmitted || g.Firm != "" || g.Order != "" {
					t.Errorf("%s %s: %+v, %v", table, event, g, err)
				}
			}
			got, err := f.DecideFounding(ctx, clerkOf(f.mu), id, licenses.FoundingDecision{Approve: true})
			must(t, err)
			f.wantWhole(t, got)
		}
		f.wantClean(t, len(foundingTables)+1)
	})
}

// breakAfter makes every write to a table fail, of audit_events those of one kind, after
// it is done. What it returns undoes that.
func breakAfter(t *testing.T, d *db.DB, table, event string) (repair func()) {
	t.Helper()
	on, when := "INSERT", "1 = 1"
	if table == "license_foundings" {
		on = "UPDATE"
	}
	if event != "" {
		when = "NEW.kind = '" + event + "'"
	}
	do := func(queries ...string) {
		must(t, d.Update(t.Context(), func(tx db.Tx) error {
			for _, q := range queries {
				if _, err := tx.ExecContext(t.Context(), q); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	if d.Engine() == db.SQLite {
		do("CREATE TRIGGER broken AFTER " + on + " ON " + table + " WHEN " + when + " BEGIN SELECT RAISE(ABORT, 'broken'); END")
		return func() { do("DROP TRIGGER broken") }
	}
	do("CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'broken'; END $f$",
		"CREATE TRIGGER broken AFTER "+on+" ON "+table+" FOR EACH ROW WHEN ("+when+") EXECUTE FUNCTION broken()")
	return func() { do("DROP TRIGGER broken ON " + table) }
}

// TestFoundingAfterACrash: a process that died after the transaction leaves a licence
// that the sweeper signs, and that the same call signs at once.
func TestFoundingAfterACrash(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		swept, again := f.apply(t, claim("甲有限公司")), f.apply(t, claim("乙有限公司"))
		repair := breakAfter(t, d, "permits", "") // the outcome cannot be written
		for _, id := range []string{swept, again} {
			g, err := f.DecideFounding(ctx, clerkOf(f.mu), id, licenses.FoundingDecision{Approve: true})
			if err != nil || g.State != licenses.FoundingDone || g.License.Status != licenses.Signing || g.License.Permit != "" {
				t.Fatalf("%+v, %v", g, err)
			}
		}
		repair()
		g, err := f.DecideFounding(ctx, clerkOf(f.mu), again, licenses.FoundingDecision{Approve: true})
		must(t, err)
		f.wantWhole(t, g)
		if n, err := f.SweepBefore(ctx, time.Now().Add(time.Hour)); err != nil || n != 1 {
			t.Errorf("%d swept, %v", n, err)
		}
		g, err = f.FoundingAt(ctx, "donghu-amr", swept)
		must(t, err)
		f.wantWhole(t, g)
		f.wantClean(t, 2)
	})
}

// TestFoundingsAreNotReadInTheDatabase: names and data that are only planned are sealed,
// and no event tells them.
func TestFoundingsAreNotReadInTheDatabase(t *testing.T) {
	f := newFounders(t, testkit.SQLite(t))
	id := f.apply(t, claim("密谋有限公司"))
	_, err := f.DecideFounding(t.Context(), clerkOf(f.mu), id, licenses.FoundingDecision{Reason: "秘密理由"})
	must(t, err)
	must(t, f.db.Read(t.Context(), func(tx db.Tx) error {
		var found int
		if err := tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM license_foundings WHERE instr(body, CAST('密谋' AS BLOB)) > 0 OR instr(note, CAST('秘密' AS BLOB)) > 0`).Scan(&found); err != nil {
			return err
		}
		records, err := audit.Find(t.Context(), tx, audit.EventFilter{Object: "founding:" + id})
		if err != nil || len(records) != 2 || found != 0 {
			t.Errorf("%d in clear, %d events, %v", found, len(records), err)
		}
		for _, r := range records {
			if len(r.Data) != 1 || r.Data["agency"] != "donghu-amr" {
				t.Errorf("%s tells %v", r.Kind, r.Data)
			}
		}
		return nil
	}))
}
