package desk_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// TestEveryProblemAtItsField sends forms that are wrong and reads what stands at
// which field.
func TestEveryProblemAtItsField(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	for _, tc := range []struct {
		name  string
		pairs []string
		field string // "" for the form as a whole
		says  string
	}{
		{"required text", []string{"trade_name", ""}, "trade_name", "经营者名称为必填项"},
		{"spaces alone", []string{"trade_name", "  \u3000 "}, "trade_name", "经营者名称为必填项"},
		{"too short", []string{"premises", "湖滨路"}, "premises", "经营场所不得少于 4 个字"},
		{"too long", []string{"premises", strings.Repeat("湖", 201)}, "premises", "经营场所不得超过 200 个字"},
		{"far too long", []string{"premises", strings.Repeat("湖", 5000)}, "premises", "经营场所内容过长"},
		{"control character", []string{"trade_name", "老灶\x07火锅"}, "trade_name", "经营者名称含有不可见字符"},
		{"line end", []string{"trade_name", "老灶\n火锅"}, "trade_name", "经营者名称含有不可见字符"},
		{"turns the text around", []string{"trade_name", "老灶\u202e火锅"}, "trade_name", "经营者名称含有不可见字符"},
		{"no UTF-8", []string{"trade_name", "\xff\xfe"}, "trade_name", "经营者名称含有不可见字符"},
		{"forged choice", []string{"category", "小摊"}, "category", "主体业态须从所列选项中选择"},
		{"no choice", []string{"scope", ""}, "scope", "经营项目为必填项"},
		{"no number", []string{"seats", "许多"}, "seats", "就餐座位须为整数"},
		{"fraction", []string{"seats", "1.5"}, "seats", "就餐座位须为整数"},
		{"below", []string{"seats", "-1"}, "seats", "就餐座位不得小于 0"},
		{"above", []string{"seats", "100001"}, "seats", "就餐座位不得大于 100000"},
		{"huge", []string{"seats", strings.Repeat("9", 400)}, "seats", "就餐座位数字过大"},
		{"hexadecimal", []string{"seats", "0x10"}, "seats", "就餐座位须为整数"},
		{"not a number at all", []string{"seats", "NaN"}, "seats", "就餐座位须为整数"},
		{"no holder", []string{"holder", ""}, "holder", "统一社会信用代码为必填项"},
		{"short holder", []string{"holder", "91990101"}, "holder", "须为 18 位的统一社会信用代码"},
		{"mistyped holder", []string{"holder", "91990101MA1F001176"}, "holder", "不是有效的统一社会信用代码"},
		{"a person as the holder", []string{"holder", resident}, "holder", "不是有效的统一社会信用代码"},
		{"unregistered holder", []string{"holder", "91990102MA1F001414"}, "holder", "查无此企业"},
		{"no date", []string{"not_before", "soon"}, "not_before", "生效日期须为有效日期"},
		{"impossible date", []string{"not_after", "2027-02-30"}, "not_after", "有效期至须为有效日期"},
		{"dates reversed", []string{"not_before", "2028-01-02", "not_after", "2028-01-01"}, "not_after", "须晚于生效日期"},
		{"past", []string{"not_before", "2020-01-01", "not_after", "2021-01-01"}, "not_after", "已经过去"},
		{"far away", []string{"not_after", "2999-01-01"}, "not_after", "不得超过 10 年"},
		{"no key", []string{"key", ""}, "", "表单已失效"},
		{"forged key", []string{"key", "'; DROP TABLE licenses"}, "", "表单已失效"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := c.post("mu", foodForm, food(c.key("mu", foodForm), tc.pairs...))
			a.is(t, http.StatusBadRequest)
			a.has(t, tc.says, "请更正以下问题", "错误：")
			if tc.field != "" && !strings.Contains(a.body, `id="`+tc.field+`-problem"`) {
				t.Errorf("nothing stands at %s", tc.field)
			}
			if !strings.Contains(a.body, `value="老灶火锅"`) && tc.field != "trade_name" {
				t.Error("what was right is lost")
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		a := c.post("mu", foodForm, url.Values{"key": {c.key("mu", foodForm)}, "seats": {"x"}, "holder": {"x"}, "not_after": {"x"}, "trade_name": {"a", "b"}})
		a.is(t, http.StatusBadRequest)
		a.has(t, "经营者名称填写了多次", "经营场所为必填项", "法定代表人为必填项", "主体业态为必填项", "经营项目为必填项", "就餐座位须为整数", "须为 18 位", "有效期至须为有效日期")
	})
	if list := c.get("wan", "/desk/applications"); strings.Contains(list.text, firmName) {
		t.Error("a form that was wrong became an application")
	}
}

// TestKindness sends what people type and paste.
func TestKindness(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	path := c.apply("mu", "holder", " 91990101 ma1f ００１１７５\t", "seats", "８ ６", "trade_name", "  老灶火锅 ", "not_before", "2027年1月5日", "not_after", "2029/12/31")
	c.get("wan", path).has(t, firmName, "就餐座位 86", "经营者名称 老灶火锅 ", "2027-01-05", "2029-12-31")
	c.get("wan", c.post("wan", path, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")).has(t, "2027年1月5日", "2029年12月31日")
}

func TestLargeAndForeignForms(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.post("mu", foodForm, food(c.key("mu", foodForm), "premises", strings.Repeat("x", 70<<10))).is(t, http.StatusRequestEntityTooLarge)
	c.post("mu", "/desk/search", url.Values{"number": {strings.Repeat("x", 70<<10)}}).is(t, http.StatusRequestEntityTooLarge)
	c.post("mu", "/desk/teacher/new", food(c.key("mu", foodForm))).is(t, http.StatusForbidden)
	c.post("mu", "/desk/nothing/new", food(c.key("mu", foodForm))).is(t, http.StatusNotFound)
	c.post("mu", foodForm, food(c.key("mu", foodForm), "agency", "xishan-amr")).is(t, http.StatusForbidden)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+foodForm, strings.NewReader(food(c.key("mu", foodForm)).Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	c.send("mu", r).is(t, http.StatusForbidden)
	path := c.apply("mu")
	for name, form := range map[string]url.Values{"neither": {}, "both": {"approve": {"1"}, "reject": {"1"}, "reason": {"x"}}} {
		if a := c.post("wan", path, form); a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, a.status)
		}
	}
	license := c.issue()
	for name, form := range map[string]url.Values{"no act": {"reason": {"x"}}, "two acts": {"suspend": {"1"}, "revoke": {"1"}, "reason": {"x"}}} {
		form.Set("key", c.key("mu", license))
		if a := c.post("mu", license, form); a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, a.status)
		}
	}
}

