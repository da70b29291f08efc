package licenses_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/permit"
)

// soon is a request for a licence that ends soon enough to be renewed.
func soon(r *licenses.Request) { r.NotAfter = time.Now().AddDate(0, 0, 30).Format(time.DateOnly) }

func changed(seats float64) map[string]any {
	r := food(nil)
	r.Data["seats"] = seats
	return r.Data
}

func (c *city) replace(t *testing.T, id string, r licenses.Replacement) *licenses.License {
	t.Helper()
	l, err := c.Replace(t.Context(), callers["donghu"], id, r)
	must(t, err)
	return l
}

// TestReplacementsKeepTheNumber: each version is a credential of its own, and the
// one before it counts no more.
func TestReplacementsKeepTheNumber(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		first := c.issue(t, "donghu", "k", food(soon))
		before, err := c.StatusVersion(t.Context())
		must(t, err)
		steps := []licenses.Replacement{
			{Kind: licenses.Changed, Reason: "座位增加", Data: changed(90), Key: "c"},
			{Kind: licenses.Reprinted, Reason: "遗失", Key: "p"},
			{Kind: licenses.Renewed, Reason: "延续", Key: "r"},
		}
		last := first
		for i, step := range steps {
			changes := c.changes
			l := c.replace(t, last.ID, step)
			if l.Number != first.Number || l.Version != i+2 || l.Status != licenses.Issued || l.ID == last.ID || c.changes == changes {
				t.Fatalf("%s: %+v", step.Kind, l)
			}
			if v := fmt.Sprintf(".%03d.", i+2); !strings.Contains(l.Identifier, first.Number+v) {
				t.Errorf("%s: identifier %s, want version %s", step.Kind, l.Identifier, v)
			}
			if l.Data["seats"] != float64(90) {
				t.Errorf("%s: data %v", step.Kind, l.Data)
			}
			if renewed := step.Kind == licenses.Renewed; renewed != l.NotAfter.After(last.NotAfter) || l.NotBefore.After(time.Now()) {
				t.Errorf("%s: from %v until %v, was %v", step.Kind, l.NotBefore, l.NotAfter, last.NotAfter)
			}
			old, err := c.Find(t.Context(), "donghu-amr", last.ID)
			must(t, err)
			if old.Status != licenses.Replaced {
				t.Errorf("%s: the old one is %s", step.Kind, old.Status)
			}
			again := c.replace(t, last.ID, step) // the same key once more
			if again.ID != l.ID || again.Permit != l.Permit {
				t.Errorf("%s: repeated as %s", step.Kind, again.ID)
			}
			last = l
		}
		after, err := c.StatusVersion(t.Context())
		must(t, err)
		if after != before+3 {
			t.Errorf("status version %d, then %d", before, after)
		}
		c.wantRevoked(t, 3)
		for _, id := range []string{first.ID, last.ID} { // what webhooks tell
			told, err := c.Outlines(t.Context(), []string{id})
			must(t, err)
			if told[id].Number != first.Number {
				t.Errorf("others are told of the number %s, want %s", told[id].Number, first.Number)
			}
		}
		versions, err := c.History(t.Context(), first.Number)
		must(t, err)
		if len(versions) != 4 || versions[0].ID != first.ID || versions[3].ID != last.ID || versions[3].Kind != licenses.Renewed {
			t.Errorf("versions %+v", versions)
		}
		for status, want := range map[licenses.Status]int{"": 4, licenses.Replaced: 3, licenses.Issued: 1, licenses.Revoked: 0} {
			for _, number := range []string{"", first.Number} {
				list, _, err := c.List(t.Context(), licenses.Filter{Agency: "donghu-amr", Status: status, Number: number})
				must(t, err)
				if len(list) != want {
					t.Errorf("%d licences with status %q and number %q, want %d", len(list), status, number, want)
				}
			}
		}
		for _, act := range []licenses.Act{licenses.Suspend, licenses.Resume, licenses.Revoke} {
			if _, err := c.Act(t.Context(), callers["donghu"], first.ID, act, "r", ""); fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s what was replaced: %v", act, err)
			}
		}
		c.wantClean(t, 4)
	})
}

