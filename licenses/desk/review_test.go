package desk_test

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/desk"
)

// review adds a version of the food business type with a rule of its own.
func (c *city) review(posts string) {
	c.t.Helper()
	file, err := os.ReadFile("../types/food-business.yaml")
	must(c.t, err)
	_, _, err = c.licenses.AddType(c.t.Context(), web.Caller{ClientID: "operator"}, append(file, "\nreview: "+posts+"\n"...))
	must(c.t, err)
}

var hiddenStep = regexp.MustCompile(`name="step" value="([^"]+)"`)

// decide presses a button of the page that the clerk is shown.
func (c *city) decide(who, path, button, reason string) answer {
	c.t.Helper()
	v := url.Values{button: {"1"}, "reason": {reason}}
	if m := hiddenStep.FindStringSubmatch(c.get(who, path).body); m != nil {
		v.Set("step", m[1])
	}
	return c.post(who, path, v)
}

// TestSecondReview: an application of a type with two reviews becomes a licence when
// a second clerk has agreed too, and neither of them is who submitted it.
func TestSecondReview(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		c.review("[clerk, clerk]")
		path := c.apply("mu")
		c.get("mu", path).has(t, "待复核", "第三名工作人员复审")
		c.get("wan", path).has(t, "初审", "通过，转复审")
		if page := c.get("wan", path); strings.Contains(page.body, `name="return"`) || strings.Contains(page.text, "通过并签发") {
			t.Error("the first review sends back, or issues")
		}
		first := url.Values{"approve": {"1"}, "step": {"submitted.0"}}
		for range 2 { // the button pressed twice
			c.post("wan", path, first).to(t, path)
		}
		c.get("wan", path).has(t, "待复审", "您已通过初审，须由另一名工作人员复审")
		c.get("jing", "/desk").has(t, "等待复审", firmName)
		c.get("jing", "/desk/applications?state=reviewed").has(t, firmName, "通过所选")
		c.get("jing", path).has(t, "初审 宋晚晴", "通过并签发", "退回初审")
		for name, tc := range map[string]struct {
			who    string
			form   url.Values
			status int
		}{
			"first clerk again":         {"wan", url.Values{"approve": {"1"}, "step": {"reviewed.0"}}, http.StatusForbidden},
			"first clerk rejects":       {"wan", url.Values{"reject": {"1"}, "reason": {"x"}, "step": {"reviewed.0"}}, http.StatusForbidden},
			"first clerk sends it back": {"wan", url.Values{"return": {"1"}, "reason": {"x"}, "step": {"reviewed.0"}}, http.StatusForbidden},
			"submitter":                 {"mu", url.Values{"approve": {"1"}, "step": {"reviewed.0"}}, http.StatusForbidden},
			"another agency":            {"chen", url.Values{"approve": {"1"}, "step": {"reviewed.0"}}, http.StatusNotFound},
			"overtaken form":            {"jing", first, http.StatusConflict},
			"form without a step":       {"jing", url.Values{"approve": {"1"}}, http.StatusConflict},
			"another round":             {"jing", url.Values{"approve": {"1"}, "step": {"reviewed.1"}}, http.StatusConflict},
			"forged step":               {"jing", url.Values{"approve": {"1"}, "step": {"approved.0"}}, http.StatusBadRequest},
			"forged round":              {"jing", url.Values{"approve": {"1"}, "step": {"reviewed.x"}}, http.StatusBadRequest},
			"negative round":            {"jing", url.Values{"approve": {"1"}, "step": {"reviewed.-1"}}, http.StatusBadRequest},
			"padded round":              {"jing", url.Values{"approve": {"1"}, "step": {"reviewed.00"}}, http.StatusBadRequest},
			"huge round":                {"jing", url.Values{"approve": {"1"}, "step": {"reviewed.99999999999999999999"}}, http.StatusBadRequest},
			"step without round":        {"jing", url.Values{"approve": {"1"}, "step": {"reviewed"}}, http.StatusBadRequest},
			"two buttons":               {"jing", url.Values{"approve": {"1"}, "return": {"1"}, "reason": {"x"}, "step": {"reviewed.0"}}, http.StatusBadRequest},
			"sent back at the first":    {"jing", url.Values{"return": {"1"}, "reason": {"x"}, "step": {"submitted.0"}}, http.StatusBadRequest},
			"sent back without reason":  {"jing", url.Values{"return": {"1"}, "reason": {" "}, "step": {"reviewed.0"}}, http.StatusBadRequest},
			"hidden reason":             {"jing", url.Values{"return": {"1"}, "reason": {"a\u202eb"}, "step": {"reviewed.0"}}, http.StatusBadRequest},
		} {
			if a := c.post(tc.who, path, tc.form); a.status != tc.status {
				t.Errorf("%s: status %d, want %d\n%s", name, a.status, tc.status, a.text)
			}
		}
		if n, err := c.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("the sweeper has completed %d: %v", n, err)
		}
		to := c.decide("jing", path, "approve", "").to(t, "/desk/licenses/")
		if again := c.post("jing", path, url.Values{"approve": {"1"}, "step": {"reviewed.0"}}).to(t, "/desk/licenses/"); again != to {
			t.Errorf("once more it leads to %s, not %s", again, to)
		}
		c.get("mu", path).has(t, "已签发", "初审 宋晚晴", "复审 罗景行")
		want := []string{"license.application.submit mu", "license.application.review wan", "license.application.approve jing", "license.application.issue system"}
		if diff := cmp.Diff(want, c.events("application:"+last(path))); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSentBack: the second reviewer gives the reason, the first review is done anew,
