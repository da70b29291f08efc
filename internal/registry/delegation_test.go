package registry_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// noodles are a firm, its legal representative and somebody else.
type noodles struct {
	firm      string
	rep, zhou registry.Person
}

func addNoodles(t testing.TB, r *registry.Registry) noodles {
	t.Helper()
	rep, _, err := r.AddPerson(t.Context(), actor, wang)
	if err != nil {
		t.Fatal(err)
	}
	zhou, _, err := r.AddPerson(t.Context(), actor, registry.Person{Kind: registry.Resident, Number: complete("99010119900307002"), Name: "周敏"})
	if err != nil {
		t.Fatal(err)
	}
	n := noodles{completeUSCC("91990101MA0000001"), rep, zhou}
	must(r.AddFirm(t.Context(), actor, registry.Firm{USCC: n.firm, Name: "东湖面馆", LegalRep: rep.ID}))(t)
	return n
}

func (n noodles) delegation() registry.Delegation {
	return registry.Delegation{Firm: n.firm, Person: n.zhou.ID, From: now, Until: now.AddDate(1, 0, 0)}
}

// wantMay checks both ways to ask.
func wantMay(t testing.TB, r *registry.Registry, person, firm string, at time.Time, want bool) {
	t.Helper()
	if got := must(r.MayActFor(t.Context(), person, firm, at))(t); got != want {
		t.Errorf("may act: %v, want %v", got, want)
	}
	firms := must(r.FirmsOf(t.Context(), person, at))(t)
	if got := slices.ContainsFunc(firms, func(f registry.Firm) bool { return f.USCC == firm }); got != want {
		t.Errorf("listed: %v, want %v", got, want)
	}
}

func TestDelegate(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n := addNoodles(t, r)
		wantMay(t, r, n.zhou.ID, n.firm, now, false)
		for i, want := range []bool{true, false} {
			if got := must(r.Delegate(t.Context(), actor, n.delegation()))(t); got != want {
				t.Errorf("attempt %d: created %v", i, got)
			}
		}
		asked := n.delegation()
		for _, c := range []struct {
			name, person, firm string
			at                 time.Time
			want               bool
		}{
			{"first moment", n.zhou.ID, n.firm, asked.From, true},
			{"just before", n.zhou.ID, n.firm, asked.From.Add(-time.Microsecond), false},
			{"last moment", n.zhou.ID, n.firm, asked.Until.Add(-time.Microsecond), true},
			{"end", n.zhou.ID, n.firm, asked.Until, false},
			{"legal representative", n.rep.ID, n.firm, asked.Until, true},
			{"another firm", n.zhou.ID, completeUSCC("91990101MA0000002"), now, false},
			{"no firm", n.zhou.ID, "", now, false},
			{"nobody", "nobody", n.firm, now, false},
			{"no person", "", n.firm, now, false},
			{"not an id", "' OR 1=1 --", n.firm, now, false},
		} {
			t.Run(c.name, func(t *testing.T) { wantMay(t, r, c.person, c.firm, c.at, c.want) })
		}
		asked.Created = now
		if diff := cmp.Diff([]registry.Delegation{asked}, must(r.ListDelegations(t.Context(), n.firm))(t)); diff != "" {
			t.Error(diff)
		}
		if e := events(t, d, "registry.delegate"); !slices.Equal(e, []string{actor + " firm:" + n.firm}) {
			t.Errorf("events %v", e)
		}
	})
}

