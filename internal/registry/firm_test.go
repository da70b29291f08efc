package registry_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

func TestFirms(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		var firms []registry.Firm
		for i := range 7 {
			firms = append(firms, registry.Firm{USCC: completeUSCC(fmt.Sprintf("91990101MA000000%d", i)), Name: fmt.Sprintf("江城第%d面馆", i), LegalRep: p.ID})
		}
		for _, f := range firms {
			if created := must(r.AddFirm(ctx, actor, f))(t); !created {
				t.Error("not created")
			}
			if created := must(r.AddFirm(ctx, actor, f))(t); created {
				t.Error("created twice")
			}
		}
		want := firms[0]
		want.Created = now
		if diff := cmp.Diff(want, must(r.FindFirm(ctx, want.USCC))(t)); diff != "" {
			t.Error(diff)
		}
		page := must(r.ListFirms(ctx, firms[1].USCC, 3))(t)
		if len(page) != 3 || page[0].USCC != firms[2].USCC || page[2].USCC != firms[4].USCC {
			t.Errorf("page %v", page)
		}
		for _, c := range []struct {
			name   string
			change func(f *registry.Firm)
			kind   fault.Kind
			path   string
		}{
			{"other name", func(f *registry.Firm) { f.Name = "别的面馆" }, fault.Conflict, ""},
			{"unknown representative", func(f *registry.Firm) { f.LegalRep = "nobody" }, fault.Invalid, "/legal_rep"},
			{"no representative", func(f *registry.Firm) { f.LegalRep = "" }, fault.Invalid, "/legal_rep"},
			{"bad code", func(f *registry.Firm) { f.USCC = "91" }, fault.Invalid, "/uscc"},
			{"no name", func(f *registry.Firm) { f.Name = " " }, fault.Invalid, "/name"},
		} {
			t.Run(c.name, func(t *testing.T) {
				f := firms[0]
				c.change(&f)
				_, err := r.AddFirm(ctx, actor, f)
				wantFault(t, err, c.kind, c.path)
			})
		}
		if _, err := r.FindFirm(ctx, completeUSCC("91990101MA0000099")); !errors.Is(err, registry.ErrFirm) {
			t.Errorf("got %v", err)
		}
		if n := len(events(t, d, "registry.firm.add")); n != len(firms) {
			t.Errorf("%d events", n)
		}
	})
}

// The batch finders take any number, across their chunks, and skip strangers.
func TestBatchFinders(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		var usccs, numbers []string
		for i := range 1100 {
			usccs = append(usccs, completeUSCC(fmt.Sprintf("91990101MA000%04d", i)))
			numbers = append(numbers, complete(fmt.Sprintf("990101199003%02d%03d", 1+i/1000, i%1000)))
		}
		numbers[1099] = wang.Number
		for _, i := range []int{0, 511, 512, 1099} {
			must(r.AddFirm(ctx, actor, registry.Firm{USCC: usccs[i], Name: "面馆", LegalRep: p.ID}))(t)
		}
		err = d.Read(ctx, func(tx db.Tx) error {
			firms, err := r.FindFirms(ctx, tx, usccs)
			if err != nil || len(firms) != 4 || firms[usccs[512]].USCC != usccs[512] {
				t.Errorf("%d firms, %v", len(firms), err)
			}
			people, err := r.FindPeople(ctx, tx, registry.Resident, numbers)
			if err != nil || len(people) != 1 || people[wang.Number].Name != wang.Name {
				t.Errorf("%d people, %v", len(people), err)
			}
			if firms, err := r.FindFirms(ctx, tx, nil); err != nil || len(firms) != 0 {
				t.Errorf("none: %v %v", firms, err)
			}
			_, err = r.FindFirms(ctx, tx, []string{usccs[0], "' OR 1=1 --"})
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("got %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
