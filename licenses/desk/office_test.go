package desk_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// succeed lets the city's agency take the district's place, and handOver is when it may
// issue.
func (c *city) succeed(licenseType string, authorities bool) {
	c.t.Helper()
	must(c.t, c.reg.Succeed(c.t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-edu", Type: licenseType, Authorities: authorities}))
}

func (c *city) handOver() { c.now = time.Now().Add(time.Hour) }

// agencies returns what the last event of a kind about an application says of them.
func (c *city) agencies(path, kind string) (agency, asked string) {
	c.t.Helper()
	must(c.t, c.db.Read(c.t.Context(), func(tx db.Tx) error {
		found, err := audit.Find(c.t.Context(), tx, audit.EventFilter{Object: "application:" + last(path), Kind: kind})
		for _, e := range found {
			agency, _ = e.Data["agency"].(string)
			asked, _ = e.Data["asked"].(string)
		}
		return err
	}))
	return agency, asked
}

// TestApplicationsGoOnAtTheSuccessor: what waits at an agency is decided by the one that
// took its place, from the moment at which that one may issue; the former looks on.
func TestApplicationsGoOnAtTheSuccessor(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path, other := c.apply("mu"), c.apply("mu")
		online := "/desk/applications/" + c.sendIn(c.firm("lin"), feeding())
		c.succeed("teacher", false)
		c.get("an", path).is(t, http.StatusNotFound) // the successor for another type
		c.post("an", path, approve).is(t, http.StatusNotFound)
		c.succeed("food-business", true)

		// Until the authority changes hands the former decides, and the successor looks on.
		page := c.get("an", path)
		page.is(t, http.StatusOK)
		page.has(t, "江城市东湖区市场监督管理局承接办理")
		c.post("an", path, approve).is(t, http.StatusForbidden)
		c.post("wan", other, approve).to(t, "/desk/licenses/")

		c.handOver()
		for _, list := range []string{"/desk", "/desk/applications"} {
			c.get("an", list).has(t, firmName, "受理部门：江城市东湖区市场监督管理局")
			c.get("wan", list).has(t, firmName, "现由江城市教育局办理")
			c.get("chen", list).has(t, "没有")
		}
		for _, p := range []string{path, online} {
			page = c.get("wan", p)
			page.is(t, http.StatusOK)
			page.has(t, "此申请已由江城市教育局承接办理，本部门只能查看", "受理部门 江城市东湖区市场监督管理局", "办理部门 江城市教育局")
			for _, button := range []string{"approve", "reject", "ask", "attach"} {
				if strings.Contains(page.body, `name="`+button+`"`) {
					t.Errorf("the former agency's page offers %s", button)
				}
			}
			for _, form := range []url.Values{approve, {"reject": {"1"}, "reason": {"不符"}}, {"ask": {"1"}, "key": {db.NewID()}, "message": {"几个座位？"}}} {
				c.post("wan", p, form).is(t, http.StatusForbidden)
			}
			c.upload("wan", p, db.NewID(), "x", []byte("%PDF-")).is(t, http.StatusForbidden)
			c.get("chen", p).is(t, http.StatusNotFound)
			c.post("chen", p, approve).is(t, http.StatusNotFound)
		}
		c.post("wan", "/desk/applications", ticked(db.NewID(), "approve", "", path)).has(t, "未办理：已由承接本部门职责的部门办理", "0 / 1")
		if strings.Contains(c.get("wan", "/desk/applications").body, `type="checkbox"`) {
			t.Error("the former agency's list lets them be ticked")
		}
		if a, err := c.Applied(t.Context(), c.firm("lin"), last(online)); err != nil || a.Agency != "donghu-amr" || a.Office != "jiangcheng-edu" {
			t.Errorf("the applicant is told %s, %s, %v", a.Agency, a.Office, err)
		}

		c.post("an", online, url.Values{"ask": {"1"}, "key": {db.NewID()}, "message": {"几个座位？"}}).to(t, online)
		license, _, _ := strings.Cut(c.post("an", path, approve).to(t, "/desk/licenses/"), "?")
		l, err := c.licenses.Any(t.Context(), last(license))
		must(t, err)
		if l.Agency != "jiangcheng-edu" || !strings.Contains(l.Identifier, "11990100MB00000435") || !strings.HasPrefix(l.Number, "JY990100") {
			t.Errorf("issued %+v", l)
		}
		c.get("an", license).has(t, "发证部门 江城市教育局", "窗口申请")
		c.get("an", path).has(t, "已签发", "受理部门 江城市东湖区市场监督管理局", "办理部门 江城市教育局", "钟离安", "查看证照")
		page = c.get("wan", path)
		page.has(t, "已签发", "办理部门 江城市教育局", "钟离安")
		if strings.Contains(page.body, "/desk/licenses/") {
			t.Error("the former agency's page leads to its successor's licence")
		}
		for kind, asked := range map[string]string{"license.application.submit": "", "license.application.approve": "donghu-amr", "license.application.issue": "donghu-amr"} {
			agency, of := c.agencies(path, kind)
			if want := map[bool]string{true: "donghu-amr", false: "jiangcheng-edu"}[asked == ""]; agency != want || of != asked {
				t.Errorf("%s: by %s, asked %s", kind, agency, of)
			}
		}
		c.get("an", "/desk/applications?state=issued").has(t, firmName)
		c.post("an", online, url.Values{"reject": {"1"}, "reason": {"不符"}}).to(t, online)
		c.get("wan", online).has(t, "已退回", "不符", "办理部门 江城市教育局")
	})
}

