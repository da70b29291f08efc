package licenses_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// ordered stands for the authority: it finds what orders wrote.
func ordered(ctx context.Context, tx db.Tx, id string) (firm string, err error) {
	err = tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(firm), '') FROM ca_orders WHERE id = $1", id).Scan(&firm)
	return firm, err
}

// checked returns what is wrong with the foundings, by what it is about, and how many
// there are.
func (f *founders) checked(t testing.TB) (int, map[string][]string) {
	t.Helper()
	found := map[string][]string{}
	n, err := f.CheckFoundings(t.Context(), ordered, func(what, problem string) { found[what] = append(found[what], problem) })
	must(t, err)
	return n, found
}

// found founds a firm by a name of its own.
func (f *founders) found(t testing.TB, name string) *licenses.Founding {
	t.Helper()
	made, err := f.Found(t.Context(), callers["donghu"], db.NewID(), plan(func(r *licenses.FoundingRequest) { r.Name = name }))
	must(t, err)
	return made
}

// exec changes what stands in the database behind the service's back.
func (f *founders) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	must(t, f.db.Update(t.Context(), func(tx db.Tx) error {
		res, err := tx.ExecContext(t.Context(), query, args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("%d rows changed by %s", n, query))
		}
		return nil
	}))
}

// TestCheckFoundingsIntact: nothing is wrong with foundings of every state, with one
// whose firm has lived on, and with more than are read at once.
func TestCheckFoundingsIntact(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		if n, found := f.checked(t); n != 0 || len(found) != 0 {
			t.Errorf("%d, %v", n, found)
		}
		approved := f.apply(t, claim("获准有限公司"))
		_, err := f.DecideFounding(ctx, clerkOf(f.mu), approved, licenses.FoundingDecision{Approve: true})
		must(t, err)
		rejected := f.apply(t, claim("不准有限公司"))
		_, err = f.DecideFounding(ctx, clerkOf(f.mu), rejected, licenses.FoundingDecision{Reason: "住所证明不符"})
		must(t, err)
		must(t, f.WithdrawFounding(ctx, f.lin, f.apply(t, claim("撤回有限公司"))))
		f.apply(t, claim("待审有限公司"))
		old := f.found(t, "旧有限公司")
		must(t, f.reg.Withdraw(ctx, "ceremony", old.Firm, f.lin))
		_, err = f.Act(ctx, callers["donghu"], old.LicenseID, licenses.Revoke, "closed", "")
		must(t, err)
		for i := range 2 * licenses.CheckRows {
			f.found(t, fmt.Sprintf("第%d有限公司", i))
		}
		if n, found := f.checked(t); n != 2*licenses.CheckRows+5 || len(found) != 0 {
			t.Errorf("%d, %v", n, found)
		}
	})
}

// TestCheckFoundingsFindsWhatIsBroken breaks one founding in each way and wants just
// that to be found.
func TestCheckFoundingsFindsWhatIsBroken(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		for i := range licenses.CheckRows - 3 { // what is broken stands on two pages
			f.found(t, fmt.Sprintf("第%d有限公司", i))
		}
		spare := f.found(t, "备用有限公司")
		waits := []string{f.apply(t, claim("待一有限公司")), f.apply(t, claim("待二有限公司")), f.apply(t, claim("待三有限公司")), f.apply(t, claim("待四有限公司"))}
		want := map[string][]string{}
		for i, c := range f.breaks(t, spare) {
			g := f.found(t, fmt.Sprintf("坏%d有限公司", i))
			c.do(g)
			if c.want != nil {
				want["founding:"+g.ID] = c.want
			}
			if c.orphan {
				want["license:"+g.LicenseID] = []string{"was made with a firm, and no founding names it"}
			}
		}
		for i, column := range []string{"firm", "license", "cert_order"} {
			f.exec(t, "UPDATE license_foundings SET "+column+" = 'x' WHERE id = $1", waits[i])
			want["founding:"+waits[i]] = []string{"is submitted and names what was founded"}
		}
		f.exec(t, "UPDATE license_foundings SET decided_at = 1 WHERE id = $1", waits[3])
		want["founding:"+waits[3]] = []string{"is submitted, which its decision does not fit"}
		gone := f.found(t, "无申请有限公司")
		f.exec(t, "DELETE FROM license_foundings WHERE id = $1", gone.ID)
		want["license:"+gone.LicenseID] = []string{"was made with a firm, and no founding names it"}
		n, found := f.checked(t)
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("after %s: (-want +got)\n%s", slices.Sorted(maps.Keys(want)), diff)
		}
		if rows := licenses.CheckRows - 3 + 1 + len(waits) + len(f.breaks(t, spare)); n != rows {
			t.Errorf("%d foundings were read, want %d", n, rows)
		}
	})
}

// damage is a way in which a founded firm is broken, and what is to be found of it.
type damage struct {
	do     func(g *licenses.Founding)
	want   []string
	orphan bool // its licence is named by no founding then
}

