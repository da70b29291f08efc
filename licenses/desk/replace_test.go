package desk_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// soon is the last day of a licence that may be renewed.
func soon() string { return time.Now().AddDate(0, 0, 30).Format(time.DateOnly) }

// with returns a form of the page that replaces a licence, with one button.
func with(button string, form url.Values, pairs ...string) url.Values {
	v := url.Values{"desk-reason": {"座位增加"}, button: {"1"}}
	for name, values := range form {
		if name != "submit" && name != "holder" && name != "not_before" {
			v[name] = values
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// TestChangeRenewReprint goes through the three pages: each shows what would
// change, does nothing until it is confirmed, and the number stays.
func TestChangeRenewReprint(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		first := c.issue("not_after", soon())
		c.get("mu", first).has(t, "延续、变更、补证", "延续", "变更", "补证")
		page := c.get("mu", first+"/change")
		page.has(t, "变更食品经营许可证", firmName, "经营者名称", "就餐座位")
		for _, want := range []string{`value="老灶火锅"`, `value="86"`, `value="是" checked`} {
			if !strings.Contains(page.body, want) {
				t.Errorf("the form is not filled: no %s", want)
			}
		}
		key := c.key("mu", first+"/change")
		form := food(key, "seats", "96")
		page = c.post("mu", first+"/change", with("desk-check", form))
		page.is(t, http.StatusOK)
		page.has(t, "请核对", "86 96", "第 2 版", "确认并签发")
		if !strings.Contains(page.body, "<strong>96</strong>") || strings.Count(page.body, "<strong>") != 1 {
			t.Errorf("not exactly the seats stand out:\n%s", page.body)
		}
		c.get("mu", first).has(t, "有效", "86") // nothing was done
		if page = c.post("mu", first+"/change", with("desk-edit", form)); !strings.Contains(page.body, `value="96"`) {
			t.Error("going back loses what was filled in")
		}
		page.is(t, http.StatusOK)
		second := c.post("mu", first+"/change", with("desk-confirm", form)).to(t, "/desk/licenses/")
		if again := c.post("mu", first+"/change", with("desk-confirm", form)).to(t, "/desk/licenses/"); again != second {
			t.Errorf("the same form once more leads to %s, not %s", again, second)
		}
		c.get("mu", second).has(t, "已变更", "96", "版本", "2（本页）", "第 1 版", "首次签发", "座位增加")
		second, _, _ = strings.Cut(second, "?")
		old := c.get("mu", first)
		old.has(t, "已换发", "第 2 版")
		if strings.Contains(old.body, first+"/change") {
			t.Error("a licence that was replaced can be changed")
		}

		until := time.Now().AddDate(3, 0, 0).Format(time.DateOnly)
		renewal := food(c.key("wan", second+"/renew"), "seats", "96", "not_after", until)
		c.post("wan", second+"/renew", with("desk-check", renewal)).has(t, "第 3 版", until)
		third, _, _ := strings.Cut(c.post("wan", second+"/renew", with("desk-confirm", renewal)).to(t, "/desk/licenses/"), "?")
		reprint := url.Values{"key": {c.key("mu", third+"/reprint")}}
		c.post("mu", third+"/reprint", with("desk-check", reprint)).has(t, "第 4 版")
		fourth := c.post("mu", third+"/reprint", with("desk-confirm", reprint, "desk-reason", "遗失")).to(t, "/desk/licenses/")
		c.get("mu", fourth).has(t, "补证", "遗失", "96", "第 3 版", "延续", "第 2 版", "变更")
		n, err := c.licenses.CheckAll(t.Context(), func(id, problem string) { t.Errorf("licence %s %s", id, problem) })
		must(t, err)
		if n != 4 {
			t.Errorf("%d licences, want 4", n)
		}
	})
}

func TestReplaceRefuses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	l, long := c.issue("not_after", soon()), c.issue()
	key := c.key("mu", l+"/change")
	for _, tc := range []struct {
		name, path string
		form       url.Values
		status     int
		says       string
	}{
		{"no button", l + "/change", with("x", food(key, "seats", "96")), http.StatusBadRequest, ""},
		{"two buttons", l + "/change", with("desk-check", food(key), "desk-confirm", "1"), http.StatusBadRequest, ""},
		{"edit and confirm", l + "/change", with("desk-edit", food(key), "desk-confirm", "1"), http.StatusBadRequest, ""},
		{"no key", l + "/change", with("desk-confirm", food("")), http.StatusBadRequest, "表单已失效"},
		{"forged key", l + "/change", with("desk-confirm", food("x' or 1=1")), http.StatusBadRequest, "表单已失效"},
		{"no reason", l + "/change", with("desk-check", food(key, "seats", "96"), "desk-reason", " "), http.StatusBadRequest, "请填写理由"},
		{"no reason, confirmed", l + "/change", with("desk-confirm", food(key, "seats", "96"), "desk-reason", ""), http.StatusBadRequest, "请填写理由"},
		{"hidden reason", l + "/change", with("desk-confirm", food(key, "seats", "96"), "desk-reason", "a\u202eb"), http.StatusBadRequest, "不可见字符"},
		{"long reason", l + "/change", with("desk-confirm", food(key, "seats", "96"), "desk-reason", strings.Repeat("长", 501)), http.StatusBadRequest, "500"},
		{"nothing changed", l + "/change", with("desk-check", food(key)), http.StatusBadRequest, "没有任何变更"},
		{"wrong data", l + "/change", with("desk-check", food(key, "seats", "-1")), http.StatusBadRequest, "就餐座位"},
		{"wrong data, confirmed", l + "/change", with("desk-confirm", food(key, "seats", "-1")), http.StatusBadRequest, "就餐座位"},
		{"data left out", l + "/change", with("desk-confirm", food(key, "premises", "")), http.StatusBadRequest, "经营场所"},
		{"hidden data", l + "/change", with("desk-check", food(key, "premises", "江城市\u202e东湖区")), http.StatusBadRequest, "不可见字符"},
		{"earlier end", l + "/renew", with("desk-check", food(key, "not_after", time.Now().AddDate(0, 0, 10).Format(time.DateOnly))), http.StatusBadRequest, "有效期至"},
		{"no date", l + "/renew", with("desk-confirm", food(key, "not_after", "soon")), http.StatusBadRequest, "有效期至"},
		{"too early", long + "/renew", with("desk-confirm", food(key)), http.StatusConflict, "目前不能办理"},
		{"unknown", l + "/burn", with("desk-confirm", food(key)), http.StatusNotFound, ""},
		{"no licence", "/desk/licenses/" + strings.Repeat("0", 26) + "/change", with("desk-confirm", food(key)), http.StatusNotFound, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := c.post("mu", tc.path, tc.form)
			a.is(t, tc.status)
			a.has(t, tc.says)
		})
	}
	twice := with("desk-check", food(key))
	twice["seats"] = []string{"1", "2"}
	c.post("mu", l+"/change", twice).has(t, "填写了多次")
	c.get("mu", long+"/renew").is(t, http.StatusConflict)
	for _, path := range []string{"/change", "/renew", "/reprint"} {
		c.get("chen", l+path).is(t, http.StatusNotFound)
		c.post("chen", l+path, with("desk-confirm", food(key, "seats", "96"))).is(t, http.StatusNotFound)
		c.get("lin", l+path).is(t, http.StatusForbidden)
	}
	for _, path := range []string{l, long} {
		got, err := c.licenses.Any(t.Context(), last(path))
		must(t, err)
		if got.Status != licenses.Issued || got.Version != 1 || got.Data["seats"] != float64(86) {
			t.Errorf("a refusal has changed the licence: %+v", got)
		}
	}
}

// TestReplaceRace: of two clerks one wins, and the other is shown how it stands.
func TestReplaceRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue("not_after", soon())
		clerks := []string{"mu", "wan", "jing", "yun"}
		answers, forms := make([]answer, len(clerks)), make([]url.Values, len(clerks))
		for i, who := range clerks {
			forms[i] = with("desk-confirm", food(c.key(who, l+"/change"), "seats", strconv.Itoa(91+i)))
		}
		var wg sync.WaitGroup
		for i, who := range clerks {
			wg.Go(func() { answers[i] = c.post(who, l+"/change", forms[i]) })
		}
		wg.Wait()
		won := 0
		for _, a := range answers {
			switch a.status {
			case http.StatusSeeOther:
				won++
			case http.StatusConflict:
				a.has(t, "目前不能办理")
			default:
				t.Errorf("status %d:\n%s", a.status, a.text)
			}
		}
		if won != 1 {
			t.Errorf("%d clerks won", won)
		}
	})
}
