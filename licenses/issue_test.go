package licenses_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/permit"
)

func TestIssueIsRecordedSignedIndexedAndLogged(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for _, asked := range []struct {
			caller string
			req    licenses.Request
			holder string
		}{{"donghu", food(nil), firmCode}, {"edu", teacher(), "990***********0117"}} {
			l := c.issue(t, asked.caller, "key", asked.req)
			if l.Status != licenses.Issued || l.Holder != asked.holder || !strings.HasPrefix(l.Permit, permit.Prefix) {
				t.Errorf("issued %+v", l)
			}
			if parts := strings.Split(l.Identifier, "."); len(parts) != 10 || parts[7] != l.Number {
				t.Errorf("identifier %s", l.Identifier)
			}
			again, err := c.Find(t.Context(), callers[asked.caller].Agency, l.ID)
			must(t, err)
			if again.Permit != l.Permit || !again.Created.Equal(l.Created) || !again.NotAfter.Equal(l.NotAfter) {
				t.Errorf("read back %+v, want %+v", again, l)
			}
		}
		c.wantClean(t, 2)
	})
}

// wantClean checks every licence, as fsck does.
func (c *city) wantClean(t *testing.T, want int) {
	t.Helper()
	n, err := c.CheckAll(t.Context(), func(id, problem string) { t.Errorf("licence %s %s", id, problem) })
	must(t, err)
	if n != want {
		t.Errorf("%d licences, want %d", n, want)
	}
}

func TestIdempotencyKey(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		first := c.issue(t, "donghu", "once", food(nil))
		results, err := c.Issue(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "once", Request: food(nil)}})
		must(t, err)
		if r := results[0]; r.Err != nil || !r.Replayed || r.License.ID != first.ID || r.License.Permit != first.Permit {
			t.Errorf("replay gave %+v", r)
		}
		other := food(func(r *licenses.Request) { r.Data["seats"] = float64(87) })
		results, err = c.Issue(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "once", Request: other}, {Key: "twice", Request: other}})
		must(t, err)
		if fault.KindOf(results[0].Err) != fault.Conflict {
			t.Errorf("another body under a used key: %v", results[0].Err)
		}
		if results[1].Err != nil || results[1].License.ID == first.ID {
			t.Errorf("its neighbour: %+v", results[1])
		}
		if l := c.issue(t, "edu", "once", teacher()); l.ID == first.ID {
			t.Error("two clients share a key")
		}
		twins := []licenses.Keyed{{Key: "twin", Request: food(nil)}, {Key: "twin", Request: food(nil)}}
		results, err = c.Issue(t.Context(), callers["donghu"], twins)
		must(t, err)
		if results[0].Err != nil || results[1].Err != nil || results[0].License.ID != results[1].License.ID {
			t.Errorf("one key twice in a batch: %+v", results)
		}
		c.wantClean(t, 4)
	})
}

func TestOneKeyManyCallers(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var wg sync.WaitGroup
		got := make([]string, 16)
		for i := range got {
			wg.Go(func() {
				results, err := c.Issue(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "race", Request: food(nil)}})
				if err != nil || results[0].Err != nil {
					t.Errorf("caller %d: %v %v", i, err, results)
					return
				}
				got[i] = results[0].License.ID + results[0].License.Permit
			})
		}
		wg.Wait()
		for _, g := range got {
			if g != got[0] {
				t.Errorf("callers hold different licences: %q and %q", g, got[0])
			}
		}
		c.wantClean(t, 1)
	})
}

func TestPlacesAreGivenOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		seen := map[permit.Ref]string{}
		numbers := map[string]bool{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				var batch []licenses.Keyed
				for i := range licenses.Batch {
					batch = append(batch, licenses.Keyed{Key: fmt.Sprint(w, "-", i), Request: food(nil)})
				}
				results, err := c.Issue(t.Context(), callers["donghu"], batch)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for _, r := range results {
					p, err := permit.Parse(r.License.Permit, dictionaries)
					if err != nil {
						t.Error(err)
						continue
					}
					if seen[p.Status] != "" || numbers[r.License.Number] {
						t.Errorf("place %v or number %s twice", p.Status, r.License.Number)
					}
					seen[p.Status], numbers[r.License.Number] = r.License.ID, true
				}
			})
		}
		wg.Wait()
		c.wantClean(t, 4*licenses.Batch)
	})
}

// dictionaries finds the shipped types' dictionaries.
func dictionaries(sum uint32) []byte {
	types, err := licenses.ShippedTypes()
	if err != nil {
		return nil
	}
	for _, t := range types {
		if b := []byte(t.Dictionary); adler(b) == sum {
			return b
		}
	}
	return nil
}

