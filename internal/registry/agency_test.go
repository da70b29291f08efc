package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

func TestAddAgency(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		for i, want := range []bool{true, false, false} {
			if got := must(r.AddAgency(ctx, actor, cityAgency))(t); got != want {
				t.Errorf("attempt %d: created %v", i, got)
			}
		}
		must(r.AddAgency(ctx, actor, districtAgency))(t)
		got := must(r.FindAgency(ctx, "donghu-amr"))(t)
		want := districtAgency
		want.Created = now
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		list := must(r.ListAgencies(ctx))(t)
		if len(list) != 2 || list[0].ID != "donghu-amr" || list[1].ID != "jiangcheng-amr" {
			t.Errorf("listed %v", list)
		}
		if _, err := r.FindAgency(ctx, "nobody"); !errors.Is(err, registry.ErrAgency) {
			t.Errorf("got %v", err)
		}
		if e := events(t, d, "registry.agency.add"); !slices.Equal(e, []string{actor + " agency:donghu-amr", actor + " agency:jiangcheng-amr"}) {
			t.Errorf("events %v", e)
		}
	})
}

func TestAddAgencyRefuses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		addAgencies(t, r)
		for _, c := range []struct {
			name   string
			change func(a *registry.Agency)
			kind   fault.Kind
			path   string
		}{
			{"other name", func(a *registry.Agency) { a.NameZH = "别的局" }, fault.Conflict, ""},
			{"other id, same code", func(a *registry.Agency) { a.ID = "second" }, fault.Conflict, ""},
			{"same id, other code", func(a *registry.Agency) { a.USCC = completeUSCC("11990101MB0000003") }, fault.Conflict, ""},
			{"no id", func(a *registry.Agency) { a.ID = "" }, fault.Invalid, "/id"},
			{"capital id", func(a *registry.Agency) { a.ID = "Donghu" }, fault.Invalid, "/id"},
			{"path in id", func(a *registry.Agency) { a.ID = "../x" }, fault.Invalid, "/id"},
			{"bad code", func(a *registry.Agency) { a.USCC = "1" }, fault.Invalid, "/uscc"},
			{"no name", func(a *registry.Agency) { a.NameEN = "" }, fault.Invalid, "/name_en"},
			{"line break in name", func(a *registry.Agency) { a.NameZH = "东湖\n区" }, fault.Invalid, "/name_zh"},
			{"direction override in name", func(a *registry.Agency) { a.NameZH = "东湖\u202e区" }, fault.Invalid, "/name_zh"},
			{"name not UTF-8", func(a *registry.Agency) { a.NameZH = "\xff" }, fault.Invalid, "/name_zh"},
			{"long name", func(a *registry.Agency) { a.NameZH = strings.Repeat("东", 121) }, fault.Invalid, "/name_zh"},
			{"no level", func(a *registry.Agency) { a.Level = "" }, fault.Invalid, "/area"},
			{"city's area for a district", func(a *registry.Agency) { a.Area = "990100" }, fault.Invalid, "/area"},
			{"district's area for a city", func(a *registry.Agency) { a.Level = registry.City }, fault.Invalid, "/area"},
			{"own parent", func(a *registry.Agency) { a.Parent = a.ID }, fault.Invalid, "/parent"},
			{"unknown parent", func(a *registry.Agency) { a.ID, a.Parent = "third", "nobody" }, fault.Invalid, "/parent"},
			{"district as parent", func(a *registry.Agency) { a.ID, a.Parent = "third", "donghu-amr" }, fault.Invalid, "/parent"},
			{"parent in another city", func(a *registry.Agency) { a.ID, a.Area = "third", "990201" }, fault.Invalid, "/parent"},
			{"successor", func(a *registry.Agency) { a.Successor = "jiangcheng-amr" }, fault.Invalid, "/successor"},
			{"no issuer", func(a *registry.Agency) { a.Issuer = "" }, fault.Invalid, "/issuer"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := districtAgency
				c.change(&a)
				created, err := r.AddAgency(t.Context(), actor, a)
				wantFault(t, err, c.kind, c.path)
				if created {
					t.Error("created")
				}
			})
		}
		if n := len(events(t, d, "registry.agency.add")); n != 2 {
			t.Errorf("%d events, want 2: a refusal left one", n)
		}
	})
}

func TestSucceed(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		for range 2 {
			if err := r.Succeed(ctx, actor, registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-amr"}); err != nil {
				t.Fatal(err)
			}
		}
		if got := must(r.FindAgency(ctx, "donghu-amr"))(t); got.Successor != "jiangcheng-amr" {
			t.Errorf("successor %q", got.Successor)
		}
		// What was asked for first still counts as the same agency.
		if created := must(r.AddAgency(ctx, actor, districtAgency))(t); created {
			t.Error("created again")
		}
		for _, c := range []struct {
			name, agency, successor string
			kind                    fault.Kind
		}{
			{"circle", "jiangcheng-amr", "donghu-amr", fault.Invalid},
			{"itself", "jiangcheng-amr", "jiangcheng-amr", fault.Invalid},
			{"unknown agency", "nobody", "donghu-amr", fault.NotFound},
			{"unknown successor", "jiangcheng-amr", "nobody", fault.NotFound},
			{"no successor", "jiangcheng-amr", "", fault.NotFound},
			{"no agency", "", "donghu-amr", fault.NotFound},
		} {
			t.Run(c.name, func(t *testing.T) {
				wantFault(t, r.Succeed(ctx, actor, registry.Succession{Agency: c.agency, Successor: c.successor}), c.kind, "")
			})
		}
		if n := len(events(t, d, "registry.agency.succeed")); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

// Another replica's view follows within two seconds, and our own at once.
func TestViewsFollow(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), newSealer(t)
		one, two := open(t, d, s), open(t, d, s)
		addAgencies(t, one)
		if may := must(two.MayIssue(ctx, "donghu-amr", "food-business", "990101", now))(t); may {
			t.Fatal("allowed before it was")
		}
		must(one.Authorize(ctx, actor, authority))(t)
		if may := must(one.MayIssue(ctx, "donghu-amr", "food-business", "990101", now))(t); !may {
			t.Error("our own change is not seen")
		}
		if list := must(two.ListAuthorities(ctx))(t); len(list) != 1 {
			t.Error("a list is not of now")
		}
		begun := time.Now()
		must(one.AddAgency(ctx, actor, registry.Agency{ID: "jiangcheng-edu", USCC: completeUSCC("11990100MB0000009"), NameZH: "江城市教育局",
			NameEN: "Jiangcheng Education", Level: registry.City, Area: "990100", Issuer: "city"}))(t)
		for {
			if _, err := two.FindAgency(ctx, "jiangcheng-edu"); err == nil {
				break
			}
			if time.Since(begun) > 2*time.Second {
				t.Fatal("not seen within two seconds")
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}