// wantRevoked checks how many indexes the lists say are revoked.
func (c *city) wantRevoked(t *testing.T, want int) {
	t.Helper()
	lists, err := c.Statuses(t.Context())
	must(t, err)
	got := 0
	for _, l := range lists {
		got += len(l.Revoked)
	}
	if got != want {
		t.Errorf("%d revoked, want %d", got, want)
	}
}

func TestReplaceRefusals(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(nil))
		held := c.issue(t, "donghu", "held", food(soon))
		_, err := c.Act(t.Context(), callers["donghu"], held.ID, licenses.Suspend, "r", "")
		must(t, err)
		gone := c.issue(t, "donghu", "gone", food(soon))
		_, err = c.Act(t.Context(), callers["donghu"], gone.ID, licenses.Revoke, "r", "")
		must(t, err)
		near := c.issue(t, "donghu", "near", food(soon))
		longer := time.Now().AddDate(11, 0, 0).Format(time.DateOnly)
		cases := []struct {
			name, caller, id string
			r                licenses.Replacement
			kind             fault.Kind
		}{
			{"too early", "donghu", l.ID, licenses.Replacement{Kind: licenses.Renewed}, fault.Conflict},
			{"another agency's", "edu", l.ID, licenses.Replacement{Kind: licenses.Reprinted}, fault.NotFound},
			{"of no agency", "homeless", l.ID, licenses.Replacement{Kind: licenses.Reprinted}, fault.Denied},
			{"unknown", "donghu", db.NewID(), licenses.Replacement{Kind: licenses.Reprinted}, fault.NotFound},
			{"suspended", "donghu", held.ID, licenses.Replacement{Kind: licenses.Renewed}, fault.Conflict},
			{"revoked", "donghu", gone.ID, licenses.Replacement{Kind: licenses.Reprinted}, fault.Conflict},
			{"unknown kind", "donghu", l.ID, licenses.Replacement{Kind: "burned"}, fault.Invalid},
			{"no reason", "donghu", l.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "-"}, fault.Invalid},
			{"no key", "donghu", l.ID, licenses.Replacement{Kind: licenses.Reprinted, Key: "-"}, fault.Invalid},
			{"a key that issued", "donghu", l.ID, licenses.Replacement{Kind: licenses.Reprinted, Key: "near"}, fault.Conflict},
			{"change of nothing", "donghu", l.ID, licenses.Replacement{Kind: licenses.Changed}, fault.Invalid},
			{"change against the schema", "donghu", l.ID, licenses.Replacement{Kind: licenses.Changed, Data: changed(-1)}, fault.Invalid},
			{"change of dates", "donghu", l.ID, licenses.Replacement{Kind: licenses.Changed, Data: changed(1), NotAfter: "2030-01-01"}, fault.Invalid},
			{"reprint with data", "donghu", l.ID, licenses.Replacement{Kind: licenses.Reprinted, Data: changed(1)}, fault.Invalid},
			{"renewal backwards", "donghu", near.ID, licenses.Replacement{Kind: licenses.Renewed, NotAfter: time.Now().AddDate(0, 0, 20).Format(time.DateOnly)}, fault.Invalid},
			{"renewal too long", "donghu", near.ID, licenses.Replacement{Kind: licenses.Renewed, NotAfter: longer}, fault.Invalid},
			{"renewal to no date", "donghu", near.ID, licenses.Replacement{Kind: licenses.Renewed, NotAfter: "soon"}, fault.Invalid},
			{"renewal against the schema", "donghu", near.ID, licenses.Replacement{Kind: licenses.Renewed, Data: map[string]any{}}, fault.Invalid},
		}
		for _, tc := range cases {
			for field, value := range map[*string]string{&tc.r.Reason: "理由", &tc.r.Key: db.NewID()} {
				if *field == "" {
					*field = value
				} else if *field == "-" {
					*field = ""
				}
			}
			if _, err := c.Replace(t.Context(), callers[tc.caller], tc.id, tc.r); fault.KindOf(err) != tc.kind {
				t.Errorf("%s: %v, want kind %v", tc.name, err, tc.kind)
			}
		}
		for _, one := range []*licenses.License{l, near} {
			still, err := c.Find(t.Context(), "donghu-amr", one.ID)
			must(t, err)
			if still.Status != licenses.Issued {
				t.Errorf("after refusals it is %s", still.Status)
			}
		}
		c.wantRevoked(t, 1)
		c.wantClean(t, 4)
	})
}

