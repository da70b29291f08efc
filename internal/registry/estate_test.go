package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

// TestEstates: what was split off and what was merged, through agencies in between.
func TestEstates(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		must(r.AddAgency(ctx, actor, foodAgency))(t)
		for agency, types := range map[string][]string{"donghu-amr": {"food-business", "business-license"}, "jiangcheng-amr": {"taxi-driver"}} {
			for _, a := range types {
				grant := authority
				grant.Agency, grant.Type = agency, a
				must(r.Authorize(ctx, actor, grant))(t)
			}
		}
		past := authority // an authority that ended leaves what was done under it
		past.Type, past.From, past.Until = "old-type", now.Add(-48*time.Hour).Truncate(time.Second), now.Add(-24*time.Hour).Truncate(time.Second)
		must(r.Authorize(ctx, actor, past))(t)
		want := func(agency string, estates ...registry.Estate) {
			t.Helper()
			if diff := cmp.Diff(estates, must(r.Estates(ctx, agency))(t)); diff != "" {
				t.Errorf("%s: %s", agency, diff)
			}
		}
		business, food, old := registry.Estate{Agency: "donghu-amr", Type: "business-license"}, registry.Estate{Agency: "donghu-amr", Type: "food-business"},
			registry.Estate{Agency: "donghu-amr", Type: "old-type"}
		taxi := registry.Estate{Agency: "jiangcheng-amr", Type: "taxi-driver"}
		want("donghu-amr", business, food, old)
		want("donghu-food")
		want("nobody")
		for _, s := range []registry.Succession{{Agency: "donghu-amr", Successor: "donghu-food", Type: "food-business"}, {Agency: "donghu-amr", Successor: "jiangcheng-amr"}} {
			if err := r.Succeed(ctx, actor, s); err != nil {
				t.Fatal(err)
			}
		}
		want("donghu-amr", business, food, old) // its own stay its own to look at
		want("donghu-food", food)
		want("jiangcheng-amr", taxi, business, old) // its own first
		if err := r.Succeed(ctx, actor, registry.Succession{Agency: "donghu-food", Successor: "jiangcheng-amr"}); err != nil {
			t.Fatal(err)
		}
		want("donghu-food", food)
		want("jiangcheng-amr", taxi, business, food, old)
	})
}

// TestOffice: who deals with what was asked of an agency changes at the moment at which the
// authorities do.
func TestOffice(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		must(r.AddAgency(ctx, actor, foodAgency))(t)
		must(r.Authorize(ctx, actor, authority))(t)
		want := func(at time.Time, office string, may bool) {
			t.Helper()
			got, ok, err := r.Office(ctx, "donghu-amr", "food-business", at)
			if got != office || ok != may || err != nil {
				t.Errorf("at %v it is %s, %t, %v, want %s, %t", at, got, ok, err, office, may)
			}
		}
		want(now, "donghu-amr", true)
		want(authority.Until, "donghu-amr", false)
		if err := r.Succeed(ctx, actor, registry.Succession{Agency: "donghu-amr", Successor: "donghu-food", Authorities: true}); err != nil {
			t.Fatal(err)
		}
		at := now.Add(2 * time.Minute).Truncate(time.Second)
		want(now, "donghu-amr", true)
		want(at.Add(-time.Second), "donghu-amr", true)
		want(at, "donghu-food", true)
		want(authority.Until, "donghu-food", false)
		// The city's agency follows without an authority: the one before it goes on.
		if err := r.Succeed(ctx, actor, registry.Succession{Agency: "donghu-food", Successor: "jiangcheng-amr"}); err != nil {
			t.Fatal(err)
		}
		want(at, "donghu-food", true)
		want(authority.Until, "jiangcheng-amr", false)
		city := authority // in another district it has none here
		city.Agency, city.Area, city.From, city.Until = "jiangcheng-amr", "990102", authority.Until, authority.Until.AddDate(1, 0, 0)
		must(r.Authorize(ctx, actor, city))(t)
		want(authority.Until, "jiangcheng-amr", false)
		city.Area = "990101"
		must(r.Authorize(ctx, actor, city))(t)
		want(authority.Until, "jiangcheng-amr", true)
		city.From = now.Truncate(time.Second) // both may: the last one does
		must(r.Authorize(ctx, actor, city))(t)
		want(now, "jiangcheng-amr", true)
		if _, _, err := r.Office(ctx, "nobody", "food-business", now); fault.KindOf(err) != fault.NotFound {
			t.Errorf("of no agency: %v", err)
		}
	})
}
