package registry_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// foodAgency is what takes the food business from the district's agency.
var foodAgency = registry.Agency{ID: "donghu-food", USCC: "11990101MB0000035Q", NameZH: "东湖食品局", NameEN: "Donghu Food Office",
	Level: registry.District, Area: "990101", Issuer: "donghu"}

// TestSplit: one type goes to another agency, the rest stays or goes elsewhere.
func TestSplit(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		must(r.AddAgency(ctx, actor, foodAgency))(t)
		succeed := func(s registry.Succession) error { return r.Succeed(ctx, actor, s) }
		food := registry.Succession{Agency: "donghu-amr", Successor: "donghu-food", Type: "food-business"}
		for range 2 {
			if err := succeed(food); err != nil {
				t.Fatal(err)
			}
		}
		wantHeirs(t, r, map[string]bool{
			"donghu-food of donghu-amr for food-business":    true,
			"donghu-food of donghu-amr for business-license": false,
			"donghu-amr of donghu-amr for food-business":     true,
			"donghu-amr of donghu-food for food-business":    false,
			" of  for food-business":                         false,
		})
		if got := must(r.FindAgency(ctx, "donghu-amr"))(t); got.Successor != "" {
			t.Errorf("a split agency has the successor %q", got.Successor)
		}
		for name, tt := range map[string]struct {
			s    registry.Succession
			kind fault.Kind
		}{
			"another one":          {registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-amr", Type: "food-business"}, fault.Conflict},
			"itself":               {registry.Succession{Agency: "donghu-amr", Successor: "donghu-amr", Type: "taxi-driver"}, fault.Invalid},
			"a circle of one type": {registry.Succession{Agency: "donghu-food", Successor: "donghu-amr", Type: "food-business"}, fault.Invalid},
			"a circle for a type":  {registry.Succession{Agency: "donghu-food", Successor: "donghu-amr"}, fault.Invalid},
			"no type":              {registry.Succession{Agency: "donghu-amr", Successor: "donghu-food", Type: "Food"}, fault.Invalid},
			"unknown":              {registry.Succession{Agency: "donghu-amr", Successor: "nobody", Type: "taxi-driver"}, fault.NotFound},
		} {
			t.Run(name, func(t *testing.T) { wantFault(t, succeed(tt.s), tt.kind, "") })
		}
		// The rest goes to the city; what was split off goes on from where it is.
		for _, s := range []registry.Succession{{Agency: "donghu-amr", Successor: "jiangcheng-amr"}, {Agency: "donghu-food", Successor: "jiangcheng-amr", Type: "food-business"}} {
			if err := succeed(s); err != nil {
				t.Fatal(err)
			}
		}
		wantHeirs(t, r, map[string]bool{
			"jiangcheng-amr of donghu-amr for food-business":    true,
			"jiangcheng-amr of donghu-amr for business-license": true,
			"donghu-food of donghu-amr for business-license":    false,
			"donghu-food of donghu-amr for food-business":       true,
			"jiangcheng-amr of donghu-food for taxi-driver":     false,
		})
		if n := len(events(t, d, "registry.agency.succeed")); n != 3 {
			t.Errorf("%d events, want 3", n)
		}
	})
}

// wantHeirs asks of "HEIR of FORMER for TYPE".
func wantHeirs(t *testing.T, r *registry.Registry, heirs map[string]bool) {
	t.Helper()
	for question, want := range heirs {
		heir, rest, _ := strings.Cut(question, " of ")
		former, licenseType, _ := strings.Cut(rest, " for ")
		got, err := r.Inherits(t.Context(), heir, former, licenseType)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", question, got, err)
		}
	}
}

// TestAuthoritiesChangeHands: there is no moment at which both may issue, or neither.
func TestAuthoritiesChangeHands(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		must(r.AddAgency(ctx, actor, foodAgency))(t)
		later := authority
		later.From, later.Until = authority.Until.AddDate(1, 0, 0), authority.Until.AddDate(2, 0, 0)
		other := authority
		other.Type = "business-license"
		for _, a := range []registry.Authority{authority, later, other} {
			must(r.Authorize(ctx, actor, a))(t)
		}
		s := registry.Succession{Agency: "donghu-amr", Successor: "donghu-food", Type: "food-business", Authorities: true}
		for range 2 {
			if err := r.Succeed(ctx, actor, s); err != nil {
				t.Fatal(err)
			}
		}
		at := now.Add(2 * time.Minute).Truncate(time.Second)
		for _, when := range []time.Time{now, at.Add(-time.Second), at, authority.Until.Add(-time.Second), authority.Until, later.From, later.Until} {
			former := must(r.MayIssue(ctx, "donghu-amr", "food-business", "990101", when))(t)
			heir := must(r.MayIssue(ctx, "donghu-food", "food-business", "990101", when))(t)
			in := when.Before(authority.Until) || !when.Before(later.From) && when.Before(later.Until)
			if former != (in && when.Before(at)) || heir != (in && !when.Before(at)) {
				t.Errorf("at %v the former %v, the heir %v", when, former, heir)
			}
		}
		if !must(r.MayIssue(ctx, "donghu-amr", "business-license", "990101", at))(t) {
			t.Error("another type went too")
		}
		if n := len(events(t, d, "registry.agency.deauthorize")); n != 2 {
			t.Errorf("%d authorities ended, want 2", n)
		}
		// All or nothing: a city's authority does not go to a district's agency.
		city := other
		city.Agency, city.Area, city.Type = "jiangcheng-amr", "990100", "taxi-driver"
		must(r.Authorize(ctx, actor, city))(t)
		city.Area, city.Type = "990101", "food-business"
		must(r.Authorize(ctx, actor, city))(t)
		wantFault(t, r.Succeed(ctx, actor, registry.Succession{Agency: "jiangcheng-amr", Successor: "donghu-food", Authorities: true}), fault.Invalid, "/successor")
		if got := must(r.FindAgency(ctx, "jiangcheng-amr"))(t); got.Successor != "" || !must(r.MayIssue(ctx, "jiangcheng-amr", "food-business", "990101", at))(t) {
			t.Errorf("a refusal left something: %+v", got)
		}
	})
}

// TestSuccessionsRace: two that would close a circle, from two replicas.
func TestSuccessionsRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), newSealer(t)
		one, two := open(t, d, s), open(t, d, s)
		addAgencies(t, one)
		var won atomic.Int32
		var wg sync.WaitGroup
		for i, r := range []*registry.Registry{one, two, one, two} {
			wg.Go(func() {
				to := registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-amr"}
				if i%2 == 1 {
					to = registry.Succession{Agency: "jiangcheng-amr", Successor: "donghu-amr", Type: "food-business"}
				}
				if err := r.Succeed(ctx, actor, to); err == nil {
					won.Add(1)
				} else if fault.KindOf(err) != fault.Invalid {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 2 { // the winner and its repetition
			t.Errorf("%d won", won.Load())
		}
	})
}