func TestReplayedForm(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		form := food(c.key("mu", foodForm))
		first := c.post("mu", foodForm, form).to(t, "/desk/applications/")
		if again := c.post("mu", foodForm, form).to(t, "/desk/applications/"); again != first {
			t.Errorf("the same form led to %s, then to %s", first, again)
		}
		// It does so even when the register would refuse the request by now.
		c.now = time.Now().AddDate(1, 0, 0)
		if again := c.post("mu", foodForm, form).to(t, "/desk/applications/"); again != first {
			t.Errorf("a year later the form led to %s", again)
		}
		c.now = time.Time{}
		form.Set("seats", "87")
		a := c.post("mu", foodForm, form)
		a.is(t, http.StatusConflict)
		a.has(t, "此表单已提交过", "查看已提交的申请")
		// A key is a person's own.
		if other := c.post("wan", foodForm, form).to(t, "/desk/applications/"); other == first {
			t.Error("two clerks share a key")
		}
		var wg sync.WaitGroup
		race := food(c.key("mu", foodForm))
		got := make([]string, 8)
		for i := range got {
			wg.Go(func() { got[i] = c.post("mu", foodForm, race).location })
		}
		wg.Wait()
		for _, g := range got {
			if g == "" || g != got[0] {
				t.Errorf("one form at once led to %q", got)
				break
			}
		}
		if n := strings.Count(c.get("mu", "/desk/applications").body, `<th scope="row"`); n != 3 {
			t.Errorf("%d applications, want 3", n)
		}
	})
}

func TestNobodyReviewsTheirOwn(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.apply("mu")
		if a := c.get("mu", path); strings.Contains(a.body, `name="approve"`) {
			t.Error("the submitter is offered to approve")
		}
		for _, form := range []url.Values{{"approve": {"1"}}, {"reject": {"1"}, "reason": {"x"}}} {
			a := c.post("mu", path, form)
			a.is(t, http.StatusForbidden)
			a.has(t, "不能复核自己提交的申请", "待复核")
		}
		c.get("wan", path).has(t, "待复核")
	})
}