func (f *founders) breaks(t *testing.T, spare *licenses.Founding) []damage {
	on := func(query string, of func(g *licenses.Founding) any) func(*licenses.Founding) {
		return func(g *licenses.Founding) { f.exec(t, query, of(g)) }
	}
	id := func(g *licenses.Founding) any { return g.ID }
	firm := func(g *licenses.Founding) any { return g.Firm }
	license := func(g *licenses.Founding) any { return g.LicenseID }
	order := func(g *licenses.Founding) any { return g.Order }
	const noDelegation, noName, otherEvent = "has no delegation of the legal representative", "has a firm whose name is not taken by it", "differs from its event"
	return []damage{
		{do: func(g *licenses.Founding) {
			f.exec(t, "DELETE FROM registry_delegations WHERE firm = $1", g.Firm)
			f.exec(t, "DELETE FROM registry_firms WHERE uscc = $1", g.Firm)
		}, want: []string{"names a firm that is not in the register"}},
		{do: on("DELETE FROM registry_firm_names WHERE firm = $1", firm), want: []string{noName}},
		{do: on("UPDATE registry_firm_names SET firm = 'x' WHERE firm = $1", firm), want: []string{noName}},
		{do: on("DELETE FROM registry_delegations WHERE firm = $1", firm), want: []string{noDelegation}},
		{do: func(g *licenses.Founding) {
			f.exec(t, "UPDATE registry_delegations SET person = $1 WHERE firm = $2", f.mu, g.Firm)
		}, want: []string{noDelegation}},
		{do: on("UPDATE registry_delegations SET ends = starts + 1 WHERE firm = $1", firm), want: []string{noDelegation}},
		{do: func(g *licenses.Founding) {
			f.exec(t, "DELETE FROM permits WHERE license = $1", g.LicenseID)
			f.exec(t, "DELETE FROM licenses WHERE id = $1", g.LicenseID)
		}, want: []string{"names a licence that there is none of"}},
		{do: on("UPDATE licenses SET holder = '"+firmCode+"' WHERE id = $1", license), want: []string{"names a licence that is not its firm's"}},
		{do: on("UPDATE licenses SET type = 'food-business' WHERE id = $1", license), want: []string{"names a licence that is not its firm's"}},
		{do: on("UPDATE licenses SET agency = 'xishan-amr' WHERE id = $1", license), want: []string{"names a licence that is not its firm's"}},
		{do: on("UPDATE licenses SET client = 'donghu' WHERE id = $1", license), want: []string{"names a licence that is not its firm's"}},
		{do: on("UPDATE license_foundings SET license = '"+spare.LicenseID+"' WHERE id = $1", id), want: []string{"names a licence that is not its firm's", otherEvent}, orphan: true},
		{do: on("UPDATE license_foundings SET license = '' WHERE id = $1", id), want: []string{"names a licence that there is none of", otherEvent}, orphan: true},
		{do: on("DELETE FROM ca_orders WHERE id = $1", order), want: []string{"names an order that there is none of"}},
		{do: on("UPDATE ca_orders SET firm = '"+firmCode+"' WHERE id = $1", order), want: []string{"names an order for another firm"}},
		{do: on("UPDATE license_foundings SET cert_order = '"+spare.Order+"' WHERE id = $1", id), want: []string{"names an order for another firm", otherEvent}},
		{do: on("UPDATE license_foundings SET firm = '"+firmCode+"' WHERE id = $1", id), want: []string{noDelegation, noName,
			"names a licence that is not its firm's", "names an order for another firm", "has 0 events firm.found, want one"}},
		{do: on("DELETE FROM audit_events WHERE kind = 'firm.found' AND object = $1", func(g *licenses.Founding) any { return "firm:" + g.Firm }), want: []string{"has 0 events firm.found, want one"}},
		{do: f.foundAgain(t), want: []string{"has 2 events firm.found, want one"}},
		{do: on("UPDATE license_foundings SET agency = 'jiangcheng-edu' WHERE id = $1", id), want: []string{"names a licence that is not its firm's", otherEvent}},
		{do: on("UPDATE license_foundings SET state = 'submitted' WHERE id = $1", id), want: []string{"is submitted and names what was founded", "is submitted, which its decision does not fit"}},
		{do: on("UPDATE license_foundings SET state = 'rejected' WHERE id = $1", id), want: []string{"is rejected and names what was founded"}},
		{do: on("UPDATE license_foundings SET state = 'submitted', firm = '', license = '', cert_order = '', decider = '', decided_at = 0 WHERE id = $1", id), orphan: true},
		{do: on("UPDATE license_foundings SET decided_at = 0 WHERE id = $1", id), want: []string{"is founded without a decision"}},
		{do: func(g *licenses.Founding) {
			f.exec(t, "UPDATE license_foundings SET body = $1 WHERE id = $2", []byte("x"), g.ID)
		}, want: []string{"does not open"}},
	}
}

// foundAgain writes the event of a founding once more.
func (f *founders) foundAgain(t *testing.T) func(g *licenses.Founding) {
	return func(g *licenses.Founding) {
		must(t, f.db.Update(t.Context(), func(tx db.Tx) error {
			_, err := audit.Append(t.Context(), tx, audit.Event{Kind: licenses.EventFound, Actor: "x", Object: "firm:" + g.Firm, Data: map[string]any{"founding": g.ID}})
			return err
		}))
	}
}
