package licenses_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// orders stands for the authority: it writes the row and the event that it would.
type orders struct{}

func (orders) OrderTx(ctx context.Context, tx db.Tx, id, actor, firm string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_orders (id, firm, actor, created_at, expires_at, changed_at) VALUES ($1, $2, $3, 1, 2, 1)`, id, firm, actor)
	if err == nil {
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "certificate.order.make", Actor: actor, Object: "certificate-order:" + id, Data: map[string]any{"firm": firm}})
	}
	return err
}

const foundedName = "江城湖畔小馆餐饮有限公司"

// plan is a request for a new firm that is right; change makes it another.
func plan(change func(*licenses.FoundingRequest)) licenses.FoundingRequest {
	r := licenses.FoundingRequest{Name: foundedName, Representative: resident, Data: map[string]any{"kind": "有限责任公司（自然人独资）",
		"capital_10k": float64(50), "currency": "人民币", "address": "江城市东湖区湖滨路18号2幢101室", "industry": "住宿和餐饮业", "scope": "餐饮服务"}}
	if change != nil {
		change(&r)
	}
	return r
}

// founders is a city whose district registers firms. lin will represent them; mu and wan
// decide.
type founders struct {
	*city
	lin, mu, wan string
}

func newFounders(t testing.TB, d *db.DB) *founders {
	t.Helper()
	f := &founders{city: newCity(t, d)}
	f.authorize(t)
	return f
}

func (f *founders) authorize(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	_, err := f.reg.Authorize(ctx, "ceremony", registry.Authority{Agency: "donghu-amr", Type: licenses.FirmType, Area: "990101",
		From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(20, 0, 0).Truncate(time.Second)})
	must(t, err)
	for number, id := range map[string]*string{resident: &f.lin, "99010119930811041X": &f.mu, "990101198802170528": &f.wan} {
		name := map[string]string{resident: "林若川", "99010119930811041X": "白沐阳", "990101198802170528": "宋晚晴"}[number]
		p, _, err := f.reg.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Resident, Number: number, Name: name})
		must(t, err)
		*id = p.ID
	}
}

func clerkOf(person string) web.Caller {
	return web.Caller{ClientID: "desk", Person: person, Agency: "donghu-amr"}
}

// claim is an application for a new firm under a fresh key.
func claim(name string) licenses.FoundingClaim {
	p := plan(nil)
	return licenses.FoundingClaim{Agency: "donghu-amr", Key: db.NewID(), Name: name, Data: p.Data}
}

func (f *founders) apply(t testing.TB, c licenses.FoundingClaim) string {
	t.Helper()
	id, problems, err := f.ApplyFounding(t.Context(), f.lin, c)
	if err != nil || problems != nil || id == "" {
		t.Fatalf("%q, %v, %v", id, problems, err)
	}
	return id
}

// counts is how many rows there are of everything that a founding writes.
func (f *founders) counts(t testing.TB) map[string]int {
	t.Helper()
	n := map[string]int{}
	must(t, f.db.Read(t.Context(), func(tx db.Tx) error {
		for _, table := range foundingTables {
			var rows int
			if err := tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
				return err
			}
			n[table] = rows
		}
		return nil
	}))
	return n
}

// foundingTables are those that the one transaction writes.
var foundingTables = []string{"registry_firm_names", "registry_firms", "registry_delegations", "licenses", "license_signing", "ca_orders", "audit_events"}

// wantWhole wants everything that a founded firm is made of, said by everybody alike.
func (f *founders) wantWhole(t testing.TB, got *licenses.Founding) {
	t.Helper()
	ctx := t.Context()
	if got.State != licenses.FoundingDone || registry.CheckUSCC(got.Firm) != nil || !strings.HasPrefix(got.Firm, "91990101MA") || got.License == nil || got.Order == "" {
		t.Fatalf("%+v", got)
	}
	firm, err := f.reg.FindFirm(ctx, got.Firm)
	if err != nil || firm.Name != got.Name || firm.LegalRep != f.lin {
		t.Errorf("%+v, %v", firm, err)
	}
	list, err := f.reg.ListDelegations(ctx, got.Firm)
	if err != nil || len(list) != 1 || list[0].Person != f.lin || !list[0].Until.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
	l := got.License
	if l.Status != licenses.Issued || l.Permit == "" || l.Type != licenses.FirmType || l.Holder != got.Firm || l.Holds() != got.Name || l.Agency != "donghu-amr" {
		t.Errorf("%+v", l)
	}
	if l.Data["legal_representative"] != "林若川" || l.Data["established"] != time.Now().In(time.FixedZone("", 8*3600)).Format(time.DateOnly) || l.Data["scope"] != "餐饮服务" {
		t.Errorf("%v", l.Data)
	}
	kinds := map[string]int{}
	must(t, f.db.Read(ctx, func(tx db.Tx) error {
		for _, object := range []string{"firm:" + got.Firm, "license:" + l.ID, "certificate-order:" + got.Order} {
			records, err := audit.Find(ctx, tx, audit.EventFilter{Object: object})
			if err != nil {
				return err
			}
			for _, r := range records {
				kinds[r.Kind]++
			}
		}
		var order string
		return tx.QueryRowContext(ctx, "SELECT firm FROM ca_orders WHERE id = $1", got.Order).Scan(&order)
	}))
	for _, kind := range []string{"registry.firm.add", "registry.delegate", licenses.EventIntent, licenses.EventOutcome, "certificate.order.make", licenses.EventFound} {
		if kinds[kind] != 1 {
			t.Errorf("%d events %s", kinds[kind], kind)
		}
	}
}

// TestFoundByAnAgency: one call makes all of it, the same key gives the same firm, and
// another request under it is refused.
func TestFoundByAnAgency(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		got, err := f.Found(t.Context(), callers["donghu"], "k", plan(nil))
		must(t, err)
		f.wantWhole(t, got)
		before := f.counts(t)
		again, err := f.Found(t.Context(), callers["donghu"], "k", plan(nil))
		must(t, err)
		f.wantWhole(t, again)
		if again.ID != got.ID || again.Firm != got.Firm || again.License.Permit != got.License.Permit || again.Order != got.Order {
			t.Errorf("%+v and %+v", got, again)
		}
		_, err = f.Found(t.Context(), callers["donghu"], "k", plan(func(r *licenses.FoundingRequest) { r.Data["scope"] = "另一范围" }))
		if fault.KindOf(err) != fault.Conflict || err == nil {
			t.Errorf("the key with another request: %v", err)
		}
		if after := f.counts(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%v, then %v", before, after)
		}
		for kind, begins := range map[string]string{"个体工商户": "92990101MA", "农民专业合作社": "93990101MA"} {
			other, err := f.Found(t.Context(), callers["donghu"], kind[:0]+begins, plan(func(r *licenses.FoundingRequest) { r.Name, r.Data["kind"] = kind, kind }))
			must(t, err)
			if !strings.HasPrefix(other.Firm, begins) || registry.CheckUSCC(other.Firm) != nil {
				t.Errorf("%s has the code %s", kind, other.Firm)
			}
		}
		f.wantClean(t, 3)
	})
}

// TestFoundingProblems: everything that is wrong is named at once, and nothing is
// founded.
func TestFoundingProblems(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		_, err := f.Found(t.Context(), callers["donghu"], "first", plan(nil))
		must(t, err)
		before := f.counts(t)
		for name, c := range map[string]struct {
			caller string
			key    string
			change func(*licenses.FoundingRequest)
			kind   fault.Kind
			paths  []string
		}{
			"everything": {"donghu", "k", func(r *licenses.FoundingRequest) {
				*r = licenses.FoundingRequest{Name: " ", Representative: "1", Data: map[string]any{"kind": "帮会", "capital_10k": float64(-1), "established": "2026-01-01"}}
			}, fault.Invalid, []string{"/name", "/representative", "/data/kind", "/data/capital_10k", "/data/established", "/data/address", "/data/industry", "/data/scope"}},
			"nothing":                   {"donghu", "k", func(r *licenses.FoundingRequest) { *r = licenses.FoundingRequest{} }, fault.Invalid, []string{"/name", "/representative", "/data"}},
			"a name that is taken":      {"donghu", "k", nil, fault.Invalid, []string{"/name"}},
			"a known firm's name":       {"donghu", "k", func(r *licenses.FoundingRequest) { r.Name = "江城东湖老灶火锅餐饮有限公司" }, fault.Invalid, []string{"/name"}},
			"an invisible name":         {"donghu", "k", func(r *licenses.FoundingRequest) { r.Name = "江\u202e城" }, fault.Invalid, []string{"/name"}},
			"an unknown representative": {"donghu", "k", func(r *licenses.FoundingRequest) { r.Name, r.Representative = "新", "990101197901130199" }, fault.Invalid, []string{"/representative"}},
			"no resident number":        {"donghu", "k", func(r *licenses.FoundingRequest) { r.Name, r.Representative = "新", firmCode }, fault.Invalid, []string{"/representative"}},
			"what the register says": {"donghu", "k", func(r *licenses.FoundingRequest) { r.Name, r.Data["legal_representative"] = "新", "别人" },
				fault.Invalid, []string{"/data/legal_representative"}},
			"an unknown member":   {"donghu", "k", func(r *licenses.FoundingRequest) { r.Name, r.Data["x"] = "新", "y" }, fault.Invalid, []string{"/data"}},
			"no authority":        {"edu", "k", nil, fault.Denied, nil},
			"no agency":           {"homeless", "k", nil, fault.Denied, nil},
			"no key":              {"donghu", "", nil, fault.Invalid, nil},
			"a key with a space":  {"donghu", "a b", nil, fault.Invalid, nil},
			"a key that is long":  {"donghu", strings.Repeat("k", 129), nil, fault.Invalid, nil},
			"a key that was used": {"donghu", "first", func(r *licenses.FoundingRequest) { r.Name = "新" }, fault.Conflict, nil},
		} {
			_, err := f.Found(t.Context(), callers[c.caller], c.key, plan(c.change))
			if err == nil || fault.KindOf(err) != c.kind {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var paths []string
			for _, p := range licenses.Problems(err) {
				paths = append(paths, p.Path)
				if p.Text.ZH == "" || p.Text.EN == "" {
					t.Errorf("%s: %s is told in one language", name, p.Path)
				}
			}
			for _, want := range c.paths {
				if !strings.Contains(" "+strings.Join(paths, " ")+" ", " "+want+" ") {
					t.Errorf("%s: %v lacks %s", name, paths, want)
				}
			}
			if len(paths) != len(c.paths) {
				t.Errorf("%s: %v, want %v", name, paths, c.paths)
			}
		}
		if after := f.counts(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%v, then %v", before, after)
		}
		none := *f.city
		types, err := licenses.ShippedTypes()
		must(t, err)
		none.Service, err = licenses.New(t.Context(), licenses.Options{DB: d, Ring: f.ring, Registry: f.reg, Types: types, Tokens: tokens{}})
		must(t, err)
		if _, err := none.Found(t.Context(), callers["donghu"], "k", plan(func(r *licenses.FoundingRequest) { r.Name = "新" })); err == nil || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("without anybody who takes orders: %v", err)
		}
	})
}

// TestApplicationIsFounded: a citizen applies, a clerk approves, and nobody else does.
func TestApplicationIsFounded(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx, c := t.Context(), claim(foundedName)
		id := f.apply(t, c)
		if again := f.apply(t, c); again != id {
			t.Errorf("sent twice: %s and %s", id, again)
		}
		before := f.counts(t)
		for name, try := range map[string]struct {
			who  web.Caller
			id   string
			kind fault.Kind
		}{
			"the applicant":        {clerkOf(f.lin), id, fault.Denied},
			"another agency":       {web.Caller{ClientID: "desk", Person: f.wan, Agency: "jiangcheng-edu"}, id, fault.NotFound},
			"no agency":            {web.Caller{ClientID: "desk", Person: f.wan}, id, fault.NotFound},
			"an unknown founding":  {clerkOf(f.mu), db.NewID(), fault.NotFound},
			"something that is no": {clerkOf(f.mu), "' OR '1'='1", fault.NotFound},
		} {
			for _, approve := range []bool{true, false} {
				if _, err := f.DecideFounding(ctx, try.who, try.id, licenses.FoundingDecision{Approve: approve, Reason: "r"}); err == nil || fault.KindOf(err) != try.kind {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if after := f.counts(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%v, then %v", before, after)
		}
		got, err := f.DecideFounding(ctx, clerkOf(f.mu), id, licenses.FoundingDecision{Approve: true})
		must(t, err)
		f.wantWhole(t, got)
		again, err := f.DecideFounding(ctx, clerkOf(f.mu), id, licenses.FoundingDecision{Approve: true})
		if err != nil || again.Firm != got.Firm || again.License.ID != got.License.ID {
			t.Errorf("%+v, %v", again, err)
		}
		for name, err := range map[string]error{
			"another clerk": second(f.DecideFounding(ctx, clerkOf(f.wan), id, licenses.FoundingDecision{Approve: true})),
			"a rejection":   second(f.DecideFounding(ctx, clerkOf(f.mu), id, licenses.FoundingDecision{Reason: "r"})),
			"a withdrawal":  f.WithdrawFounding(ctx, f.lin, id),
		} {
			if err == nil || fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s afterwards: %v", name, err)
			}
		}
		seen, err := f.FoundingOf(ctx, f.lin, id)
		must(t, err)
		f.wantWhole(t, seen)
		if _, err := f.FoundingOf(ctx, f.mu, id); !errors.Is(err, licenses.ErrNoFounding) {
			t.Errorf("another's: %v", err)
		}
		held, err := f.Held(ctx, licenses.HolderFirm, got.Firm)
		if err != nil || len(held) != 1 || held[0].ID != got.License.ID {
			t.Errorf("%v, %v", held, err)
		}
		f.wantClean(t, 1)
	})
}

func second[T any](_ T, err error) error { return err }

// TestApplicationEnds: rejections have a reason, what was withdrawn or rejected is not
// founded, and a name is free again.
func TestApplicationEnds(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		rejected, withdrawn := f.apply(t, claim("甲有限公司")), f.apply(t, claim("乙有限公司"))
		for name, reason := range map[string]string{"none": "", "long": strings.Repeat("长", 501), "hidden": "a\u202eb", "lines": "a\nb"} {
			_, err := f.DecideFounding(ctx, clerkOf(f.mu), rejected, licenses.FoundingDecision{Reason: reason})
			if p := licenses.Problems(err); len(p) != 1 || p[0].Path != "/reason" {
				t.Errorf("reason %s: %v", name, err)
			}
		}
		got, err := f.DecideFounding(ctx, clerkOf(f.mu), rejected, licenses.FoundingDecision{Reason: "住所证明不符"})
		if err != nil || got.State != licenses.FoundingRejected {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, err := f.DecideFounding(ctx, clerkOf(f.mu), rejected, licenses.FoundingDecision{Reason: "住所证明不符"}); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := f.WithdrawFounding(ctx, f.mu, withdrawn); !errors.Is(err, licenses.ErrNoFounding) {
			t.Errorf("another's: %v", err)
		}
		must(t, f.WithdrawFounding(ctx, f.lin, withdrawn))
		must(t, f.WithdrawFounding(ctx, f.lin, withdrawn))
		for _, id := range []string{rejected, withdrawn} {
			if _, err := f.DecideFounding(ctx, clerkOf(f.mu), id, licenses.FoundingDecision{Approve: true}); err == nil || fault.KindOf(err) != fault.Conflict {
				t.Errorf("%v", err)
			}
		}
		list, err := f.FoundingsOf(ctx, f.lin)
		if err != nil || len(list) != 2 || list[0].State != licenses.FoundingWithdrawn || list[1].Reason != "住所证明不符" || list[1].Firm != "" {
			t.Errorf("%+v, %v", list, err)
		}
		queue, err := f.FoundingsAt(ctx, "donghu-amr", licenses.FoundingRejected, "", 10)
		if err != nil || len(queue) != 1 || queue[0].ID != rejected {
			t.Errorf("%+v, %v", queue, err)
		}
		if rest, err := f.FoundingsAt(ctx, "donghu-amr", licenses.FoundingRejected, rejected, 10); err != nil || len(rest) != 0 {
			t.Errorf("%+v, %v", rest, err)
		}
		if firms, err := f.reg.FirmsOf(ctx, f.lin, time.Now()); err != nil || len(firms) != 1 { // the fixture's
			t.Errorf("%v, %v", firms, err)
		}
		f.apply(t, claim("甲有限公司"))
	})
}

// TestApplyFoundingRefuses: what is refused is not kept, and five wait at most, however
// they are sent.
func TestApplyFoundingRefuses(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		bad := func(change func(*licenses.FoundingClaim)) licenses.FoundingClaim {
			c := claim("甲有限公司")
			change(&c)
			return c
		}
		used := claim("甲有限公司")
		f.apply(t, used)
		used.Name = "乙有限公司"
		for name, c := range map[string]struct {
			person string
			claim  licenses.FoundingClaim
			kind   fault.Kind
		}{
			"no key":        {f.lin, bad(func(c *licenses.FoundingClaim) { c.Key = "" }), fault.Invalid},
			"a foreign key": {f.lin, bad(func(c *licenses.FoundingClaim) { c.Key = "x" }), fault.Invalid},
			"a used key":    {f.lin, used, fault.Conflict},
			"nobody":        {"nobody", bad(func(*licenses.FoundingClaim) {}), fault.NotFound},
			"no authority":  {f.lin, bad(func(c *licenses.FoundingClaim) { c.Agency = "jiangcheng-edu" }), fault.Denied},
			"no agency":     {f.lin, bad(func(c *licenses.FoundingClaim) { c.Agency = "" }), fault.Denied},
		} {
			if id, _, err := f.ApplyFounding(ctx, c.person, c.claim); err == nil || fault.KindOf(err) != c.kind || id != "" {
				t.Errorf("%s: %q, %v", name, id, err)
			}
		}
		if id, problems, err := f.ApplyFounding(ctx, f.lin, bad(func(c *licenses.FoundingClaim) { c.Name, c.Data = "", map[string]any{} })); err != nil || id != "" || len(problems) != 5 {
			t.Errorf("%q, %v, %v", id, problems, err)
		}
		if id, problems, err := f.ApplyFounding(ctx, f.lin, bad(func(c *licenses.FoundingClaim) { c.Wrong = true })); err != nil || id != "" || problems != nil {
			t.Errorf("a form with problems of its own: %q, %v, %v", id, problems, err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 12)
		for i := range errs {
			c := claim(fmt.Sprintf("第%d有限公司", i))
			wg.Go(func() { _, _, errs[i] = f.ApplyFounding(ctx, f.lin, c) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil && fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
		}
		if list, err := f.FoundingsOf(ctx, f.lin); err != nil || len(list) != 5 {
			t.Errorf("%d wait, %v", len(list), err)
		}
	})
}

// TestApprovalChecksAgain: what has changed since the application leaves it waiting,
// with the reason in words.
func TestApprovalChecksAgain(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		ctx := t.Context()
		first, late := f.apply(t, claim("同名有限公司")), f.apply(t, claim("同名有限公司"))
		_, err := f.DecideFounding(ctx, clerkOf(f.mu), first, licenses.FoundingDecision{Approve: true})
		must(t, err)
		before := f.counts(t)
		_, err = f.DecideFounding(ctx, clerkOf(f.mu), late, licenses.FoundingDecision{Approve: true})
		if p := licenses.Problems(err); len(p) != 1 || p[0].Path != "/name" {
			t.Errorf("%v", err)
		}
		for _, k := range must1(f.ring.List(ctx, keys.Filter{Purpose: keys.PurposePermit, Owner: "donghu-amr"}))(t) {
			must(t, f.ring.Move(ctx, k.ID, keys.Compromised, "ceremony", "test"))
		}
		other := f.apply(t, claim("另名有限公司"))
		before["audit_events"] = f.counts(t)["audit_events"]
		if _, err = f.DecideFounding(ctx, clerkOf(f.mu), other, licenses.FoundingDecision{Approve: true}); err == nil || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("without a key: %v", err)
		}
		if after := f.counts(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%v, then %v", before, after)
		}
		for _, id := range []string{late, other} {
			if g, err := f.FoundingAt(ctx, "donghu-amr", id); err != nil || g.State != licenses.FoundingSubmitted || g.Firm != "" || g.Decider != "" {
				t.Errorf("%+v, %v", g, err)
			}
		}
	})
}

func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}
