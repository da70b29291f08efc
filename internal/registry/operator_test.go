package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

func TestOperators(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		li := registry.Operator{ID: "li", Name: "李雷", Role: registry.RoleOfficer}
		for i, want := range []bool{true, false} {
			if got := must(r.AddOperator(ctx, "ceremony", li))(t); got != want {
				t.Errorf("attempt %d: created %v", i, got)
			}
		}
		promoted, nobody := li, li
		promoted.Role = registry.RoleOperator
		_, err := r.AddOperator(ctx, "ceremony", promoted)
		wantFault(t, err, fault.Conflict, "")
		nobody.Role = "king"
		_, err = r.AddOperator(ctx, "ceremony", nobody)
		wantFault(t, err, fault.Invalid, "/role")
		li.Created = now
		if diff := cmp.Diff([]registry.Operator{li}, must(r.ListOperators(ctx))(t)); diff != "" {
			t.Error(diff)
		}
		if n := len(events(t, d, "registry.operator.add")); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}