func TestRefusals(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	set := func(key string, v any) func(*licenses.Request) {
		return func(r *licenses.Request) { r.Data[key] = v }
	}
	cases := []struct {
		name   string
		caller string
		change func(*licenses.Request)
		kind   fault.Kind
		path   string
	}{
		{"unknown type", "donghu", func(r *licenses.Request) { r.Type = "driver" }, fault.Invalid, "/type"},
		{"no holder", "donghu", func(r *licenses.Request) { r.Holder = licenses.Holder{} }, fault.Invalid, "/holder"},
		{"two holders", "donghu", func(r *licenses.Request) { r.Holder.Resident = resident }, fault.Invalid, "/holder"},
		{"a person for a firm's type", "donghu", func(r *licenses.Request) { r.Holder = licenses.Holder{Resident: resident} }, fault.Invalid, "/holder"},
		{"wrong check character", "donghu", func(r *licenses.Request) { r.Holder.USCC = "91990101MA1F001176" }, fault.Invalid, "/holder"},
		{"firm not registered", "donghu", func(r *licenses.Request) { r.Holder.USCC = "91990101MA1F001250" }, fault.Invalid, "/holder/uscc"},
		{"no data", "donghu", func(r *licenses.Request) { r.Data = nil }, fault.Invalid, "/data"},
		{"empty data", "donghu", func(r *licenses.Request) { r.Data = map[string]any{} }, fault.Invalid, "/data/trade_name"},
		{"unknown member", "donghu", set("owner", "x"), fault.Invalid, "/data"},
		{"wrong kind", "donghu", set("seats", "many"), fault.Invalid, "/data/seats"},
		{"fraction", "donghu", set("seats", 1.5), fault.Invalid, "/data/seats"},
		{"value outside the list", "donghu", set("category", "小摊"), fault.Invalid, "/data/category"},
		{"turns the text around", "donghu", set("trade_name", "老灶\u202e火锅"), fault.Invalid, "/data"},
		{"end before beginning", "donghu", func(r *licenses.Request) { r.NotBefore, r.NotAfter = "2027-02-01", "2027-01-01" }, fault.Invalid, "/not_after"},
		{"past", "donghu", func(r *licenses.Request) { r.NotBefore, r.NotAfter = "2020-01-01", "2021-01-01" }, fault.Invalid, "/not_after"},
		{"too long", "donghu", func(r *licenses.Request) { r.NotAfter = "2090-01-01" }, fault.Invalid, "/not_after"},
		{"no date", "donghu", func(r *licenses.Request) { r.NotBefore = "soon" }, fault.Invalid, "/not_before"},
		{"no authority", "edu", nil, fault.Denied, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			results, err := c.Issue(t.Context(), callers[tc.caller], []licenses.Keyed{{Key: "k", Request: food(tc.change)}})
			must(t, err)
			err = results[0].Err
			if fault.KindOf(err) != tc.kind {
				t.Fatalf("%v, want kind %v", err, tc.kind)
			}
			if tc.path != "" && (len(fault.Problems(err)) == 0 || fault.Problems(err)[0].Path != tc.path) {
				t.Errorf("problems %v, want the first at %s", fault.Problems(err), tc.path)
			}
		})
	}
	for _, key := range []string{"", "a b", "ключ", strings.Repeat("k", 129)} {
		results, err := c.Issue(t.Context(), callers["donghu"], []licenses.Keyed{{Key: key, Request: food(nil)}})
		must(t, err)
		if fault.KindOf(results[0].Err) != fault.Invalid {
			t.Errorf("key %q: %v", key, results[0].Err)
		}
	}
	if _, err := c.Issue(t.Context(), callers["homeless"], []licenses.Keyed{{Key: "k", Request: food(nil)}}); fault.KindOf(err) != fault.Denied {
		t.Errorf("client without an agency: %v", err)
	}
	if _, err := c.Issue(t.Context(), callers["donghu"], make([]licenses.Keyed, licenses.Batch+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too many: %v", err)
	}
	c.wantClean(t, 0)
}

func TestEverySchemaProblemAtOnce(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	r := food(func(r *licenses.Request) {
		delete(r.Data, "premises")
		r.Data["seats"], r.Data["category"], r.NotAfter = float64(-1), "小摊", "never"
	})
	results, err := c.Issue(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "k", Request: r}})
	must(t, err)
	paths := map[string]bool{}
	for _, p := range fault.Problems(results[0].Err) {
		paths[p.Path] = true
		if strings.Contains(p.Message, "小摊") {
			t.Errorf("a message repeats a value: %s", p.Message)
		}
	}
	for _, want := range []string{"/data/premises", "/data/seats", "/data/category", "/not_after"} {
		if !paths[want] {
			t.Errorf("nothing said about %s, only %v", want, maps.Keys(paths))
		}
	}
}