// and nothing of the former round counts.
func TestSentBack(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		c.review("[clerk, clerk]")
		by := c.firm("lin")
		id := c.sendIn(by, feeding())
		path := "/desk/applications/" + id
		c.decide("wan", path, "approve", "").to(t, path)
		back := url.Values{"return": {"1"}, "reason": {"面积与平面图不符"}, "step": {"reviewed.0"}}
		for range 2 {
			c.post("jing", path, back).to(t, path)
		}
		c.get("wan", path).has(t, "待复核", "面积与平面图不符", "罗景行", "通过，转复审")
		applied, err := c.Applied(t.Context(), by, id)
		must(t, err)
		if applied.State != "submitted" || applied.Reason != "" {
			t.Errorf("its holder is told %+v", applied)
		}
		c.post("wan", path, url.Values{"approve": {"1"}, "step": {"submitted.0"}}).is(t, http.StatusConflict) // the form of the first round
		key := db.NewID()
		c.post("mu", "/desk/applications", ticked(key, "approve", "", path)).has(t, "0 / 1", "逐件办理")
		if page := c.get("mu", "/desk/applications"); strings.Contains(page.body, `name="id"`) {
			t.Error("what was sent back can be ticked")
		}
		c.decide("jing", path, "approve", "").to(t, path) // now the first
		c.post("jing", path, url.Values{"approve": {"1"}, "step": {"reviewed.1"}}).is(t, http.StatusForbidden)
		c.post("wan", path, url.Values{"approve": {"1"}, "step": {"reviewed.0"}}).is(t, http.StatusConflict)
		c.decide("wan", path, "reject", "仍不符").to(t, path)
		c.get("mu", path).has(t, "已退回", "仍不符", "罗景行", "宋晚晴")
		applied, err = c.Applied(t.Context(), by, id)
		must(t, err)
		if applied.State != "rejected" || applied.Reason != "仍不符" {
			t.Errorf("its holder is told %+v", applied)
		}
		want := []string{"license.application.submit lin", "license.application.review wan", "license.application.return jing",
			"license.application.review jing", "license.application.reject wan"}
		if diff := cmp.Diff(want, c.events("application:"+id)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestReviewersOnly: a type may keep a step for reviewers.
func TestReviewersOnly(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.review("[clerk, reviewer]")
		path, other := c.apply("mu"), c.apply("mu")
		c.decide("wan", path, "approve", "").to(t, path)
		c.decide("wan", other, "approve", "").to(t, other)
		page := c.get("jing", path)
		page.has(t, "“复审”岗位", "待复审")
		if strings.Contains(page.body, `name="approve"`) {
			t.Error("the page lets anybody take the second review")
		}
		for _, button := range []string{"approve", "reject", "return"} {
			c.post("jing", path, url.Values{button: {"1"}, "reason": {"x"}, "step": {"reviewed.0"}}).is(t, http.StatusForbidden)
		}
		second := ticked(db.NewID(), "approve", "", path, other)
		second.Set("step", "reviewed.0")
		c.post("jing", "/desk/applications", second).has(t, "0 / 2", "“复审”岗位")
		c.reviewer = "jing"
		c.post("jing", "/desk/applications", second).has(t, "2 / 2", "已签发")
		c.review("[reviewer]") // one review, which takes a reviewer
		path = c.apply("mu")
		c.post("wan", path, url.Values{"approve": {"1"}}).is(t, http.StatusForbidden)
		c.decide("jing", path, "approve", "").to(t, "/desk/licenses/")
	})
}

