package desk_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// TestHiddenInReason: what cannot be seen in a reason is gone from the form that comes
// back, so that sending it again does it.
func TestHiddenInReason(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.issue()
		form := url.Values{"suspend": {"1"}, "key": {c.key("wan", path)}, "reason": {"违规\u202e整改"}}
		a := c.post("wan", path, form)
		a.is(t, http.StatusBadRequest)
		a.has(t, "不可见字符", "违规整改")
		if strings.Contains(a.body, "\u202e") {
			t.Error("the form comes back with what is wrong and cannot be seen")
		}
	})
}

// TestSuccessorsPage leads nowhere that the successor's clerks cannot go: what was applied
// for stays with the agency that was asked.
func TestSuccessorsPage(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.issue()
		c.get("wan", path).has(t, "窗口申请")
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "xishan-amr"}))
		page := c.get("chen", path)
		page.is(t, http.StatusOK)
		page.has(t, "发证部门 江城市东湖区市场监督管理局", "没有办理此类证照的职权") // it is their permit, whoever looks after it
		if strings.Contains(page.body, `name="suspend"`) {
			t.Error("the page offers what the agency has no authority for in that area")
		}
		for _, m := range hrefs.FindAllStringSubmatch(page.body, -1) {
			if strings.HasPrefix(m[1], "/desk/") && c.get("chen", m[1]).status != http.StatusOK {
				t.Errorf("the page leads to %s, which is refused", m[1])
			}
		}
	})
}

// TestSuccessorsListsSayWhoIssued: the lists and the search of a successor's clerks show what the
// former agency issued, marked with its name, and lead there; their own bear no mark.
func TestSuccessorsListsSayWhoIssued(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.issue()
		path := c.issue()
		const mark = "发证部门：江城市东湖区市场监督管理局"
		search := func(who string) answer { return c.post(who, "/desk/search", url.Values{"number": {firmCode}}) }
		for _, page := range []answer{c.get("chen", "/desk"), c.get("chen", "/desk/licenses"), search("chen")} {
			if strings.Contains(page.text, firmName) {
				t.Errorf("a stranger sees %s", page.text)
			}
		}
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "xishan-amr"}))
		for name, page := range map[string]answer{"home": c.get("chen", "/desk"), "list": c.get("chen", "/desk/licenses"), "search": search("chen"),
			"status": c.get("chen", "/desk/licenses?status=issued&type=food-business")} {
			page.is(t, http.StatusOK)
			if strings.Count(page.text, mark) != 2 || !strings.Contains(page.body, `href="`+path+`"`) {
				t.Errorf("%s does not mark and lead to both: %s", name, page.text)
			}
		}
		c.get("chen", "/desk/licenses?status=revoked").has(t, "没有符合条件的证照")
		if page := c.get("wan", "/desk/licenses"); strings.Contains(page.text, "发证部门") || !strings.Contains(page.text, firmName) {
			t.Errorf("the former agency's own are marked, or gone: %s", page.text)
		}
	})
}

// TestClerkOfBothAgencies acts for the one that may, where they have posts at an agency and
// at the one that took its place.
func TestClerkOfBothAgencies(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path, other := c.issue(), c.issue()
		must(t, c.reg.Succeed(t.Context(), "ceremony", registry.Succession{Agency: "donghu-amr", Successor: "jiangcheng-edu", Type: "food-business", Authorities: true}))
		c.now = time.Now().Add(time.Hour)
		v := url.Values{"suspend": {"1"}, "key": {c.key("yun", path)}, "reason": {"整改"}}
		c.post("wan", path, v).is(t, http.StatusForbidden) // of the former one alone
		c.post("yun", path, v).to(t, path)
		c.get("yun", path).has(t, "已暂停")
		c.get("yun", other+"/change").is(t, http.StatusOK)
		c.get("wan", other+"/change").is(t, http.StatusForbidden)
		c.post("yun", "/desk/licenses", ticked(db.NewID(), "suspend", "整改", other)).has(t, "1 / 1")
	})
}

// TestLongHistory shows the newest of what was done to a licence.
func TestLongHistory(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.issue()
		must(t, d.Update(t.Context(), func(tx db.Tx) error {
			for range 120 {
				_, err := audit.Append(t.Context(), tx, audit.Event{Kind: "license.act.resume", Actor: "person:" + c.ids["wan"],
					Object: "license:" + last(path), Data: map[string]any{"reason": "old"}})
				if err != nil {
					return err
				}
			}
			return nil
		}))
		c.post("wan", path, url.Values{"suspend": {"1"}, "key": {c.key("wan", path)}, "reason": {"最近这一次"}}).to(t, path)
		page := c.get("jing", path).text
		_, history, _ := strings.Cut(page, "办理记录")
		if newest, old := strings.Index(history, "最近这一次"), strings.Index(history, "old"); newest < 0 || newest > old {
			t.Errorf("the newest act stands at %d, an old one at %d", newest, old)
		}
	})
}

// TestFormSaysWhoReviews says of a type with two reviews that there are two.
func TestFormSaysWhoReviews(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.get("mu", foodForm).has(t, "复核通过即签发证照")
		c.review("[clerk, clerk]")
		page := c.get("mu", foodForm)
		page.has(t, "第三名工作人员复审")
		if strings.Contains(page.text, "复核通过即签发证照") {
			t.Error("the page says that one review is all")
		}
	})
}

// TestNoQuestionIsOpenAtTheEnd: nobody waits for an answer once the application is decided.
func TestNoQuestionIsOpenAtTheEnd(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := "/desk/applications/" + c.sendIn(c.firm("lin"), feeding())
		c.post("wan", path, url.Values{"ask": {"1"}, "key": {db.NewID()}, "message": {"座位数是否含露台？"}}).to(t, path)
		c.get("wan", path).has(t, "等待答复")
		c.post("wan", path, url.Values{"reject": {"1"}, "reason": {"不符"}}).to(t, path)
		page := c.get("wan", path)
		page.has(t, "座位数是否含露台", "已退回")
		if strings.Contains(page.text, "等待答复") {
			t.Error("the page still waits for an answer")
		}
	})
}
