package desk_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestFromApplicationToRevocation is the desk's main job.
func TestFromApplicationToRevocation(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.get("mu", "/desk").has(t, "江城市东湖区市场监督管理局", "食品经营许可证", "没有等待复核的申请", "还没有证照")
		c.get("mu", "/desk/food-business").to(t, foodForm)
		c.get("mu", foodForm).has(t, "经营者名称", "4 至 200 个字", "整数，0 至 100000", "就餐座位（选填）", "统一社会信用代码")

		to := c.post("mu", foodForm, food(c.key("mu", foodForm))).to(t, "/desk/applications/")
		c.get("mu", to).has(t, "申请已提交", "待复核", firmName, firmCode, "86", "白沐阳", "提交人不能复核自己的申请")
		path, _, _ := strings.Cut(to, "?")
		c.get("wan", "/desk").has(t, firmName, "白沐阳", "待复核")
		c.get("wan", path).has(t, "通过并签发", "退回")

		to = c.post("wan", path, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
		page := c.get("wan", to)
		page.has(t, "已签发", "有效", "老灶火锅", firmName, "宋晚晴", "窗口申请")
		license, _, _ := strings.Cut(to, "?")
		c.get("mu", path).has(t, "已签发", "宋晚晴", "查看证照")

		svg, png := c.get("wan", license+"/qr.svg"), c.get("wan", license+"/qr.png")
		if svg.header.Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(svg.body, "<svg") {
			t.Errorf("svg: %v", svg.header)
		}
		if png.header.Get("Content-Type") != "image/png" || !strings.HasPrefix(png.header.Get("Content-Disposition"), `attachment; filename="JY`) {
			t.Errorf("png: %v", png.header)
		}

		act := func(who, name, reason string) answer {
			return c.post(who, license, url.Values{"key": {c.key(who, license)}, "reason": {reason}, name: {"1"}})
		}
		c.get("mu", act("mu", "suspend", "抽检不合格\r\n责令整改").to(t, license)).has(t, "已暂停", "抽检不合格 责令整改")
		c.get("wan", act("wan", "resume", "整改完成").to(t, license)).has(t, "已恢复", "有效")
		c.get("wan", act("wan", "revoke", "申请人注销").to(t, license)).has(t, "已吊销", "申请人注销")
		if page := c.get("wan", license); strings.Contains(page.body, `name="key"`) {
			t.Error("a revoked licence can still be changed")
		}
		want := []string{"license.application.submit mu", "license.application.approve wan", "license.application.issue system"}
		if diff := cmp.Diff(want, c.events("application:"+last(path))); diff != "" {
			t.Errorf("events of the application: %s", diff)
		}
		if got := len(c.events("license:" + last(license))); got != 5 {
			t.Errorf("%d events of the licence, want intent, outcome and three acts", got)
		}
		n, err := c.licenses.CheckAll(t.Context(), func(id, problem string) { t.Errorf("licence %s %s", id, problem) })
		must(t, err)
		if n != 1 {
			t.Errorf("%d licences, want 1", n)
		}
	})
}

func TestEnglish(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	english := func(path string) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, nil)
		must(t, err)
		r.Header.Set("Accept-Language", "en")
		return c.send("mu", r)
	}
	english("/desk").has(t, "Licence desk", "Donghu Market Regulation", "Food business licence", "Nothing is waiting for review")
	english(foodForm).has(t, "Trade name", "4 to 200 characters", "Whole number from 0 to 100000", "Seats (optional)", "Catering service")
	english(c.apply("mu")).has(t, "Waiting for review", "Hot dishes", "Nobody reviews their own application")
	english(c.issue()).has(t, "In force", "Change the status", "Signed and issued")
}