func TestRejection(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.apply("mu")
		for name, reason := range map[string]string{"none": "", "spaces": " \r\n ", "long": strings.Repeat("长", 501), "hidden": "a\x00b", "turned": "a\u202eb"} {
			a := c.post("wan", path, url.Values{"reject": {"1"}, "reason": {reason}})
			if a.status != http.StatusBadRequest || !strings.Contains(a.body, `id="reason-problem"`) {
				t.Errorf("%s: status %d\n%s", name, a.status, a.text)
			}
		}
		reject := url.Values{"reject": {"1"}, "reason": {"经营场所与现场不符\r\n请更正"}}
		c.get("wan", c.post("wan", path, reject).to(t, path)).has(t, "已退回", "经营场所与现场不符 请更正", "宋晚晴")
		c.get("mu", path).has(t, "已退回", "经营场所与现场不符 请更正", "重新申请")
		// The same again is answered like the first; anything else comes too late.
		c.post("wan", path, reject).to(t, path)
		for _, who := range []string{"wan", "jing"} {
			a := c.post(who, path, url.Values{"approve": {"1"}})
			a.is(t, http.StatusConflict)
			a.has(t, "您的操作没有生效", "已退回")
		}
		if diff := cmp.Diff([]string{"license.application.submit mu", "license.application.reject wan"}, c.events("application:"+last(path))); diff != "" {
			t.Error(diff)
		}
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			var n int
			must(t, tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM licenses").Scan(&n))
			if n != 0 {
				t.Errorf("%d licences after a rejection", n)
			}
			return nil
		}))
	})
}

func TestTwoClerksAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		path := c.apply("mu")
		forms := map[string]url.Values{"wan": {"approve": {"1"}}, "jing": {"reject": {"1"}, "reason": {"场所不符"}}, "yun": {"approve": {"1"}}}
		answers := map[string]answer{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for who, form := range forms {
			wg.Go(func() {
				a := c.post(who, path, form)
				mu.Lock()
				defer mu.Unlock()
				answers[who] = a
			})
		}
		wg.Wait()
		won := 0
		for who, a := range answers {
			if a.status == http.StatusSeeOther {
				won++
				continue
			}
			a.is(t, http.StatusConflict)
			a.has(t, "该申请已经处理")
			_ = who
		}
		if won != 1 {
			t.Errorf("%d clerks won", won)
		}
		if events := c.events("application:" + last(path)); len(events) > 3 || len(events) < 2 {
			t.Errorf("events %v", events)
		}
		// Who approved may press the button once more.
		other := c.apply("mu")
		first := c.post("wan", other, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/")
		if again := c.post("wan", other, url.Values{"approve": {"1"}}).to(t, "/desk/licenses/"); again != first {
			t.Errorf("approved again, it led to %s", again)
		}
		c.post("jing", other, url.Values{"approve": {"1"}}).is(t, http.StatusConflict)
	})
}

func TestActs(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		license := c.issue()
		form := url.Values{"key": {c.key("mu", license)}, "reason": {""}, "suspend": {"1"}}
		a := c.post("mu", license, form)
		a.is(t, http.StatusBadRequest)
		a.has(t, "请填写理由")
		c.get("mu", license).has(t, "有效")
		form.Set("reason", "复查")
		first := c.post("mu", license, form).to(t, license)
		if again := c.post("mu", license, form).to(t, license); again != first {
			t.Errorf("again: %s", again)
		}
		want := []string{"license.issue.intent wan", "license.issue.outcome system", "license.act.suspend mu"}
		if diff := cmp.Diff(want, c.events("license:"+last(license))); diff != "" {
			t.Error("events after one act sent twice:", diff)
		}
		// Another act with a used key, and one that no longer fits.
		form.Set("reason", "又一次")
		a = c.post("mu", license, form)
		a.is(t, http.StatusConflict)
		a.has(t, "您的操作没有生效", "已暂停")
		c.post("wan", license, url.Values{"key": {c.key("wan", license)}, "reason": {"复查"}, "suspend": {"1"}}).is(t, http.StatusConflict)
		a = c.post("wan", license, url.Values{"key": {"x"}, "reason": {"复查"}, "resume": {"1"}})
		a.is(t, http.StatusBadRequest)
		a.has(t, "表单已失效")
		key := c.key("wan", license) // of a page that is left open
		c.post("mu", license, url.Values{"key": {c.key("mu", license)}, "reason": {"注销"}, "revoke": {"1"}}).to(t, license)
		a = c.post("wan", license, url.Values{"key": {key}, "reason": {"整改完成"}, "resume": {"1"}})
		a.is(t, http.StatusConflict)
		a.has(t, "已吊销", "您的操作没有生效")
	})
}

// crash approves an application as a process does that dies before it issues.
func (c *city) crash(path, clerk string) {
	c.t.Helper()
	must(c.t, c.db.Update(c.t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(c.t.Context(), "UPDATE license_applications SET state = 'approved', decider = $1, decided_at = $2 WHERE id = $3",
			c.ids[clerk], db.Micros(time.Now()), last(path))
		return err
	}))
}

