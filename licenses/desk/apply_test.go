package desk_test

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

func (c *city) holder(who string) licenses.Applicant {
	return licenses.Applicant{Person: c.ids[who], Kind: licenses.HolderPerson, Holder: c.ids[who]}
}

func (c *city) firm(who string) licenses.Applicant {
	return licenses.Applicant{Person: c.ids[who], Kind: licenses.HolderFirm, Holder: firmCode}
}

// teaching is a claim that is right.
func teaching() licenses.Claim {
	return licenses.Claim{Type: "teacher", Agency: "jiangcheng-edu", Key: db.NewID(),
		Data: map[string]any{"kind": "小学教师资格", "subject": "语文", "granted": "2026-06-30"}}
}

// feeding is one of a firm.
func feeding() licenses.Claim {
	return licenses.Claim{Type: "food-business", Agency: "donghu-amr", Key: db.NewID(), Data: map[string]any{"trade_name": "老灶火锅",
		"premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川", "category": "餐饮服务经营者", "scope": "热食类食品制售", "online": "是"}}
}

// sendIn applies and returns the application's id.
func (c *city) sendIn(by licenses.Applicant, cl licenses.Claim) string {
	c.t.Helper()
	id, problems, err := c.Apply(c.t.Context(), by, cl)
	must(c.t, err)
	if id == "" {
		c.t.Fatalf("refused: %v", problems)
	}
	return id
}

func wantKind(t testing.TB, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("%v, want kind %v", err, want)
	}
}

// TestFromApplicationToPermit: a citizen applies, a clerk asks, the citizen answers,
// a clerk approves.
func TestFromApplicationToPermit(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		lin := c.holder("lin")
		claim := teaching()
		id := c.sendIn(lin, claim)
		if again := c.sendIn(lin, claim); again != id {
			t.Errorf("sent again it became %s", again)
		}
		at := "/desk/applications/" + id
		c.get("yun", "/desk/applications?agency=jiangcheng-edu").has(t, "林若川 网上申请")
		c.get("an", at).has(t, "本申请由持证人在网上提交", "990***********0117")
		key := c.key("an", at)
		ask := url.Values{"ask": {"1"}, "key": {key}, "message": {"请说明\r\n认定机关。"}}
		c.post("an", at, ask).to(t, at)
		c.post("an", at, ask).to(t, at) // the button pressed twice
		ask.Set("message", "另一个问题")
		c.post("an", at, ask).is(t, http.StatusConflict)
		a, err := c.Applied(t.Context(), lin, id)
		must(t, err)
		if !a.Asked || len(a.Messages) != 1 || a.Messages[0].Text != "请说明 认定机关。" || a.Messages[0].FromHolder {
			t.Errorf("asked, it is %+v", a)
		}
		answer := db.NewID()
		must(t, c.Answer(t.Context(), lin, id, answer, "江城市教育局。"))
		must(t, c.Answer(t.Context(), lin, id, answer, "江城市教育局。"))
		wantKind(t, c.Answer(t.Context(), lin, id, answer, "别的"), fault.Conflict)
		wantKind(t, c.Answer(t.Context(), lin, id, db.NewID(), "还有一句"), fault.Conflict) // nobody asked
		c.get("an", at).has(t, "江城市教育局。")
		c.post("an", at, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
		list, err := c.AppliedFor(t.Context(), lin)
		must(t, err)
		if len(list) != 1 || list[0].State != "issued" || list[0].License == "" || list[0].Asked {
			t.Fatalf("in the end %+v", list)
		}
		held, err := c.licenses.Held(t.Context(), licenses.HolderPerson, c.ids["lin"])
		must(t, err)
		if len(held) != 1 || held[0].ID != list[0].License || !strings.HasPrefix(held[0].Permit, "EL1:") {
			t.Errorf("held: %+v", held)
		}
		wantKind(t, c.Withdraw(t.Context(), lin, id), fault.Conflict)
		c.post("an", at, url.Values{"ask": {"1"}, "key": {db.NewID()}, "message": {"晚了"}}).is(t, http.StatusConflict)
		want := []string{"license.application.submit lin", "license.application.ask an", "license.application.answer lin",
			"license.application.approve an", "license.application.issue system"}
		if diff := cmp.Diff(want, c.events("application:"+id)); diff != "" {
			t.Error(diff)
		}
		var sealed []byte
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			return tx.QueryRowContext(t.Context(), "SELECT body FROM license_messages WHERE application = $1 AND seq = 2", id).Scan(&sealed)
		}))
		if bytes.Contains(sealed, []byte("教育局")) {
			t.Error("an answer stands open in the database")
		}
	})
}