func TestDelegateRefuses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n := addNoodles(t, r)
		must(r.Delegate(t.Context(), actor, n.delegation()))(t)
		for _, c := range []struct {
			name   string
			change func(d *registry.Delegation)
			kind   fault.Kind
			path   string
		}{
			{"another end", func(d *registry.Delegation) { d.Until = d.Until.Add(time.Hour) }, fault.Conflict, ""},
			{"no end, same beginning", func(d *registry.Delegation) { d.Until = time.Time{} }, fault.Conflict, ""},
			{"unknown firm", func(d *registry.Delegation) { d.Firm = completeUSCC("91990101MA0000009") }, fault.NotFound, ""},
			{"unknown person", func(d *registry.Delegation) { d.Person = "nobody" }, fault.NotFound, ""},
			{"bad code", func(d *registry.Delegation) { d.Firm = "91" }, fault.Invalid, "/firm"},
			{"no person", func(d *registry.Delegation) { d.Person = "" }, fault.Invalid, "/person"},
			{"ends as it begins", func(d *registry.Delegation) { d.Until = d.From }, fault.Invalid, "/until"},
			{"ends before now", func(d *registry.Delegation) { d.From, d.Until = time.Time{}, now.Add(-time.Hour) }, fault.Invalid, "/until"},
			{"part of a second", func(d *registry.Delegation) { d.From = d.From.Add(time.Millisecond) }, fault.Invalid, "/from"},
			{"part of a second's end", func(d *registry.Delegation) { d.Until = d.Until.Add(time.Millisecond) }, fault.Invalid, "/until"},
			{"beyond the calendar", func(d *registry.Delegation) { d.Until = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, fault.Invalid, "/until"},
			{"before 1970", func(d *registry.Delegation) { d.From = time.Unix(-1, 0) }, fault.Invalid, "/from"},
			{"withdrawn from the start", func(d *registry.Delegation) { d.Withdrawn = now }, fault.Invalid, "/created"},
		} {
			t.Run(c.name, func(t *testing.T) {
				d := n.delegation()
				c.change(&d)
				created, err := r.Delegate(t.Context(), actor, d)
				wantFault(t, err, c.kind, c.path)
				if created {
					t.Error("created")
				}
			})
		}
		if e := len(events(t, d, "registry.delegate")); e != 1 {
			t.Errorf("%d events, want 1", e)
		}
		if _, err := r.ListDelegations(t.Context(), completeUSCC("91990101MA0000009")); !errors.Is(err, registry.ErrFirm) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWithdraw(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx, n := t.Context(), addNoodles(t, r)
		dated, later := n.delegation(), n.delegation()
		dated.From = now.AddDate(0, 0, -7)
		later.From = now.AddDate(0, 1, 0)
		must(r.Delegate(ctx, actor, dated))(t)
		must(r.Delegate(ctx, actor, later))(t)
		wantMay(t, r, n.zhou.ID, n.firm, now, true)
		for range 2 {
			if err := r.Withdraw(ctx, actor, n.firm, n.zhou.ID); err != nil {
				t.Fatal(err)
			}
		}
		wantMay(t, r, n.zhou.ID, n.firm, now, false)
		wantMay(t, r, n.zhou.ID, n.firm, later.From, false)
		wantMay(t, r, n.zhou.ID, n.firm, now.Add(-time.Microsecond), true) // as it was then
		if e := events(t, d, "registry.withdraw"); !slices.Equal(e, []string{actor + " firm:" + n.firm}) {
			t.Errorf("events %v", e)
		}
		// What was asked for before does not come back, but something new may be asked for.
		_, err := r.Delegate(ctx, actor, dated)
		wantFault(t, err, fault.Conflict, "")
		open := registry.Delegation{Firm: n.firm, Person: n.zhou.ID}
		for i, want := range []bool{true, false} {
			if got := must(r.Delegate(ctx, actor, open))(t); got != want {
				t.Errorf("anew, attempt %d: created %v", i, got)
			}
		}
		wantMay(t, r, n.zhou.ID, n.firm, now.AddDate(100, 0, 0), true)
		for _, d := range must(r.ListDelegations(ctx, n.firm))(t) {
			if d.Withdrawn.IsZero() != d.Until.IsZero() {
				t.Errorf("withdrawn %v of the one until %v", d.Withdrawn, d.Until)
			}
		}
	})
}

func TestWithdrawRefuses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n := addNoodles(t, r)
		for _, c := range []struct {
			name, firm, person string
			kind               fault.Kind
		}{
			{"unknown firm", completeUSCC("91990101MA0000009"), n.zhou.ID, fault.NotFound},
			{"unknown person", n.firm, "nobody", fault.NotFound},
			{"bad code", "91", n.zhou.ID, fault.Invalid},
			{"no person", n.firm, "", fault.Invalid},
		} {
			t.Run(c.name, func(t *testing.T) {
				wantFault(t, r.Withdraw(t.Context(), actor, c.firm, c.person), c.kind, "")
			})
		}
		// A legal representative has nothing to withdraw.
		if err := r.Withdraw(t.Context(), actor, n.firm, n.rep.ID); err != nil {
			t.Error(err)
		}
		wantMay(t, r, n.rep.ID, n.firm, now, true)
		if e := events(t, d, "registry.withdraw"); len(e) != 0 {
			t.Errorf("events %v", e)
		}
	})
}

// Firms come once each and in order, however many delegations there are.
func TestFirmsOf(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *registry.Registry) {
		ctx, n := t.Context(), addNoodles(t, r)
		second := registry.Firm{USCC: completeUSCC("91990101MA0000000"), Name: "东湖茶馆", LegalRep: n.zhou.ID}
		must(r.AddFirm(ctx, actor, second))(t)
		must(r.Delegate(ctx, actor, n.delegation()))(t)
		must(r.Delegate(ctx, actor, registry.Delegation{Firm: n.firm, Person: n.zhou.ID}))(t)
		must(r.Delegate(ctx, actor, registry.Delegation{Firm: second.USCC, Person: n.zhou.ID}))(t)
		first := registry.Firm{USCC: n.firm, Name: "东湖面馆", LegalRep: n.rep.ID, Created: now}
		second.Created = now
		want := []registry.Firm{first, second}
		slices.SortFunc(want, func(a, b registry.Firm) int { return map[bool]int{true: -1, false: 1}[a.USCC < b.USCC] })
		if diff := cmp.Diff(want, must(r.FirmsOf(ctx, n.zhou.ID, now))(t)); diff != "" {
			t.Error(diff)
		}
		if list := must(r.FirmsOf(ctx, "nobody", now))(t); len(list) != 0 {
			t.Errorf("nobody's firms: %v", list)
		}
	})
}

// The same delegation asked for by many at once, through two replicas, is there
// once: also without a beginning, where no key of the database says so.
func TestDelegateAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealer(t)
		replicas := []*registry.Registry{open(t, d, s), open(t, d, s)}
		n := addNoodles(t, replicas[0])
		var mu sync.Mutex
		var wg sync.WaitGroup
		created := 0
		for i := range 12 {
			wg.Go(func() {
				isNew, err := replicas[i%2].Delegate(t.Context(), actor, registry.Delegation{Firm: n.firm, Person: n.zhou.ID})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if isNew {
					created++
				}
			})
		}
		wg.Wait()
		if rows := len(must(replicas[0].ListDelegations(t.Context(), n.firm))(t)); created != 1 || rows != 1 || len(events(t, d, "registry.delegate")) != 1 {
			t.Errorf("%d created, %d rows", created, rows)
		}
	})
}
