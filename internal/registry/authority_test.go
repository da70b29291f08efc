package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

func TestAuthority(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		for i, want := range []bool{true, false} {
			if got := must(r.Authorize(ctx, actor, authority))(t); got != want {
				t.Errorf("attempt %d: created %v", i, got)
			}
		}
		whole := registry.Authority{Agency: "jiangcheng-amr", Type: "food-business", Area: "990100", From: authority.From, Until: authority.Until}
		must(r.Authorize(ctx, actor, whole))(t)
		if diff := cmp.Diff([]registry.Authority{authority, whole}, must(r.ListAuthorities(ctx))(t)); diff != "" {
			t.Error(diff)
		}
		for _, c := range []struct {
			name, agency, licenseType, area string
			at                              time.Time
			want                            bool
		}{
			{"inside", "donghu-amr", "food-business", "990101", now, true},
			{"first moment", "donghu-amr", "food-business", "990101", authority.From, true},
			{"just before", "donghu-amr", "food-business", "990101", authority.From.Add(-time.Microsecond), false},
			{"last moment", "donghu-amr", "food-business", "990101", authority.Until.Add(-time.Microsecond), true},
			{"end", "donghu-amr", "food-business", "990101", authority.Until, false},
			{"the neighbour's area", "donghu-amr", "food-business", "990102", now, false},
			{"the whole city", "donghu-amr", "food-business", "990100", now, false},
			{"another type", "donghu-amr", "teacher", "990101", now, false},
			{"the city in a district", "jiangcheng-amr", "food-business", "990102", now, true},
			{"unknown agency", "nobody", "food-business", "990101", now, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				if got := must(r.MayIssue(ctx, c.agency, c.licenseType, c.area, c.at))(t); got != c.want {
					t.Errorf("got %v", got)
				}
			})
		}
		if n := len(events(t, d, "registry.agency.authorize")); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
	})
}

func TestAuthorizeRefuses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		addAgencies(t, r)
		must(r.Authorize(t.Context(), actor, authority))(t)
		for _, c := range []struct {
			name   string
			change func(a *registry.Authority)
			kind   fault.Kind
			path   string
		}{
			{"another end", func(a *registry.Authority) { a.Until = a.Until.Add(time.Hour) }, fault.Conflict, ""},
			{"unknown agency", func(a *registry.Authority) { a.Agency = "nobody" }, fault.NotFound, ""},
			{"outside the area", func(a *registry.Authority) { a.Area = "990102" }, fault.Invalid, "/area"},
			{"the whole city", func(a *registry.Authority) { a.Area = "990100" }, fault.Invalid, "/area"},
			{"no type", func(a *registry.Authority) { a.Type = "" }, fault.Invalid, "/type"},
			{"ends as it begins", func(a *registry.Authority) { a.Until = a.From }, fault.Invalid, "/until"},
			{"no dates", func(a *registry.Authority) { a.From, a.Until = time.Time{}, time.Time{} }, fault.Invalid, "/from"},
			{"part of a second", func(a *registry.Authority) { a.From = a.From.Add(time.Millisecond) }, fault.Invalid, "/from"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := authority
				c.change(&a)
				_, err := r.Authorize(t.Context(), actor, a)
				wantFault(t, err, c.kind, c.path)
			})
		}
	})
}