func TestWhoMayEnter(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	application, license := c.apply("mu"), c.issue()
	for _, tc := range []struct {
		name, who, path string
		status          int
		says            string
	}{
		{"stranger", "", "/desk", http.StatusSeeOther, ""},
		{"citizen", "lin", "/desk", http.StatusForbidden, "没有证照窗口岗位"},
		{"citizen at a form", "lin", foodForm, http.StatusForbidden, "没有证照窗口岗位"},
		{"forged agency", "mu", "/desk?agency=jiangcheng-edu", http.StatusForbidden, "不在该部门任职"},
		{"unknown agency", "mu", "/desk?agency=%27%20or%201%3D1", http.StatusForbidden, "不在该部门任职"},
		{"type without authority", "mu", "/desk/teacher/new", http.StatusForbidden, "没有办理此类证照的职权"},
		{"unknown type", "mu", "/desk/nothing/new", http.StatusNotFound, ""},
		{"unknown type, short", "mu", "/desk/nothing", http.StatusNotFound, ""},
		{"application", "wan", application, http.StatusOK, "待复核"},
		{"application of another agency", "chen", application, http.StatusNotFound, "找不到页面"},
		{"no application", "mu", "/desk/applications/" + strings.Repeat("0", 26), http.StatusNotFound, "找不到页面"},
		{"a licence as an application", "mu", "/desk/applications/" + last(license), http.StatusNotFound, "找不到页面"},
		{"licence", "mu", license, http.StatusOK, "有效"},
		{"licence of another agency", "chen", license, http.StatusNotFound, "找不到页面"},
		{"its picture", "chen", license + "/qr.svg", http.StatusNotFound, "找不到页面"},
		{"another file", "mu", license + "/qr.gif", http.StatusNotFound, ""},
		{"neither", "mu", "/desk/food-business/old", http.StatusNotFound, ""},
		{"licence, new", "mu", "/desk/licenses/new", http.StatusNotFound, ""},
		{"forged page", "mu", "/desk/licenses?after=zzz", http.StatusNotFound, ""},
		{"forged status", "mu", "/desk/licenses?status=x", http.StatusNotFound, ""},
		{"forged type", "mu", "/desk/licenses?type=x", http.StatusNotFound, ""},
		{"forged state", "mu", "/desk/applications?state=x", http.StatusNotFound, ""},
		{"forged page of applications", "mu", "/desk/applications?after=%00", http.StatusNotFound, ""},
		{"broken query", "mu", "/desk?agency=%zz", http.StatusBadRequest, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := c.get(tc.who, tc.path)
			a.is(t, tc.status)
			a.has(t, tc.says)
			if tc.who == "" && a.location != "/login?next=%2Fdesk" {
				t.Errorf("sent to %s", a.location)
			}
		})
	}
	for _, path := range []string{application, license} {
		c.post("chen", path, url.Values{"approve": {"1"}, "key": {c.key("mu", foodForm)}, "revoke": {"1"}, "reason": {"x"}}).is(t, http.StatusNotFound)
	}
}

