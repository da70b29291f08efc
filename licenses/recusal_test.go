package licenses_test

import (
	"errors"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// TestNobodyActsOnTheirOwn: neither the holder nor who acts for the firm suspends,
// resumes, revokes or replaces a licence; a program and others do.
func TestNobodyActsOnTheirOwn(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		ctx := t.Context()
		lin, err := c.reg.FindPerson(ctx, registry.Resident, resident)
		must(t, err)
		wan, _, err := c.reg.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Resident, Number: "990101198802170528", Name: "宋晚晴"})
		must(t, err)
		clerk := func(p registry.Person, agency string) web.Caller {
			return web.Caller{ClientID: "desk", Person: p.ID, Agency: agency}
		}
		firms, own := c.issue(t, "donghu", "k", food(nil)), c.issue(t, "edu", "k", teacher())
		refused := func(name string, err error) {
			t.Helper()
			if !errors.Is(err, licenses.ErrParty) || fault.KindOf(err) != fault.Denied {
				t.Errorf("%s: %v, want ErrParty", name, err)
			}
		}
		tries := func(p registry.Person) {
			t.Helper()
			for _, l := range []*licenses.License{firms, own} {
				if is, err := c.Party(ctx, p.ID, l.ID); err != nil || !is {
					t.Errorf("%s has no part in %s: %v", p.Name, l.Type, err)
				}
				for _, act := range []licenses.Act{licenses.Suspend, licenses.Resume, licenses.Revoke} {
					_, err := c.Act(ctx, clerk(p, l.Agency), l.ID, act, "整改", "key-"+string(act))
					refused(p.Name+" "+l.Type+" "+string(act), err)
				}
				for _, kind := range []licenses.Kind{licenses.Renewed, licenses.Changed, licenses.Reprinted} {
					ask := licenses.Replacement{Kind: kind, Reason: "遗失", Key: "key-" + string(kind)}
					_, err := c.CheckReplace(ctx, clerk(p, l.Agency), l.ID, ask)
					refused(p.Name+" previews "+string(kind), err)
				}
				_, err := c.Replace(ctx, clerk(p, l.Agency), l.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "遗失", Key: "r"})
				refused(p.Name+" reprints "+l.Type, err)
				if l == firms && p.ID == wan.ID {
					break // the teacher's is not hers
				}
			}
		}
		tries(lin)
		_, err = c.Act(ctx, clerk(wan, "donghu-amr"), firms.ID, licenses.Suspend, "整改", "wan")
		must(t, err)
		_, err = c.Act(ctx, clerk(wan, "donghu-amr"), firms.ID, licenses.Resume, "完成", "wan-2")
		must(t, err)
		_, err = c.reg.Delegate(ctx, "ceremony", registry.Delegation{Firm: firmCode, Person: wan.ID})
		must(t, err)
		tries(wan)
		// What she did before stands, and is answered so again.
		again, err := c.Act(ctx, clerk(wan, "donghu-amr"), firms.ID, licenses.Suspend, "整改", "wan")
		must(t, err)
		if again.Status != licenses.Issued {
			t.Errorf("done again it is %s: what came after is undone", again.Status)
		}
		if is, err := c.Party(ctx, wan.ID, own.ID); is || err != nil {
			t.Errorf("another's licence is hers: %v", err)
		}
		must(t, c.reg.Withdraw(ctx, "ceremony", firmCode, wan.ID))
		_, err = c.Replace(ctx, clerk(wan, "donghu-amr"), firms.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "遗失", Key: "wan-3"})
		must(t, err)
		_, err = c.Act(ctx, callers["edu"], own.ID, licenses.Suspend, "核查", "program")
		must(t, err)
		_, err = c.Party(ctx, lin.ID, "none")
		if !errors.Is(err, licenses.ErrNotFound) {
			t.Errorf("no licence: %v", err)
		}
		c.wantClean(t, 3)
	})
}
