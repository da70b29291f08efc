package registry_test

import (
	"slices"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
)

// TestCheckFounded: what FoundTx wrote is whole, also after the delegation was withdrawn,
// and each part that is gone is missed.
func TestCheckFounded(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		f := newFirm(t, 0, "江城(东湖)面馆有限公司", p.ID)
		if err := found(t, d, r, f); err != nil {
			t.Fatal(err)
		}
		if err := r.Withdraw(ctx, actor, f.USCC, p.ID); err != nil {
			t.Fatal(err)
		}
		want := func(what, firm, person string, problems ...string) {
			t.Helper()
			var got []string
			err := d.Read(ctx, func(tx db.Tx) (err error) {
				got, err = r.CheckFounded(ctx, tx, firm, person)
				return err
			})
			if err != nil || !slices.Equal(got, problems) {
				t.Errorf("%s: %q, %v, want %q", what, got, err, problems)
			}
		}
		const noFirm, noDelegation, noName = "names a firm that is not in the register", "has no delegation of the legal representative", "has a firm whose name is not taken by it"
		want("whole", f.USCC, p.ID)
		want("another person", f.USCC, "nobody", noDelegation)
		want("no firm", "", p.ID, noFirm)
		want("another firm", "91990101MA0000000X", p.ID, noFirm)
		added := completeUSCC("91990101MA0000001")
		if _, err := r.AddFirm(ctx, actor, registry.Firm{USCC: added, Name: "江城茶馆", LegalRep: p.ID}); err != nil {
			t.Fatal(err)
		}
		want("a firm that was not founded here", added, p.ID, noDelegation, noName)
		for _, query := range []string{`DELETE FROM registry_firm_names`, `DELETE FROM registry_delegations`} {
			if err := d.Update(ctx, func(tx db.Tx) error { _, err := tx.ExecContext(ctx, query); return err }); err != nil {
				t.Fatal(err)
			}
		}
		want("nothing but the firm", f.USCC, p.ID, noDelegation, noName)
	})
}