// TestOneClerkWins: of many who replace one licence, or revoke it meanwhile, one has
// an effect.
func TestOneClerkWins(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for round := range 4 {
			l := c.issue(t, "donghu", fmt.Sprint("k", round), food(nil))
			var won atomic.Int32
			var wg sync.WaitGroup
			count := func(err error) {
				if err == nil {
					won.Add(1)
				} else if fault.KindOf(err) != fault.Conflict {
					t.Error(err)
				}
			}
			for i := range 6 {
				wg.Go(func() {
					_, err := c.Replace(t.Context(), callers["donghu"], l.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "r", Key: fmt.Sprint("race", round, "-", i)})
					count(err)
				})
			}
			wg.Go(func() {
				_, err := c.Act(t.Context(), callers["donghu"], l.ID, licenses.Revoke, "r", "")
				count(err)
			})
			wg.Wait()
			if won.Load() != 1 {
				t.Errorf("round %d: %d won", round, won.Load())
			}
		}
		c.wantRevoked(t, 4)
		n, err := c.CheckAll(t.Context(), func(id, problem string) { t.Errorf("licence %s %s", id, problem) })
		if err != nil || n < 4 || n > 8 {
			t.Errorf("checked %d: %v", n, err)
		}
	})
}

// TestSameKeyAtOnce: one replacement, whoever asks how often.
func TestSameKeyAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(nil))
		var made sync.Map
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				got, err := c.Replace(t.Context(), callers["donghu"], l.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "r", Key: "same"})
				if err != nil {
					t.Error(err)
					return
				}
				made.Store(got.ID+got.Permit, true)
			})
		}
		wg.Wait()
		n := 0
		made.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("%d answers to one key", n)
		}
		c.wantClean(t, 2)
	})
}

// TestCrashAmidAReplacement: until the new permit is signed the old one counts, and
// nobody can end it behind the new one's back; the sweeper completes both.
func TestCrashAmidAReplacement(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(nil))
		r := licenses.Replacement{Kind: licenses.Reprinted, Reason: "r", Key: "crash"}
		must(t, c.BeginReplacement(t.Context(), callers["donghu"], l.ID, r))
		old, err := c.Find(t.Context(), "donghu-amr", l.ID)
		must(t, err)
		if old.Status != licenses.Issued {
			t.Errorf("the old one is %s before the signature", old.Status)
		}
		c.wantRevoked(t, 0)
		for _, act := range []licenses.Act{licenses.Suspend, licenses.Revoke} {
			if _, err := c.Act(t.Context(), callers["donghu"], l.ID, act, "r", ""); fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s amid a replacement: %v", act, err)
			}
		}
		other := r
		other.Key = "other"
		if _, err := c.Replace(t.Context(), callers["donghu"], l.ID, other); fault.KindOf(err) != fault.Conflict {
			t.Errorf("replaced twice: %v", err)
		}
		if n, err := c.SweepBefore(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 1 {
			t.Fatalf("swept %d: %v", n, err)
		}
		c.wantRevoked(t, 1)
		c.wantListed(t, l, licenses.Revoked)
		again := c.replace(t, l.ID, r)
		p, err := permit.Parse(again.Permit, dictionaries)
		must(t, err)
		if p.Number != l.Number || again.Version != 2 {
			t.Errorf("completed as %s version %d", p.Number, again.Version)
		}
		c.wantClean(t, 2)
	})
}