func TestClerkOfTwoAgencies(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.get("yun", "/desk").has(t, "办理部门", "切换部门", "食品经营许可证")
	c.get("yun", "/desk?agency=jiangcheng-edu").has(t, "教师资格证书", "江城市教育局")
	page := c.get("yun", "/desk/teacher/new") // only one of the two may: it is chosen
	page.has(t, "江城市教育局", "公民身份号码")
	if !strings.Contains(page.body, `name="agency" value="jiangcheng-edu"`) {
		t.Error("the form does not say for which agency it is")
	}
	c.get("yun", "/desk/teacher/new?agency=donghu-amr").is(t, http.StatusForbidden)
	teacher := url.Values{"key": {c.key("yun", "/desk/teacher/new")}, "agency": {"jiangcheng-edu"}, "holder": {resident}, "kind": {"小学教师资格"},
		"subject": {"语文"}, "granted": {"2026-06-30"}, "submit": {"1"}}
	to := c.post("yun", "/desk/teacher/new", teacher).to(t, "/desk/applications/")
	page = c.get("yun", to)
	page.has(t, "林若川", "990***********0117", "江城市教育局")
	if strings.Contains(page.body, resident) || strings.Contains(to, resident) {
		t.Error("the page shows the whole number of a person")
	}
	path, _, _ := strings.Cut(to, "?")
	license := c.post("an", path, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
	c.get("yun", license).has(t, "江城市教育局", "语文")
	c.get("mu", license).is(t, http.StatusNotFound)
}

func TestListsAndSearch(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		first := c.issue()
		l, err := c.licenses.Any(t.Context(), last(first))
		must(t, err)
		search := func(who, number string) answer { return c.post(who, "/desk/search", url.Values{"number": {number}}) }
		for _, number := range []string{l.Number, strings.ToLower(l.Number), " " + l.Number[:4] + " " + l.Number[4:], firmCode, strings.ToLower(firmCode),
			"９１９９０１０１ＭＡ１Ｆ００１１７５"} {
			search("mu", number).to(t, first)
		}
		for _, number := range []string{resident, "JY0000000000000", "91990101MA1F001176", "%", "' OR ''='"} {
			a := search("mu", number)
			a.is(t, http.StatusOK)
			a.has(t, "本部门没有与此号码相符的证照")
		}
		search("chen", l.Number).has(t, "本部门没有与此号码相符的证照")
		for _, number := range []string{"", "   ", "\x00", strings.Repeat("9", 65), "a\u202eb"} {
			a := search("mu", number)
			a.is(t, http.StatusBadRequest)
			a.has(t, "请输入证照编号")
		}
		later := time.Now().AddDate(0, 2, 0).Format(time.DateOnly)
		c.get("mu", c.issue("not_before", later)).has(t, "尚未生效")
		c.now = time.Now().AddDate(6, 0, 0)
		c.get("mu", first).has(t, "已过期")
	})
}

func TestPaging(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	var batch []licenses.Keyed
	for i := range 45 {
		f := licenses.Request{Type: "food-business", Holder: licenses.Holder{USCC: firmCode}, Data: map[string]any{"trade_name": "老灶火锅",
			"premises": "江城市东湖区湖滨路18号", "legal_representative": "林若川", "category": "单位食堂", "scope": "热食类食品制售"}}
		batch = append(batch, licenses.Keyed{Key: string(rune('A' + i)), Request: f})
	}
	_, err := c.licenses.Issue(t.Context(), callerOf("donghu-amr"), batch)
	must(t, err)
	for range 21 {
		c.apply("mu")
	}
	seen := func(start string, prefix string) int {
		all := map[string]bool{}
		for path := start; path != ""; {
			a := c.get("mu", path)
			a.is(t, http.StatusOK)
			for _, m := range hrefs.FindAllStringSubmatch(a.body, -1) {
				if strings.HasPrefix(m[1], prefix) {
					all[m[1]] = true
				}
			}
			path = ""
			if m := nextPage.FindStringSubmatch(a.body); m != nil {
				path = strings.ReplaceAll(m[1], "&amp;", "&")
			}
		}
		return len(all)
	}
	for path, want := range map[string]int{
		"/desk/licenses": 45, "/desk/licenses?status=issued&type=food-business": 45, "/desk/licenses?status=revoked": 0, "/desk/licenses?type=teacher": 0,
	} {
		if got := seen(path, "/desk/licenses/"); got != want {
			t.Errorf("%s shows %d licences, want %d", path, got, want)
		}
	}
	if got := seen("/desk/applications", "/desk/applications/"); got != 21 {
		t.Errorf("%d applications, want 21", got)
	}
	if got := seen("/desk/applications?state=issued", "/desk/applications/"); got != 0 {
		t.Errorf("%d issued applications, want none", got)
	}
	// A search of a holder goes on by POST.
	form := url.Values{"number": {firmCode}}
	total := 0
	for {
		a := c.post("mu", "/desk/search", form)
		total += strings.Count(a.body, `<th scope="row"`)
		m := afterField.FindStringSubmatch(a.body)
		if m == nil {
			break
		}
		form.Set("after", m[1])
	}
	if total != 45 {
		t.Errorf("the search shows %d licences, want 45", total)
	}
	c.post("mu", "/desk/search", url.Values{"number": {firmCode}, "after": {"'"}}).is(t, http.StatusBadRequest)
}
