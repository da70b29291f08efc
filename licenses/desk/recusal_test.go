package desk_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

const barred = "应当回避"

// delegate lets a clerk act for the firm from a while ago.
func (c *city) delegate(who string) {
	c.t.Helper()
	_, err := c.reg.Delegate(c.t.Context(), "ceremony", registry.Delegation{Firm: firmCode, Person: c.ids[who], From: time.Now().Add(-time.Hour).Truncate(time.Second)})
	must(c.t, err)
}

// TestNobodyDecidesForAFirmThatTheyActFor: whoever holds a delegation, or held one
// when the application was sent in, neither approves, rejects nor asks, however the
// application came and however they try.
func TestNobodyDecidesForAFirmThatTheyActFor(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		c.delegate("wan")
		byClerk, byFirm := c.apply("mu"), "/desk/applications/"+c.sendIn(c.firm("lin"), feeding())
		barredFrom := func(path string) {
			t.Helper()
			page := c.get("wan", path)
			page.has(t, barred, "待复核")
			if strings.Contains(page.body, `name="approve"`) || strings.Contains(page.body, `name="reject"`) || strings.Contains(page.body, `name="ask"`) {
				t.Error("the page offers to decide")
			}
			for name, form := range map[string]url.Values{"approve": {"approve": {"1"}}, "reject": {"reject": {"1"}, "reason": {"不符"}},
				"reject without reason": {"reject": {"1"}}, "ask": {"ask": {"1"}, "key": {db.NewID()}, "message": {"?"}}} {
				a := c.post("wan", path, form)
				if a.status != http.StatusForbidden || !strings.Contains(a.text, barred) {
					t.Errorf("%s: status %d\n%s", name, a.status, a.text)
				}
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, nil)
			must(t, err)
			r.Header.Set("Accept-Language", "en")
			c.send("wan", r).has(t, "Somebody else has to deal with it", "Waiting for review")
		}
		barredFrom(byClerk)
		barredFrom(byFirm)
		list := c.get("wan", "/desk/applications")
		if strings.Contains(list.body, `name="id"`) || strings.Contains(list.body, "通过所选") {
			t.Error("the list lets them be ticked")
		}
		key := c.key("jing", "/desk/applications")
		for _, button := range []string{"approve", "reject"} {
			c.post("wan", "/desk/applications", ticked(key, button, "不符", byClerk, byFirm)).has(t, "0 / 2", barred, "待复核")
		}
		if ok, err := c.Approve(t.Context(), c.ids["wan"], last(byClerk), "donghu-amr"); ok || err == nil {
			t.Errorf("past the page it is decided: %v, %v", ok, err)
		}
		// The delegation's end does not undo that she had it when they were sent in.
		must(t, c.reg.Withdraw(t.Context(), "ceremony", firmCode, c.ids["wan"]))
		barredFrom(byClerk)
		barredFrom(byFirm)
		if n := len(c.events("application:" + last(byClerk))); n != 1 {
			t.Errorf("%d events, want the submission alone", n)
		}
		// What comes in afterwards is another matter, and so is a colleague's decision.
		c.post("wan", c.apply("mu"), url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
		c.post("jing", "/desk/applications", ticked(key, "approve", "", byClerk, byFirm)).has(t, "2 / 2", "已签发")
		// Whoever has decided is answered as before, whomever they act for since.
		c.delegate("jing")
		c.post("jing", byClerk, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
	})
}

// TestNobodyDecidesTheirOwn: a clerk for whom a colleague, or they themselves as a
// citizen, have applied.
func TestNobodyDecidesTheirOwn(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		form := url.Values{"key": {c.key("yun", "/desk/teacher/new")}, "agency": {"jiangcheng-edu"}, "holder": {people["an"].number}, "kind": {"小学教师资格"},
			"subject": {"语文"}, "granted": {"2026-06-30"}, "submit": {"1"}}
		byColleague, _, _ := strings.Cut(c.post("yun", "/desk/teacher/new", form).to(t, "/desk/applications/"), "?")
		own := "/desk/applications/" + c.sendIn(c.holder("an"), teaching())
		for path, says := range map[string]string{byColleague: barred, own: "不能复核自己提交的申请"} {
			a := c.post("an", path, url.Values{"approve": {"1"}})
			a.is(t, http.StatusForbidden)
			a.has(t, says)
		}
		key := c.key("yun", "/desk/applications?agency=jiangcheng-edu")
		c.post("an", "/desk/applications", ticked(key, "approve", "", byColleague, own)).has(t, "0 / 2", barred, "不能复核自己提交的申请")
		c.post("yun", own, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
	})
}