// TestSuccessorsLookAfterPermits: the agency that took another's place, and no
// other, suspends, renews and revokes what that one issued.
func TestSuccessorsLookAfterPermits(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(soon))
		heir := callers["edu"]
		try := func(name string, want fault.Kind) {
			t.Helper()
			if _, err := c.Act(t.Context(), heir, l.ID, licenses.Suspend, "r", ""); fault.KindOf(err) != want {
				t.Errorf("%s: suspended: %v", name, err)
			}
			if _, err := c.Replace(t.Context(), heir, l.ID, licenses.Replacement{Kind: licenses.Renewed, Reason: "r", Key: db.NewID()}); fault.KindOf(err) != want {
				t.Errorf("%s: renewed: %v", name, err)
			}
		}
		try("a stranger", fault.NotFound)
		middle := registry.Agency{ID: "middle", USCC: "11990101MB0000035Q", NameZH: "中", NameEN: "Middle", Level: registry.District, Area: "990101", Issuer: "city"}
		_, err := c.reg.AddAgency(t.Context(), "ceremony", middle)
		must(t, err)
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "middle"}))
		try("a stranger to the successor", fault.NotFound)
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "middle", Successor: "jiangcheng-edu"}))
		try("a successor without authority", fault.Denied)
		c.authorize(t, "jiangcheng-edu", "food-business")
		if found, err := c.Find(t.Context(), "jiangcheng-edu", l.ID); err != nil || found.ID != l.ID {
			t.Fatalf("the successor finds %v", err)
		}
		renewed, err := c.Replace(t.Context(), heir, l.ID, licenses.Replacement{Kind: licenses.Renewed, Reason: "r", Key: "heir"})
		must(t, err)
		if renewed.Agency != "jiangcheng-edu" || renewed.Number != l.Number || !strings.Contains(renewed.Identifier, "11990100MB00000435") {
			t.Errorf("renewed %+v", renewed)
		}
		if _, err := c.Act(t.Context(), callers["donghu"], renewed.ID, licenses.Revoke, "r", ""); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the former agency acts on its successor's: %v", err)
		}
		_, err = c.Act(t.Context(), heir, renewed.ID, licenses.Revoke, "r", "")
		must(t, err)
		c.wantClean(t, 2)
	})
}

// TestSplitAgency: for one type the office that split off looks after permits, for the
// others it does not.
func TestSplitAgency(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(nil))
		c.authorize(t, "jiangcheng-edu", "food-business")
		split := registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-edu", Type: "teacher"}
		must(t, c.reg.Succeed(t.Context(), "ceremony", split))
		if _, err := c.Act(t.Context(), callers["edu"], l.ID, licenses.Suspend, "r", ""); fault.KindOf(err) != fault.NotFound {
			t.Errorf("of another type: %v", err)
		}
		split.Type = "food-business"
		must(t, c.reg.Succeed(t.Context(), "ceremony", split))
		_, err := c.Act(t.Context(), callers["edu"], l.ID, licenses.Suspend, "r", "")
		must(t, err)
		c.wantClean(t, 1)
	})
}

func TestReplaceOverHTTP(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	mux := newMux(c)
	l := c.issue(t, "donghu", "k", food(nil))
	at := "/licenses/v1/licenses/" + l.ID
	cases := []struct {
		name, path, token, key, body string
		status                       int
		says                         string
	}{
		{"no key", "/reprint", "donghu", "", `{"reason":"r"}`, 400, "idempotency key"},
		{"no scope", "/reprint", "narrow", "a", `{"reason":"r"}`, 403, ""},
		{"no reason", "/reprint", "donghu", "a", `{}`, 400, "/reason"},
		{"unknown member", "/reprint", "donghu", "a", `{"reason":"r","kind":"renewed"}`, 400, ""},
		{"too early", "/renew", "donghu", "a", `{"reason":"r"}`, 409, "from 20"},
		{"every problem", "/change", "donghu", "a", `{"reason":"r","data":{"seats":-1},"not_after":"x"}`, 400, "/data/premises"},
		{"reprinted", "/reprint", "donghu", "a", `{"reason":"r"}`, 201, `"version":2`},
		{"repeated", "/reprint", "donghu", "a", `{"reason":"r"}`, 201, `"version":2`},
		{"another body", "/reprint", "donghu", "a", `{"reason":"s"}`, 409, "idempotency key"},
		{"what was replaced", "/reprint", "donghu", "b", `{"reason":"r"}`, 409, "replaced"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			status, got := callKeyed(t, mux, at+tc.path, tc.token, tc.key, tc.body)
			if status != tc.status || !strings.Contains(got, tc.says) {
				t.Errorf("status %d, want %d and %q: %s", status, tc.status, tc.says, got)
			}
		})
	}
	if status, got := call(t, mux, "GET", at, "donghu", ""); status != 200 || !strings.Contains(got, `"status":"replaced"`) || !strings.Contains(got, `"versions":[{"version":1,`) {
		t.Errorf("status %d: %s", status, got)
	}
	if _, got := call(t, mux, "GET", "/licenses/v1/licenses?number="+l.Number, "donghu", ""); strings.Count(got, `"permit"`) != 2 {
		t.Errorf("versions by number: %s", got)
	}
}