func TestSweeperCompletesWhatACrashLeft(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		before, between := c.apply("mu"), c.apply("mu")
		c.crash(before, "wan")
		c.crash(between, "wan")
		c.get("wan", before).has(t, "签发中", "正在签发")
		// The second died after the register had issued, and before it said so.
		results, err := c.licenses.Issue(t.Context(), web.Caller{ClientID: "desk", Person: c.ids["wan"], Agency: "donghu-amr"},
			[]licenses.Keyed{{Key: "desk-" + last(between), Request: request()}})
		must(t, err)
		must(t, results[0].Err)
		if n, err := c.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("swept %d within the grace, %v", n, err)
		}
		// By then the authority has ended: what was issued stays so, the rest fails.
		c.now = time.Now().AddDate(4, 0, 1)
		if n, err := c.Sweep(t.Context()); n != 2 || err != nil {
			t.Errorf("swept %d, want 2, %v", n, err)
		}
		c.get("mu", between).has(t, "已签发")
		c.get("mu", before).has(t, "未能签发", "本部门已没有办理此类证照的职权", "重新申请")
		if diff := cmp.Diff([]string{"license.application.submit mu", "license.application.fail system"}, c.events("application:"+last(before))); diff != "" {
			t.Error(diff)
		}
		if n, err := c.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("swept %d again, %v", n, err)
		}
	})
}

func request() licenses.Request {
	return licenses.Request{Type: "food-business", Holder: licenses.Holder{USCC: firmCode}, Data: map[string]any{"trade_name": "老灶火锅",
		"premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川", "category": "餐饮服务经营者", "scope": "热食类食品制售",
		"seats": float64(86), "online": "是"}}
}

func TestApprovalWithoutAKeyWaits(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	path := c.post("chen", foodForm, food(c.key("chen", foodForm))).to(t, "/desk/applications/")
	path, _, _ = strings.Cut(path, "?")
	must(t, c.db.Update(t.Context(), func(tx db.Tx) error { // the office's second clerk
		_, err := tx.ExecContext(t.Context(), "UPDATE license_applications SET submitter = $1 WHERE id = $2", c.ids["an"], last(path))
		return err
	}))
	c.get("chen", c.post("chen", path, url.Values{"approve": {"1"}}).to(t, path)).has(t, "签发中", "签发会自动完成")
	c.now = time.Now().Add(time.Minute)
	if n, err := c.Sweep(t.Context()); n != 0 || err == nil {
		t.Errorf("swept %d without a key, %v", n, err)
	}
	c.newKey("xishan-amr")
	if n, err := c.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d with a key, %v", n, err)
	}
	c.get("chen", path).has(t, "已签发", "查看证照")
}

func TestHolderOfAnotherNameStillShows(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	_, err := c.reg.AddFirm(t.Context(), "ceremony", registry.Firm{USCC: "91990102MA1F001414", Name: "<script>alert(1)</script>", LegalRep: c.ids["lin"]})
	must(t, err)
	a := c.get("wan", c.apply("mu", "holder", "91990102MA1F001414", "trade_name", `"><img src=x>`))
	a.is(t, http.StatusOK)
	if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "<img src=x") {
		t.Error("the page runs what people call their firm")
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
}

func TestNothingPersonalInTheOpen(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	form := url.Values{"key": {c.key("an", "/desk/teacher/new")}, "holder": {resident}, "kind": {"小学教师资格"}, "subject": {"秘密学科"},
		"granted": {"2026-06-30"}, "submit": {"1"}}
	path, _, _ := strings.Cut(c.post("an", "/desk/teacher/new", form).to(t, "/desk/applications/"), "?")
	c.post("yun", path, url.Values{"reject": {"1"}, "reason": {"秘密理由"}}).to(t, path)
	must(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		for _, query := range []string{"SELECT CAST(body AS TEXT) || COALESCE(CAST(note AS TEXT), '') || CAST(request_hash AS TEXT) FROM license_applications",
			"SELECT CAST(content AS TEXT) FROM audit_events"} {
			rows, err := tx.QueryContext(t.Context(), query)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var s string
				must(t, rows.Scan(&s))
				for _, secret := range []string{resident, "秘密学科", "秘密理由"} {
					if strings.Contains(s, secret) {
						t.Errorf("%q stands open in %s", secret, query)
					}
				}
			}
		}
		return nil
	}))
}

func TestRunEnds(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	path := c.apply("mu")
	c.crash(path, "wan")
	c.now = time.Now().Add(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(c.get("mu", path).text, "已签发"); {
		if time.Now().After(deadline) {
			t.Fatal("not swept in 20 s")
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