// TestApplyingIsRefused goes through what a holder cannot apply for.
func TestApplyingIsRefused(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for name, tc := range map[string]struct {
			by     licenses.Applicant
			change func(*licenses.Claim)
			want   fault.Kind
		}{
			"no key":             {c.holder("lin"), func(cl *licenses.Claim) { cl.Key = "" }, fault.Invalid},
			"key of ours not":    {c.holder("lin"), func(cl *licenses.Claim) { cl.Key = "x' OR 1=1" }, fault.Invalid},
			"no such type":       {c.holder("lin"), func(cl *licenses.Claim) { cl.Type = "none" }, fault.NotFound},
			"type of desks only": {c.holder("lin"), func(cl *licenses.Claim) { cl.Type = "doctor-practice" }, fault.NotFound},
			"a firm's type":      {c.holder("lin"), func(cl *licenses.Claim) { *cl = feeding() }, fault.NotFound},
			"a person's type":    {c.firm("lin"), func(*licenses.Claim) {}, fault.NotFound},
			"another person":     {licenses.Applicant{Person: c.ids["mu"], Kind: licenses.HolderPerson, Holder: c.ids["lin"]}, func(*licenses.Claim) {}, fault.Denied},
			"another's firm":     {c.firm("mu"), func(cl *licenses.Claim) { *cl = feeding() }, fault.Denied},
			"no such agency":     {c.holder("lin"), func(cl *licenses.Claim) { cl.Agency = "none" }, fault.Denied},
			"no authority":       {c.holder("lin"), func(cl *licenses.Claim) { cl.Agency = "donghu-amr" }, fault.Denied},
		} {
			cl := teaching()
			tc.change(&cl)
			id, _, err := c.Apply(t.Context(), tc.by, cl)
			if id != "" {
				t.Errorf("%s: became %s", name, id)
			}
			if err == nil || fault.KindOf(err) != tc.want {
				t.Errorf("%s: %v, want kind %v", name, err, tc.want)
			}
		}
		cl := teaching()
		cl.Data = map[string]any{"kind": "x", "extra": "y"}
		id, problems, err := c.Apply(t.Context(), c.holder("lin"), cl)
		must(t, err)
		var paths []string
		for _, p := range problems {
			paths = append(paths, p.Path)
		}
		slices.Sort(paths)
		if id != "" || len(slices.Compact(paths)) < 4 {
			t.Errorf("the problems are at %v, of application %q", paths, id)
		}
		cl = teaching()
		cl.Wrong = true
		if id, _, err := c.Apply(t.Context(), c.holder("lin"), cl); id != "" || err != nil {
			t.Errorf("a claim that is wrong became %q, %v", id, err)
		}
		cl.Wrong = false
		c.sendIn(c.holder("lin"), cl)
		cl.Data["subject"] = "数学"
		_, _, err = c.Apply(t.Context(), c.holder("lin"), cl)
		wantKind(t, err, fault.Conflict)
	})
}

