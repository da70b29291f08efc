package desk_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// orders stands for the authority.
type orders struct{}

func (orders) OrderTx(ctx context.Context, tx db.Tx, id, actor, firm string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_orders (id, firm, actor, created_at, expires_at, changed_at) VALUES ($1, $2, $3, 1, 2, 1)`, id, firm, actor)
	return err
}

const lakeside = "江城湖畔小馆餐饮有限公司"

// registers lets an agency register firms.
func (c *city) registers(agency string) {
	c.t.Helper()
	a, err := c.reg.FindAgency(c.t.Context(), agency)
	must(c.t, err)
	_, err = c.reg.Authorize(c.t.Context(), "ceremony", registry.Authority{Agency: agency, Type: licenses.FirmType, Area: a.Area,
		From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(4, 0, 0).Truncate(time.Second)})
	must(c.t, err)
}

// newRegistrar is a city whose district registers firms.
func newRegistrar(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := newCity(t, d)
	c.registers("donghu-amr")
	return c
}

// start applies for a firm as somebody would in the wallet, and returns the address at
// the desk.
func (c *city) start(who, name string) string {
	c.t.Helper()
	return c.startAt("donghu-amr", who, name)
}

func (c *city) startAt(agency, who, name string) string {
	c.t.Helper()
	id, problems, err := c.licenses.ApplyFounding(c.t.Context(), c.ids[who], licenses.FoundingClaim{Agency: agency, Key: db.NewID(), Name: name,
		Data: map[string]any{"kind": "个体工商户", "address": "江城市东湖区湖滨路18号2幢101室", "industry": "住宿和餐饮业", "scope": "餐饮服务"}})
	if err != nil || id == "" {
		c.t.Fatalf("%v, %v", problems, err)
	}
	return "/desk/foundings/" + id
}

// founding is the application at an address as the register has it.
func (c *city) founding(at string) *licenses.Founding {
	c.t.Helper()
	f, err := c.licenses.FoundingAt(c.t.Context(), "donghu-amr", last(at))
	must(c.t, err)
	return f
}

var (
	approve = url.Values{"approve": {"1"}}
	reject  = url.Values{"reject": {"1"}, "reason": {" 名称与\r\n行业不符 "}}
)

// TestANewFirmAtTheDesk goes from the desk's first page to the licence.
func TestANewFirmAtTheDesk(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newRegistrar(t, d)
		at := c.start("lin", lakeside)
		home := c.get("mu", "/desk")
		home.is(t, 200)
		home.has(t, "待审核的企业设立申请 1")
		queue := c.get("mu", "/desk/foundings")
		queue.has(t, lakeside, "林若川", "待审核")
		if !strings.Contains(queue.body, `href="`+at+`"`) {
			t.Errorf("the queue does not lead to %s: %s", at, queue.body)
		}
		page := c.get("mu", at)
		page.has(t, lakeside, "林若川", "990***********0117", "个体工商户", "通过并登记")
		if strings.Contains(page.body, resident) {
			t.Error("the page tells the number")
		}
		for range 2 { // pressed twice
			c.post("mu", at, approve).to(t, at)
		}
		f := c.founding(at)
		if f.State != licenses.FoundingDone || f.Decider != "person:"+c.ids["mu"] || !strings.HasPrefix(f.Firm, "92990101") {
			t.Fatalf("%+v", f)
		}
		page = c.get("wan", at)
		page.has(t, "已设立", f.Firm, "白沐阳", "查看营业执照")
		if strings.Contains(page.body, `name="approve"`) {
			t.Error("it can be decided again")
		}
		license := c.get("wan", "/desk/licenses/"+f.License.ID)
		license.is(t, 200)
		license.has(t, lakeside, f.License.Number)
		c.get("mu", "/desk").has(t, "待审核的企业设立申请 0")
		c.get("mu", "/desk/foundings?state=founded").has(t, lakeside)
	})
}

// TestRejectingANewFirm takes a reason, which is one line of visible characters.
func TestRejectingANewFirm(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newRegistrar(t, d)
		at := c.start("lin", lakeside)
		for reason, says := range map[string]string{"": "请填写理由", " \n": "请填写理由", "a\u202eb": "理由含有不可见字符", strings.Repeat("字", 501): "不得超过 500 个字"} {
			page := c.post("mu", at, url.Values{"reject": {"1"}, "reason": {reason}})
			page.is(t, http.StatusBadRequest)
			page.has(t, says, "待审核")
		}
		for _, form := range []url.Values{{}, {"approve": {"1"}, "reject": {"1"}}, {"reason": {"x"}}} {
			c.post("mu", at, form).is(t, http.StatusBadRequest)
		}
		if f := c.founding(at); f.State != licenses.FoundingSubmitted {
			t.Fatalf("it is %s", f.State)
		}
		c.post("mu", at, reject).to(t, at)
		c.get("mu", at).has(t, "已退回", "退回理由：名称与 行业不符")
		for _, form := range []url.Values{approve, reject} { // another clerk is late, whatever they say
			page := c.post("wan", at, form)
			page.is(t, http.StatusConflict)
			page.has(t, "您的操作没有生效", "已退回")
		}
		c.post("mu", at, approve).is(t, http.StatusConflict)
		c.post("mu", at, reject).to(t, at) // the same once more
	})
}

// TestNewFirmsOfOthers: other agencies' clerks, agencies that register none, and who
// would be the firm's legal representative.
func TestNewFirmsOfOthers(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newRegistrar(t, d)
		c.registers("xishan-amr")
		at := c.start("lin", lakeside)
		for _, who := range []string{"chen", "an"} {
			c.get(who, at).is(t, http.StatusNotFound)
			c.post(who, at, approve).is(t, http.StatusNotFound)
			page := c.get(who, "/desk/foundings")
			page.is(t, 200)
			if strings.Contains(page.text, lakeside) {
				t.Errorf("%s sees another agency's", who)
			}
		}
		for _, path := range []string{at, "/desk/foundings"} {
			c.get("lin", path).is(t, http.StatusForbidden) // no clerk
			c.get("", path).to(t, "/login?")
		}
		if strings.Contains(c.get("an", "/desk").body, "/desk/foundings") || !strings.Contains(c.get("chen", "/desk").body, "/desk/foundings") {
			t.Error("the way to the queue is not where the authority is")
		}
		for _, path := range []string{"/desk/foundings/none", "/desk/foundings?state=issued", "/desk/foundings?after=x"} {
			c.get("mu", path).is(t, http.StatusNotFound)
		}

		c.registers("jiangcheng-edu")
		school := c.startAt("jiangcheng-edu", "lin", "江城书院有限公司")
		page := c.get("yun", school) // a clerk of two agencies, the other one being the first
		page.is(t, 200)
		page.has(t, "江城市教育局", "通过并登记")
		c.get("mu", school).is(t, http.StatusNotFound)
		c.get("mu", school+"?agency=jiangcheng-edu").is(t, http.StatusForbidden)
		c.post("yun", school, approve).to(t, school+"?agency=jiangcheng-edu")

		own := c.start("mu", "江城沐阳有限公司")
		page = c.get("mu", own)
		page.has(t, "您是该企业的拟任法定代表人")
		if strings.Contains(page.body, `name="approve"`) {
			t.Error("who will represent the firm is asked to decide")
		}
		for _, form := range []url.Values{approve, reject} {
			page := c.post("mu", own, form)
			page.is(t, http.StatusForbidden)
			page.has(t, "您是该企业的拟任法定代表人")
		}
		if f := c.founding(own); f.State != licenses.FoundingSubmitted {
			t.Errorf("it is %s", f.State)
		}
		c.post("wan", own, approve).to(t, own)
	})
}

// TestANewFirmThatIsWrongByNow: approving says what is wrong, and the application waits on.
func TestANewFirmThatIsWrongByNow(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newRegistrar(t, d)
		first, second := c.start("lin", lakeside), c.start("yun", lakeside)
		c.post("mu", first, approve).to(t, first)
		page := c.post("mu", second, approve)
		page.is(t, http.StatusConflict)
		page.has(t, "目前不能登记该企业", "企业名称已有同名企业，请改用其他名称", "待审核", "通过并登记")
		if f := c.founding(second); f.State != licenses.FoundingSubmitted || f.Firm != "" {
			t.Errorf("%+v", f)
		}
		c.now = time.Now().AddDate(5, 0, 0) // the authority has ended
		page = c.get("mu", second)
		page.has(t, "本部门没有办理此类证照的职权")
		for _, form := range []url.Values{approve, reject} {
			page := c.post("mu", second, form)
			page.is(t, http.StatusForbidden)
			page.has(t, "本部门没有办理此类证照的职权")
		}
		if strings.Contains(c.get("mu", "/desk").body, "/desk/foundings") {
			t.Error("the first page leads to what the agency may not do")
		}
	})
}

// TestTwoClerksOneFirm: of clerks who press at once one wins, and the others are told.
func TestTwoClerksOneFirm(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newRegistrar(t, d)
		at := c.start("lin", lakeside)
		clerks := []string{"mu", "wan", "jing"}
		answers := make([]answer, 9)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = c.post(clerks[i%3], at, []url.Values{approve, reject}[i%2]) })
		}
		wg.Wait()
		f := c.founding(at)
		for i, a := range answers {
			won := f.Decider == "person:"+c.ids[clerks[i%3]] && (f.State == licenses.FoundingDone) == (i%2 == 0)
			if won && a.status != http.StatusSeeOther || !won && a.status != http.StatusConflict {
				t.Errorf("%s, %d: status %d, and it is %s", clerks[i%3], i%2, a.status, f.State)
			}
		}
	})
}

// TestQueueOfNewFirms pages through more than one page shows, each once.
func TestQueueOfNewFirms(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newRegistrar(t, d)
		var want, seen []string
		for i := range 23 { // five of a person wait at most
			want = append(want, c.start([]string{"lin", "mu", "wan", "jing", "yun"}[i%5], fmt.Sprintf("第%d有限公司", i)))
		}
		slices.Reverse(want) // the newest first
		for next := "/desk/foundings"; next != ""; {
			page := c.get("mu", next)
			page.is(t, 200)
			for _, m := range hrefs.FindAllStringSubmatch(page.body, -1) {
				if strings.HasPrefix(m[1], "/desk/foundings/") {
					seen = append(seen, m[1])
				}
			}
			next = ""
			if m := nextPage.FindStringSubmatch(page.body); m != nil {
				next = strings.ReplaceAll(m[1], "&amp;", "&")
			}
		}
		if !slices.Equal(seen, want) {
			t.Errorf("got %d, want %d: %v", len(seen), len(want), seen)
		}
		c.get("mu", "/desk").has(t, "待审核的企业设立申请 23")
		for most, n := range map[int]int{1: 1, 22: 22, 23: 23, 100: 23} {
			if got, err := c.licenses.CountFoundings(t.Context(), "donghu-amr", licenses.FoundingSubmitted, most); err != nil || got != n {
				t.Errorf("up to %d: %d, %v", most, got, err)
			}
		}
		copies := func(n int) {
			must(t, d.Update(t.Context(), func(tx db.Tx) error {
				for range n {
					if _, err := tx.ExecContext(t.Context(), `INSERT INTO license_foundings (id, agency, person, submitter, client, request_key, request_hash, body, state, created_at, changed_at)
						SELECT CAST($1 AS TEXT), agency, person, submitter, client, CAST($2 AS TEXT), request_hash, body, state, created_at, changed_at FROM license_foundings WHERE id = $3`,
						db.NewID(), db.NewID(), last(want[0])); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		copies(77)
		c.get("mu", "/desk").has(t, "待审核的企业设立申请 100 ")
		copies(1)
		c.get("mu", "/desk").has(t, "待审核的企业设立申请 100+")
	})
}