func TestDatesEndAtMidnightInShanghai(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	l := c.issue(t, "donghu", "k", food(func(r *licenses.Request) { r.NotBefore, r.NotAfter = "2026-12-01", "2027-11-30" }))
	if want := time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC); !l.NotBefore.Equal(want) {
		t.Errorf("begins %v, want %v", l.NotBefore, want)
	}
	if want := time.Date(2027, 11, 30, 16, 0, 0, 0, time.UTC); !l.NotAfter.Equal(want) {
		t.Errorf("ends %v, want %v", l.NotAfter, want)
	}
}

func TestSweepCompletesWhatACrashLeft(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var left []licenses.Keyed
		for i := range 3 {
			left = append(left, licenses.Keyed{Key: fmt.Sprint(i), Request: food(nil)})
		}
		must(t, c.Begin(t.Context(), callers["donghu"], left))
		problems := 0
		_, err := c.CheckAll(t.Context(), func(string, string) { problems++ })
		must(t, err)
		if problems != 3 {
			t.Errorf("%d problems before the sweep, want 3", problems)
		}
		if n, err := c.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("sweep within the grace: %d, %v", n, err)
		}
		// A client that asks again does not wait for the sweeper.
		if l := c.issue(t, "donghu", "0", food(nil)); l.Status != licenses.Issued || l.Permit == "" {
			t.Errorf("asked again: %+v", l)
		}
		c.newKey(t, "donghu-amr") // rotated since
		var wg sync.WaitGroup
		for range 3 { // replicas
			wg.Go(func() {
				if _, err := c.SweepBefore(t.Context(), time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		c.wantClean(t, 3)
		var outcomes int
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			records, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: licenses.EventOutcome})
			outcomes = len(records)
			return err
		}))
		if outcomes != 3 {
			t.Errorf("%d outcome events, want 3", outcomes)
		}
	})
}

func TestCheckAllFindsTampering(t *testing.T) {
	cases := []struct{ name, statement string }{
		{"permit gone", "DELETE FROM permits WHERE license = $1"},
		{"permit of another", "UPDATE permits SET body = (SELECT body FROM permits WHERE license <> $1) WHERE license = $1"},
		{"record of another", "UPDATE licenses SET record = (SELECT record FROM licenses WHERE id <> $1) WHERE id = $1"},
		{"number", "UPDATE licenses SET number = 'JY0' WHERE id = $1"},
		{"place", "UPDATE licenses SET place = 900 WHERE id = $1"},
		{"agency", "UPDATE licenses SET agency = 'jiangcheng-edu' WHERE id = $1"},
		{"events gone", "DELETE FROM audit_events WHERE object = 'license:' || $1"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := testkit.SQLite(t)
			c := newCity(t, d)
			c.issue(t, "donghu", "other", food(nil))
			l := c.issue(t, "donghu", "k", food(nil))
			must(t, d.Update(t.Context(), func(tx db.Tx) error {
				_, err := tx.ExecContext(t.Context(), tc.statement, l.ID)
				return err
			}))
			found := false
			_, err := c.CheckAll(t.Context(), func(id, _ string) { found = found || id == l.ID })
			if !found && err == nil {
				t.Error("not found")
			}
		})
	}
}

func TestDatabaseHoldsNothingPersonalInClear(t *testing.T) {
	d := testkit.SQLite(t)
	c := newCity(t, d)
	c.issue(t, "edu", "k", teacher())
	var all strings.Builder
	must(t, d.Read(t.Context(), func(tx db.Tx) error {
		for _, q := range []string{"SELECT hex(record) FROM licenses", "SELECT holder FROM licenses", "SELECT hex(body) FROM permits", "SELECT hex(content) FROM audit_events"} {
			rows, err := tx.QueryContext(t.Context(), q)
			if err != nil {
				return err
			}
			for rows.Next() {
				var s string
				if err := rows.Scan(&s); err != nil {
					return errors.Join(err, rows.Close())
				}
				all.WriteString(s)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, secret := range []string{resident, "林若川"} {
		if strings.Contains(all.String(), fmt.Sprintf("%X", secret)) || strings.Contains(all.String(), secret) {
			t.Errorf("%s stands in the database", secret)
		}
	}
}