// TestNobodySeesAnothersApplication: whose it is decides, not who sent it.
func TestNobodySeesAnothersApplication(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		id := c.sendIn(c.firm("lin"), feeding())
		byClerk := last(c.apply("mu"))
		for name, tc := range map[string]struct {
			by licenses.Applicant
			id string
		}{"as oneself": {c.holder("lin"), id}, "another": {c.holder("mu"), id}, "a clerk's": {c.firm("lin"), byClerk}, "none": {c.firm("lin"), "x"}} {
			_, err := c.Applied(t.Context(), tc.by, tc.id)
			wantKind(t, err, fault.NotFound)
			wantKind(t, c.Withdraw(t.Context(), tc.by, tc.id), fault.NotFound)
			wantKind(t, c.Answer(t.Context(), tc.by, tc.id, db.NewID(), "x"), fault.NotFound)
			if t.Failed() {
				t.Fatal(name)
			}
		}
		_, err := c.Applied(t.Context(), c.firm("mu"), id)
		wantKind(t, err, fault.Denied)
		wantKind(t, c.Withdraw(t.Context(), c.firm("mu"), id), fault.Denied)
		// No thread for what a clerk submitted, and none for the desks of others.
		question := func() url.Values { return url.Values{"ask": {"1"}, "key": {db.NewID()}, "message": {"?"}} }
		c.post("wan", "/desk/applications/"+byClerk, question()).is(t, http.StatusNotFound)
		c.post("chen", "/desk/applications/"+id, question()).is(t, http.StatusNotFound)
		for name, text := range map[string]string{"nothing": " \n", "too long": strings.Repeat("长", 1001), "turned round": "a\u202eb"} {
			v := question()
			v.Set("message", text)
			if a := c.post("mu", "/desk/applications/"+id, v); a.status != http.StatusBadRequest || !strings.Contains(a.text, "向申请人提问") {
				t.Errorf("question of %s: status %d", name, a.status)
			}
		}
		c.post("mu", "/desk/applications/"+id, url.Values{"ask": {"1"}, "key": {"x"}, "message": {"?"}}).is(t, http.StatusBadRequest)
		c.post("mu", "/desk/applications/"+id, question()).to(t, "/desk/applications/")
		for _, text := range []string{"", strings.Repeat("长", 1001), "a\x00b"} {
			wantKind(t, c.Answer(t.Context(), c.firm("lin"), id, db.NewID(), text), fault.Invalid)
		}
		wantKind(t, c.Answer(t.Context(), c.firm("lin"), id, "x", "是"), fault.Invalid)
	})
}

// TestWithdrawing: what was taken back cannot be approved, and the other way round.
func TestWithdrawing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.firm("lin")
		id := c.sendIn(by, feeding())
		must(t, c.Withdraw(t.Context(), by, id))
		must(t, c.Withdraw(t.Context(), by, id))
		c.post("mu", "/desk/applications/"+id, url.Values{"approve": {"1"}}).is(t, http.StatusConflict)
		c.get("mu", "/desk/applications?state=withdrawn").has(t, "已撤回", firmName)
		if got := c.events("application:" + id); len(got) != 2 || got[1] != "license.application.withdraw lin" {
			t.Errorf("events %v", got)
		}
		for range 5 {
			id := c.sendIn(by, feeding())
			var race sync.WaitGroup
			var approvedIt bool
			var taken error
			race.Go(func() { approvedIt, _ = c.Approve(t.Context(), c.ids["mu"], id, "donghu-amr") })
			race.Go(func() { taken = c.Withdraw(t.Context(), by, id) })
			race.Wait()
			if approvedIt == (taken == nil) {
				t.Errorf("approved: %v, withdrawn: %v", approvedIt, taken)
			}
		}
	})
}

// TestAtMostTwentyWait: also when the applications come all at once.
func TestAtMostTwentyWait(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.firm("lin")
		var first string
		for range 17 {
			first = c.sendIn(by, feeding())
		}
		var race sync.WaitGroup
		errs, begin := make([]error, 32), make(chan struct{})
		for i := range errs {
			race.Go(func() {
				<-begin
				_, _, errs[i] = c.Apply(t.Context(), by, feeding())
			})
		}
		close(begin)
		race.Wait()
		taken := 0
		for _, err := range errs {
			if err == nil {
				taken++
			} else {
				wantKind(t, err, fault.Conflict)
			}
		}
		if taken != 3 {
			t.Errorf("%d more were taken, want 3", taken)
		}
		must(t, c.Withdraw(t.Context(), by, first))
		c.sendIn(by, feeding())
		_, _, err := c.Apply(t.Context(), by, feeding())
		wantKind(t, err, fault.Conflict)
		c.sendIn(c.holder("lin"), teaching()) // as themselves they have none yet
		offices, err := c.Offices(t.Context(), "food-business")
		must(t, err)
		if len(offices) != 2 || offices[0].ID != "donghu-amr" || offices[1].ID != "xishan-amr" {
			t.Errorf("offices %v", offices)
		}
	})
}