// TestNobodyActsOnALicenceOfTheirFirm: at the desk, one by one and several at once.
func TestNobodyActsOnALicenceOfTheirFirm(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue("not_after", soon())
		key := c.key("wan", l+"/change")
		c.delegate("wan")
		page := c.get("wan", l)
		page.has(t, barred, "有效")
		for _, offered := range []string{`name="suspend"`, `name="revoke"`, "/change", "/renew", "/reprint"} {
			if strings.Contains(page.body, offered) {
				t.Errorf("the page offers %s", offered)
			}
		}
		for _, act := range []string{"suspend", "resume", "revoke"} {
			a := c.post("wan", l, url.Values{"key": {db.NewID()}, "reason": {"整改"}, act: {"1"}})
			a.is(t, http.StatusForbidden)
			a.has(t, barred)
		}
		for _, path := range []string{"/change", "/renew", "/reprint"} {
			c.get("wan", l+path).is(t, http.StatusForbidden)
			for _, button := range []string{"desk-check", "desk-confirm"} {
				form := food(key, "seats", "96")
				if path == "/reprint" {
					form = url.Values{"key": {key}}
				}
				a := c.post("wan", l+path, with(button, form))
				if a.status != http.StatusForbidden || !strings.Contains(a.text, barred) {
					t.Errorf("%s %s: status %d\n%s", path, button, a.status, a.text)
				}
			}
		}
		c.post("wan", "/desk/licenses", ticked(key, "suspend", "整改", l)).has(t, "0 / 1", barred, "有效")
		got, err := c.licenses.Any(t.Context(), last(l))
		must(t, err)
		if got.Status != licenses.Issued || got.Version != 1 {
			t.Errorf("a refusal has changed the licence: %+v", got)
		}
		c.post("mu", "/desk/licenses", ticked(key, "suspend", "整改", l)).has(t, "1 / 1", "已暂停")
	})
}

// TestDelegatedWhileDeciding: a delegation that is there first bars, whichever of
// many clicks it meets.
func TestDelegatedWhileDeciding(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.apply("mu")
		var race sync.WaitGroup
		answers := make([]answer, 8)
		race.Go(func() { c.delegate("wan") })
		for i := range answers {
			race.Go(func() { answers[i] = c.post("wan", path, url.Values{"approve": {"1"}}) })
		}
		race.Wait()
		approved := len(c.events("application:"+last(path))) > 1
		for _, a := range answers {
			if ok := a.status == http.StatusSeeOther; !ok && a.status != http.StatusForbidden || ok != approved {
				t.Errorf("status %d where approved is %v", a.status, approved)
			}
		}
	})
}

// TestNobodyAttachesForTheAgencyToTheirFirms: what a clerk adds counts as seen by the
// agency, so that nobody adds it to what their own firm has sent in. Whoever typed an
// application in adds to it, and reviews it no more than before.
func TestNobodyAttachesForTheAgencyToTheirFirms(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		c.delegate("wan")
		c.delegate("mu")
		byFirm, byThem := c.sendIn(c.firm("lin"), feeding()), c.sendIn(c.firm("wan"), feeding())
		typed := c.apply("mu")
		for _, path := range []string{"/desk/applications/" + byFirm, "/desk/applications/" + byThem, typed} {
			if page := c.get("wan", path); strings.Contains(page.body, `name="attach"`) {
				t.Error("the page offers to add a file")
			}
			a := c.upload("wan", path, db.NewID(), "lease", scan(t, 9))
			a.is(t, http.StatusForbidden)
			a.has(t, barred)
			if n := len(c.events("application:" + last(path))); n != 1 {
				t.Errorf("%d events", n)
			}
		}
		c.upload("mu", typed, db.NewID(), "lease", scan(t, 9)).to(t, typed)
		c.upload("jing", "/desk/applications/"+byFirm, db.NewID(), "lease", scan(t, 9)).to(t, "/desk/applications/")
		must(t, c.Attach(t.Context(), c.firm("wan"), byThem, licenses.File{Slot: "lease", Key: db.NewID(), Body: scan(t, 9)}))
	})
}