// TestReviewsCountPeople: a second review goes on at the successor, and neither who
// submitted nor who reviewed first takes it, though they work there too.
func TestReviewsCountPeople(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.review("[clerk, clerk]")
		first, own := c.apply("mu"), c.apply("yun", "agency", "donghu-amr")
		c.decide("yun", first, "approve", "").to(t, first)
		c.succeed("food-business", true)
		c.handOver()
		second := url.Values{"approve": {"1"}, "step": {"reviewed.0"}}
		c.post("wan", first, second).is(t, http.StatusForbidden)
		page := c.post("yun", first, second)
		page.is(t, http.StatusForbidden)
		page.has(t, "您已通过初审")
		page = c.post("yun", own, approve)
		page.is(t, http.StatusForbidden)
		page.has(t, "不能复核自己提交的申请")
		c.decide("an", first, "approve", "").to(t, "/desk/licenses/")
		c.get("an", first).has(t, "初审 谢云舒", "复审 钟离安")
		if diff := cmp.Diff([]string{"license.application.submit mu", "license.application.review yun", "license.application.approve an",
			"license.application.issue system"}, c.events("application:"+last(first))); diff != "" {
			t.Error(diff)
		}
	})
}

// TestRecusalAtTheSuccessor: who acts for the firm decides nothing there either.
func TestRecusalAtTheSuccessor(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.delegate("an")
		path := c.apply("mu")
		c.succeed("", true)
		c.handOver()
		page := c.post("an", path, approve)
		page.is(t, http.StatusForbidden)
		page.has(t, "应当回避")
		c.post("yun", path, approve).to(t, "/desk/licenses/")
	})
}

// TestApprovedBeforeTheSuccession: what a crash left approved at the former agency is
// issued by the one that may by then.
func TestApprovedBeforeTheSuccession(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.apply("mu")
		c.crash(path, "wan")
		c.succeed("", true)
		c.handOver()
		for want := 1; want >= 0; want-- {
			if n, err := c.Sweep(t.Context()); n != want || err != nil {
				t.Fatalf("swept %d, %v, want %d", n, err, want)
			}
		}
		page := c.get("an", path)
		page.has(t, "已签发", "办理部门 江城市东湖区市场监督管理局", "宋晚晴")
		license := hrefs.FindStringSubmatch(page.body[strings.Index(page.body, `class="button" href="/desk/licenses/`):])
		c.get("an", license[1]).has(t, "发证部门 江城市教育局")
		if c.get("wan", path).is(t, http.StatusOK); strings.Contains(c.get("wan", path).body, "/desk/licenses/") {
			t.Error("the former agency's page leads to its successor's licence")
		}
	})
}

// TestSuccessorWithoutAuthority can send back what nobody may issue any more, and not
// approve it.
func TestSuccessorWithoutAuthority(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.apply("mu")
		c.succeed("", false)
		c.post("wan", c.apply("mu"), approve).to(t, "/desk/licenses/") // who still may, does
		c.now = time.Now().AddDate(4, 0, 1)                            // the authority is over
		page := c.get("an", path)
		page.has(t, "没有办理此类证照的职权", "现在只能退回")
		if strings.Contains(page.body, `name="approve"`) || !strings.Contains(page.body, `name="reject"`) {
			t.Error("the page does not offer to reject alone")
		}
		c.post("an", path, approve).is(t, http.StatusForbidden)
		c.post("an", "/desk/applications", ticked(db.NewID(), "approve", "", path)).has(t, "未办理：无此职权")
		c.post("wan", path, url.Values{"reject": {"1"}, "reason": {"不符"}}).is(t, http.StatusForbidden)
		c.post("an", path, url.Values{"reject": {"1"}, "reason": {"本部门不再签发"}}).to(t, path)
		c.get("mu", path).has(t, "已退回", "本部门不再签发")
	})
}

// TestIssueForAnotherAgency: the register issues for an agency that was asked only where the
// caller's has taken its place and has authority in its area.
func TestIssueForAnotherAgency(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		try := func(agency, asked string) error {
			results, err := c.licenses.Issue(t.Context(), web.Caller{ClientID: "c", Agency: agency}, []licenses.Keyed{{Key: db.NewID(), Asked: asked, Request: request()}})
			must(t, err)
			return results[0].Err
		}
		if err := try("donghu-amr", "donghu-amr"); err != nil {
			t.Errorf("its own: %v", err)
		}
		for _, asked := range []string{"donghu-amr", "xishan-amr", "nobody", ""} {
			if err := try("jiangcheng-edu", asked); err == nil {
				t.Errorf("the city's agency issued for %q", asked)
			}
		}
		if err := try("donghu-amr", "xishan-amr"); err == nil {
			t.Error("issued for an agency whose place it has not taken")
		}
		_, err := c.reg.Authorize(t.Context(), "ceremony", registry.Authority{Agency: "jiangcheng-edu", Type: "food-business", Area: "990102",
			From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(4, 0, 0).Truncate(time.Second)})
		must(t, err)
		if err := try("jiangcheng-edu", "xishan-amr"); err == nil {
			t.Error("an authority in its area does not make an agency another's successor")
		}
		c.succeed("food-business", true)
		c.handOver()
		if err := try("jiangcheng-edu", "donghu-amr"); err != nil {
			t.Errorf("the successor: %v", err)
		}
		for _, asked := range []string{"xishan-amr", ""} {
			if err := try("jiangcheng-edu", asked); err == nil {
				t.Errorf("the successor issued for %q, where it has no authority", asked)
			}
		}
		if err := try("donghu-amr", "donghu-amr"); err == nil {
			t.Error("the former agency goes on issuing")
		}
	})
}
