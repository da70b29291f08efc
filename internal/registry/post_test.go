package registry_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

func TestPosts(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx, n := t.Context(), addNoodles(t, r)
		addAgencies(t, r)
		if list := must(r.PostsOf(ctx, n.zhou.ID))(t); len(list) != 0 {
			t.Errorf("began with %v", list)
		}
		clerk := registry.Post{Person: n.zhou.ID, Agency: "donghu-amr", Role: web.RoleClerk}
		officer := registry.Post{Person: n.zhou.ID, Agency: "donghu-amr", Role: web.RoleOfficer}
		ofCity := registry.Post{Person: n.zhou.ID, Role: web.RoleOfficer}
		for _, p := range []registry.Post{officer, clerk, ofCity} {
			for i, want := range []bool{true, false} {
				if got := must(r.Employ(ctx, actor, p))(t); got != want {
					t.Errorf("%v, attempt %d: created %v", p, i, got)
				}
			}
		}
		reviewer := clerk
		reviewer.Role = web.RoleReviewer // beside the post of clerk
		if !must(r.Employ(ctx, actor, reviewer))(t) || len(must(r.PostsOf(ctx, n.zhou.ID))(t)) != 4 {
			t.Error("no reviewer")
		}
		if err := r.Dismiss(ctx, actor, reviewer.Person, reviewer.Agency, reviewer.Role); err != nil {
			t.Fatal(err)
		}
		want := []registry.Post{ofCity, clerk, officer}
		for i := range want {
			want[i].Created = now
		}
		if diff := cmp.Diff(want, must(r.PostsOf(ctx, n.zhou.ID))(t)); diff != "" {
			t.Error(diff)
		}
		for range 2 {
			for _, p := range []registry.Post{clerk, ofCity} {
				if err := r.Dismiss(ctx, actor, p.Person, p.Agency, p.Role); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(want[2:], must(r.PostsOf(ctx, n.zhou.ID))(t)); diff != "" {
			t.Error(diff)
		}
		// A post may be held again.
		if !must(r.Employ(ctx, actor, clerk))(t) || len(must(r.PostsOf(ctx, n.zhou.ID))(t)) != 2 {
			t.Error("not held again")
		}
		if e := events(t, d, "registry.employ"); len(e) != 5 || e[0] != actor+" person:"+n.zhou.ID {
			t.Errorf("events %v", e)
		}
		if e := events(t, d, "registry.dismiss"); !slices.Equal(e, slices.Repeat([]string{actor + " person:" + n.zhou.ID}, 3)) {
			t.Errorf("events %v", e)
		}
	})
}

func TestPostsRefuse(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n := addNoodles(t, r)
		addAgencies(t, r)
		for _, c := range []struct {
			name   string
			change func(p *registry.Post)
			kind   fault.Kind
			path   string
		}{
			{"unknown person", func(p *registry.Post) { p.Person = "nobody" }, fault.NotFound, ""},
			{"unknown agency", func(p *registry.Post) { p.Agency = "nobody" }, fault.NotFound, ""},
			{"no person", func(p *registry.Post) { p.Person = "" }, fault.Invalid, "/person"},
			{"not an agency", func(p *registry.Post) { p.Agency = "../x" }, fault.Invalid, "/agency"},
			{"clerk of the city", func(p *registry.Post) { p.Agency = "" }, fault.Invalid, "/agency"},
			{"reviewer of the city", func(p *registry.Post) { p.Agency, p.Role = "", web.RoleReviewer }, fault.Invalid, "/agency"},
			{"identity desk of the city", func(p *registry.Post) { p.Agency, p.Role = "", web.RoleIdentity }, fault.Invalid, "/agency"},
			{"unknown role", func(p *registry.Post) { p.Role = "king" }, fault.Invalid, "/role"},
			{"an operator's role", func(p *registry.Post) { p.Role = "operator" }, fault.Invalid, "/role"},
			{"no role", func(p *registry.Post) { p.Role = "" }, fault.Invalid, "/role"},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := registry.Post{Person: n.zhou.ID, Agency: "donghu-amr", Role: web.RoleClerk}
				c.change(&p)
				_, err := r.Employ(t.Context(), actor, p)
				wantFault(t, err, c.kind, c.path)
				wantFault(t, r.Dismiss(t.Context(), actor, p.Person, p.Agency, p.Role), c.kind, c.path)
			})
		}
		_, err := r.Employ(t.Context(), actor, registry.Post{Person: n.zhou.ID, Agency: "donghu-amr", Role: web.RoleClerk, Ended: now})
		wantFault(t, err, fault.Invalid, "/created")
		if e := events(t, d, "registry.employ"); len(e) != 0 {
			t.Errorf("events %v", e)
		}
	})
}

func TestEmployAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n := addNoodles(t, r)
		addAgencies(t, r)
		var created atomic.Int64
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				isNew, err := r.Employ(t.Context(), actor, registry.Post{Person: n.zhou.ID, Agency: "donghu-amr", Role: web.RoleClerk})
				if err != nil {
					t.Error(err)
				}
				if isNew {
					created.Add(1)
				}
			})
		}
		wg.Wait()
		if held := must(r.PostsOf(t.Context(), n.zhou.ID))(t); created.Load() != 1 || len(held) != 1 || len(events(t, d, "registry.employ")) != 1 {
			t.Errorf("%d created, held %v", created.Load(), held)
		}
	})
}
