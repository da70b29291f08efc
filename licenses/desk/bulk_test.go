package desk_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

func ticked(key, button, reason string, paths ...string) url.Values {
	v := url.Values{"key": {key}, button: {"1"}, "reason": {reason}}
	for _, p := range paths {
		v.Add("id", last(p))
	}
	return v
}

// TestBulk: each line is decided for itself, and the same form once more does nothing.
func TestBulk(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		a, b, own, gone := c.apply("mu"), c.apply("mu"), c.apply("wan"), c.apply("mu")
		c.post("jing", gone, url.Values{"reject": {"1"}, "reason": {"不符"}}).to(t, gone)
		page := c.get("wan", "/desk/applications")
		for path, may := range map[string]bool{a: true, b: true, own: false} {
			if strings.Contains(page.body, `name="id" value="`+last(path)+`"`) != may {
				t.Errorf("%s can be ticked: %v, want %v", path, !may, may)
			}
		}
		key := c.key("wan", "/desk/applications")
		form := ticked(key, "approve", "", a, b, own, gone, strings.Repeat("0", 26), a)
		for range 2 {
			page = c.post("wan", "/desk/applications", form)
			page.is(t, http.StatusOK)
			page.has(t, "2 / 5", "已办理", "不能复核自己提交的申请", "状态已发生变化", "找不到", "已签发")
		}
		if got := len(c.events("application:" + last(a))); got != 3 {
			t.Errorf("%d events, want submit, approve and issue", got)
		}
		c.get("mu", own).has(t, "待复核")
		c.post("mu", "/desk/applications", ticked(key, "reject", "材料不全", own)).has(t, "1 / 1", "已退回")
		c.get("mu", own).has(t, "材料不全")

		list, _, err := c.licenses.List(t.Context(), licenses.Filter{Agency: "donghu-amr", Limit: 10})
		must(t, err)
		if len(list) != 2 {
			t.Fatalf("%d licences, want 2", len(list))
		}
		found := c.post("mu", "/desk/search", url.Values{"number": {firmCode}})
		found.has(t, "暂停所选")
		key = hiddenKey.FindStringSubmatch(found.body)[1]
		form = ticked(key, "suspend", "专项检查", list[0].ID, list[1].ID, strings.Repeat("0", 26))
		for range 2 {
			c.post("mu", "/desk/licenses", form).has(t, "2 / 3", "已暂停", "找不到")
		}
		if got := len(c.events("license:" + list[0].ID)); got != 3 {
			t.Errorf("%d events, want intent, outcome and one suspension", got)
		}
		c.post("wan", "/desk/licenses", form).has(t, "0 / 3", "状态已发生变化") // another clerk's
	})
}

func TestBulkRefuses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	a, l := c.apply("mu"), c.issue()
	key := c.key("wan", "/desk/applications")
	many := ticked(key, "approve", "", a)
	for range 101 {
		many.Add("id", db.NewID())
	}
	const apps, lics = "/desk/applications", "/desk/licenses"
	for _, tc := range []struct {
		name, who, path string
		form            url.Values
		status          int
	}{
		{"nothing ticked", "wan", apps, ticked(key, "approve", ""), http.StatusBadRequest},
		{"no button", "wan", apps, ticked(key, "x", "", a), http.StatusBadRequest},
		{"both buttons", "wan", apps, url.Values{"key": {key}, "id": {last(a)}, "approve": {"1"}, "reject": {"1"}, "reason": {"x"}}, http.StatusBadRequest},
		{"no key", "wan", apps, ticked("", "approve", "", a), http.StatusBadRequest},
		{"forged key", "wan", apps, ticked("x' --", "approve", "", a), http.StatusBadRequest},
		{"forged id", "wan", apps, ticked(key, "approve", "", "x'"), http.StatusBadRequest},
		{"too many", "wan", apps, many, http.StatusBadRequest},
		{"no reason", "wan", apps, ticked(key, "reject", " ", a), http.StatusBadRequest},
		{"citizen", "lin", apps, ticked(key, "approve", "", a), http.StatusForbidden},
		{"another button", "wan", lics, ticked(key, "revoke", "x", l), http.StatusBadRequest},
		{"suspended without reason", "wan", lics, ticked(key, "suspend", "", l), http.StatusBadRequest},
		{"hidden reason", "wan", lics, ticked(key, "suspend", "a\u202eb", l), http.StatusBadRequest},
		{"citizen at licences", "lin", lics, ticked(key, "suspend", "x", l), http.StatusForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) { c.post(tc.who, tc.path, tc.form).is(t, tc.status) })
	}
	c.post("chen", apps, ticked(key, "approve", "", a)).has(t, "0 / 1", "找不到")
	c.post("chen", lics, ticked(key, "suspend", "x", l)).has(t, "0 / 1", "找不到")
	c.get("mu", a).has(t, "待复核")
	c.get("mu", l).has(t, "有效")
}