// TestRuleOfTheDay: the newest version at the time of each decision says who decides;
// none slips past a review because the type changed in between.
func TestRuleOfTheDay(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		other := newReplica(t, c) // knows the types of before until it looks
		before := c.apply("mu")
		c.review("[clerk, clerk]")
		if ok, err := other.Approve(t.Context(), c.ids["wan"], last(before), "donghu-amr"); !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		c.get("jing", before).has(t, "待复审")
		c.review("[clerk]") // what is in its second review stays there
		c.get("wan", before).has(t, "须由另一名工作人员复审")
		if ok, err := c.Approve(t.Context(), c.ids["wan"], last(before), "donghu-amr"); ok || err != nil {
			t.Errorf("the first clerk again: %v, %v", ok, err)
		}
		c.decide("jing", before, "approve", "").to(t, "/desk/licenses/")
		c.decide("wan", c.apply("mu"), "approve", "").to(t, "/desk/licenses/")
	})
}

// TestBulkReview: the same rule for several at once.
func TestBulkReview(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.review("[clerk, clerk]")
		a, b := c.apply("mu"), c.apply("jing")
		key := c.key("wan", "/desk/applications")
		first := ticked(key, "approve", "", a, b)
		first.Set("step", "submitted.0")
		for range 2 { // sent again it decides nothing more
			c.post("wan", "/desk/applications", first).has(t, "2 / 2", "转入复审", "待复审")
		}
		second := ticked(key, "approve", "", a, b)
		second.Set("step", "reviewed.0")
		c.post("wan", "/desk/applications", second).has(t, "0 / 2", "您已初审", "待复审")
		c.post("jing", "/desk/applications", first).has(t, "0 / 2", "状态已发生变化", "不能复核自己提交的申请")
		page := c.get("jing", "/desk/applications?state=reviewed")
		if strings.Contains(page.body, `value="`+last(b)+`"`) || !strings.Contains(page.body, `value="`+last(a)+`"`) || !strings.Contains(page.body, `value="reviewed.0"`) {
			t.Error("not exactly the other's can be ticked")
		}
		c.post("jing", "/desk/applications", second).has(t, "1 / 2", "已签发", "不能复核自己提交的申请")
		for _, step := range []string{"reviewed.1", "issued.0"} {
			second.Set("step", step)
			c.post("jing", "/desk/applications", second).is(t, http.StatusBadRequest)
		}
		second.Set("step", "reviewed.0")
		delete(second, "approve")
		second.Set("return", "1")
		c.post("mu", "/desk/applications", second).is(t, http.StatusBadRequest)
	})
}

// TestReviewRaces: of many clerks one is the first and another one the second, and a
// holder who takes the application back has it back or not.
func TestReviewRaces(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.review("[clerk, clerk]")
		by := c.firm("lin")
		for range 6 {
			id := c.sendIn(by, feeding())
			var race sync.WaitGroup
			var mu sync.Mutex
			won := map[string][]string{}
			for _, who := range []string{"wan", "jing", "yun", "mu"} {
				for _, step := range []string{"submitted", "reviewed"} {
					race.Go(func() {
						for range 20 {
							ok, err := c.Decide(t.Context(), c.ids[who], id, "donghu-amr", "approve", step)
							if err != nil {
								t.Error(err)
							}
							if ok {
								mu.Lock()
								won[step] = append(won[step], who)
								mu.Unlock()
								return
							}
							time.Sleep(time.Millisecond)
						}
					})
				}
			}
			var taken error
			race.Go(func() { time.Sleep(3 * time.Millisecond); taken = c.Withdraw(t.Context(), by, id) })
			race.Wait()
			first, second := won["submitted"], won["reviewed"]
			if len(first) > 1 || len(second) > 1 || len(second) == 1 && (len(first) != 1 || first[0] == second[0]) {
				t.Errorf("first %v, second %v", first, second)
			}
			if (taken == nil) == (len(second) == 1) {
				t.Errorf("withdrawn: %v, approved by %v", taken, second)
			}
		}
	})
}

// newReplica opens the desk and the register once more on the same database.
func newReplica(t *testing.T, c *city) *desk.Service {
	t.Helper()
	types, err := licenses.ShippedTypes()
	must(t, err)
	register, err := licenses.New(t.Context(), licenses.Options{DB: c.db, Ring: c.ring, Registry: c.reg, Types: types})
	must(t, err)
	s, err := desk.New(desk.Options{DB: c.db, Licenses: register, Registry: c.reg, Sealer: c.ring, Site: c.site})
	must(t, err)
	return s
}
