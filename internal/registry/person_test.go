package registry_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

func TestPeople(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		first, created, err := r.AddPerson(ctx, actor, wang)
		if err != nil || !created {
			t.Fatal(created, err)
		}
		again, created, err := r.AddPerson(ctx, actor, wang)
		if err != nil || created || again != first {
			t.Errorf("again: %v %v %v", again, created, err)
		}
		found := must(r.FindPerson(ctx, wang.Kind, wang.Number))(t)
		want := wang
		want.ID, want.Created = first.ID, now
		if diff := cmp.Diff(want, found); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, must(r.PersonByID(ctx, first.ID))(t)); diff != "" {
			t.Error(diff)
		}
		for _, id := range []string{"", "nobody", strings.ToUpper(first.ID), wang.Number} {
			if _, err := r.PersonByID(ctx, id); !errors.Is(err, registry.ErrPerson) {
				t.Errorf("by id %q: %v", id, err)
			}
		}
		if _, err := r.FindPerson(ctx, registry.Resident, complete("99010119900307002")); !errors.Is(err, registry.ErrPerson) {
			t.Errorf("got %v", err)
		}
		if _, err := r.FindPerson(ctx, registry.Resident, "1"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("got %v", err)
		}
		// The same number on another kind of document is another person.
		other := registry.Person{Kind: registry.Passport, Number: wang.Number, Name: "Jane Doe"}
		if p, created, err := r.AddPerson(ctx, actor, other); err != nil || !created || p.ID == first.ID {
			t.Errorf("passport: %v %v %v", p, created, err)
		}
		renamed := wang
		renamed.Name = "王大明"
		if _, _, err := r.AddPerson(ctx, actor, renamed); fault.KindOf(err) != fault.Conflict {
			t.Errorf("renamed: %v", err)
		}
		if e := events(t, d, "registry.person.add"); len(e) != 2 || !slices.Contains(e, actor+" person:"+first.ID) {
			t.Errorf("events %v", e)
		}
	})
}

func TestAddPersonRefuses(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *registry.Registry) {
		for _, c := range []struct {
			name   string
			change func(p *registry.Person)
			path   string
		}{
			{"wrong check digit", func(p *registry.Person) { p.Number = p.Number[:17] + "?" }, "/number"},
			{"born tomorrow", func(p *registry.Person) { p.Number = complete("99010120260302001") }, "/number"},
			{"no name", func(p *registry.Person) { p.Name = "" }, "/name"},
			{"NUL in name", func(p *registry.Person) { p.Name = "王\x00明" }, "/name"},
			{"own id", func(p *registry.Person) { p.ID = "mine" }, "/id"},
			{"unknown kind", func(p *registry.Person) { p.Kind = "driver" }, "/number"},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := wang
				c.change(&p)
				_, _, err := r.AddPerson(t.Context(), actor, p)
				wantFault(t, err, fault.Invalid, c.path)
			})
		}
		// Born today in China, where it is already the day after 1 March's eve.
		p := wang
		p.Number = complete("99010120260301001")
		if _, _, err := r.AddPerson(t.Context(), actor, p); err != nil {
			t.Errorf("born today: %v", err)
		}
	})
}

// The same thing added by many at once is there once, with one event.
func TestAddAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		ids, created := map[string]bool{}, 0
		for range 12 {
			wg.Go(func() {
				p, isNew, err := r.AddPerson(t.Context(), actor, wang)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if ids[p.ID] = true; isNew {
					created++
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 || created != 1 || len(events(t, d, "registry.person.add")) != 1 {
			t.Errorf("%d ids, %d created", len(ids), created)
		}
	})
}
