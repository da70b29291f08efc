package wallet_test

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/wallet"
)

func each(t *testing.T, f func(t *testing.T, c *city)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newCity(t, d)) })
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := wallet.New(wallet.Options{}); err == nil {
		t.Error("made of nothing")
	}
}

func TestOwnPermits(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		l := c.teacher(c.lin, nil)
		c.food(firmCode, nil)
		page, header := c.get(as(c.lin, ""), "zh", "/wallet", 200)
		wantText(t, page, []string{"正在查看本人证照：<strong>林若川</strong>", "教师资格证书", l.Number, "江城市教育局", `tag good">有效<`, "有效期至",
			"/wallet/" + l.ID + "/show", `name="firm" value="self" checked`, `value="` + firmCode + `"`, `action="/account/acting"`, `name="next" value="/wallet"`},
			[]string{"食品经营许可证", c.lin.Number})
		if got := header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("kept: %q", got)
		}
		page, _ = c.get(as(c.lin, ""), "en", "/wallet", 200)
		wantText(t, page, []string{"Your own permits:", "Teacher qualification", "Jiangcheng Education Bureau", `tag good">Valid<`}, nil)
		page, _ = c.get(as(c.zhou, ""), "zh", "/wallet", 200)
		wantText(t, page, []string{"您名下还没有证照", "证照窗口申请"}, []string{l.Number, "/account/acting"})
	})
}

func TestPermitPage(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		l := c.teacher(c.lin, nil)
		page, _ := c.get(as(c.lin, ""), "zh", "/wallet/"+l.ID, 200)
		wantText(t, page, []string{"资格种类", "小学教师资格", "任教学科", "语文&lt;b&gt;", "2026年6月30日", l.Number, l.Identifier, registry.Mask(c.lin.Number), "全屏出示", "qr.png"},
			[]string{c.lin.Number, "<b>"})
		page, _ = c.get(as(c.lin, ""), "en", "/wallet/"+l.ID, 200)
		wantText(t, page, []string{"Qualification", "Primary school teacher", "30 June 2026", "Show full-screen"}, []string{"小学教师资格"})

		f := c.food(firmCode, nil)
		page, _ = c.get(as(c.lin, firmCode), "en", "/wallet/"+f.ID, 200)
		wantText(t, page, []string{"Food business licence", "Catering service", "<dd>86</dd>", "<dd>yes</dd>", firmCode}, nil)
	})
}

var picture = regexp.MustCompile(`src="data:image/svg&#43;xml;base64,([^"]+)"|src="data:image/svg\+xml;base64,([^"]+)"`)

func TestCode(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		l := c.food(firmCode, nil)
		id := as(c.lin, firmCode)
		want, err := licenses.SVG(l.Permit)
		c.must(err)
		for _, path := range []string{"", "/show"} {
			page, _ := c.get(id, "zh", "/wallet/"+l.ID+path, 200)
			m := picture.FindStringSubmatch(page)
			if m == nil {
				t.Fatalf("no picture in %q", page)
			}
			got, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(m[1]+m[2], "&#43;", "+"))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: another picture, %v", path, err)
			}
		}
		page, _ := c.get(id, "zh", "/wallet/"+l.ID+"/show", 200)
		wantText(t, page, []string{"请向检查人员出示", l.Number, "有效期至"}, nil)
		svg, header := c.get(id, "zh", "/wallet/"+l.ID+"/qr.svg", 200)
		if svg != string(want) || header.Get("Content-Type") != "image/svg+xml" || header.Get("Content-Disposition") != `attachment; filename="`+l.Number+`.svg"` ||
			!strings.Contains(header.Get("Cache-Control"), "no-store") {
			t.Errorf("headers %v", header)
		}
		file, header := c.get(id, "zh", "/wallet/"+l.ID+"/qr.png", 200)
		if _, err := png.Decode(strings.NewReader(file)); err != nil || header.Get("Content-Type") != "image/png" {
			t.Errorf("%v, headers %v", err, header)
		}
	})
}

// states are what a licence can be worth, and how it comes to that.
var states = []struct {
	name   string
	change func(c *city, r *licenses.Request)
	then   func(c *city, l *licenses.License)
	tag    string
	says   []string // on its page
	counts bool
}{
	{"valid", nil, nil, `tag good">有效<`, nil, true},
	{"not yet valid", func(c *city, r *licenses.Request) {
		r.NotBefore, r.NotAfter = c.now.AddDate(0, 1, 0).Format(time.RFC3339), c.now.AddDate(1, 0, 0).Format(time.RFC3339)
	}, nil, `tag wait">尚未生效<`, []string{"有效期尚未开始"}, false},
	{"expired", func(c *city, r *licenses.Request) {
		r.NotBefore, r.NotAfter = c.now.Format(time.RFC3339), c.now.AddDate(0, 0, 1).Format(time.RFC3339)
	},
		func(c *city, _ *licenses.License) { c.now = c.now.AddDate(0, 0, 1) }, `tag bad">已过期<`, []string{"申请换证"}, false},
	{"suspended", nil, func(c *city, l *licenses.License) { c.act(l, licenses.Suspend) }, `tag wait">已暂停<`, []string{"不得使用", "原因：检查不合格"}, false},
	{"resumed", nil, func(c *city, l *licenses.License) {
		c.act(l, licenses.Suspend)
		c.act(l, licenses.Resume)
	}, `tag good">有效<`, nil, true},
	{"revoked", nil, func(c *city, l *licenses.License) { c.act(l, licenses.Revoke) }, `tag bad">已吊销<`, []string{"不再有效", "原因：检查不合格"}, false},
	{"revoked and expired", func(c *city, r *licenses.Request) {
		r.NotBefore, r.NotAfter = c.now.Format(time.RFC3339), c.now.AddDate(0, 0, 1).Format(time.RFC3339)
	},
		func(c *city, l *licenses.License) { c.act(l, licenses.Revoke); c.now = c.now.AddDate(0, 0, 2) }, `tag bad">已吊销<`, nil, false},
}

func (c *city) act(l *licenses.License, act licenses.Act) {
	c.t.Helper()
	_, err := c.licenses.Act(c.t.Context(), donghu, l.ID, act, "检查不合格", db.NewID())
	c.must(err)
}

// What a permit is worth stands beside it wherever it is shown, and what does not
// count is not offered to be shown, nor shown large without its status.
func TestStates(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		for _, s := range states {
			t.Run(s.name, func(t *testing.T) {
				begun := c.now
				defer func() { c.now = begun }()
				var change func(*licenses.Request)
				if s.change != nil {
					change = func(r *licenses.Request) { s.change(c, r) }
				}
				l := c.food(firmCode, change)
				if s.then != nil {
					s.then(c, l)
				}
				checkState(t, c, l.ID, s.tag, s.says, s.counts)
			})
		}
	})
}

func checkState(t *testing.T, c *city, licence, tag string, says []string, counts bool) {
	t.Helper()
	id, show := as(c.lin, firmCode), "/wallet/"+licence+"/show"
	var offered []string
	if !counts {
		offered = []string{show}
	}
	page, _ := c.get(id, "zh", "/wallet", 200)
	wantText(t, page, []string{tag}, offered)
	page, _ = c.get(id, "zh", "/wallet/"+licence, 200)
	wantText(t, page, append([]string{tag}, says...), offered)
	if behind := strings.Contains(page, "<details><summary>查看二维码"); behind == counts {
		t.Errorf("code behind its status: %v", behind)
	}
	page, _ = c.get(id, "zh", show, 200)
	wantText(t, page, []string{tag}, nil)
	if inviting := strings.Contains(page, "请向检查人员出示"); inviting != counts {
		t.Errorf("invites to show it: %v", inviting)
	}
}

// A delegate sees the firm's permits as long as the delegation is in force, by
// every address, whatever the session says.
func TestDelegate(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx, l := t.Context(), c.food(firmCode, nil)
		id := as(c.zhou, firmCode)
		addresses := []string{"/wallet/" + l.ID, "/wallet/" + l.ID + "/show", "/wallet/" + l.ID + "/qr.svg", "/wallet/" + l.ID + "/qr.png"}
		refused := func() {
			t.Helper()
			page, _ := c.get(id, "zh", "/wallet", 200)
			wantText(t, page, []string{"授权已失效", `value="self" checked`}, []string{l.Number, l.ID})
			for _, address := range addresses {
				c.get(id, "zh", address, 404)
			}
		}
		refused()
		_, err := c.reg.Delegate(ctx, "ceremony", registry.Delegation{Firm: firmCode, Person: c.zhou.ID, Until: c.now.AddDate(0, 0, 2)})
		c.must(err)
		page, _ := c.get(id, "zh", "/wallet", 200)
		wantText(t, page, []string{"正在查看企业证照：<strong>江城东湖老灶火锅餐饮有限公司</strong>", firmCode, l.Number}, []string{otherFirm})
		for _, address := range addresses {
			c.get(id, "zh", address, 200)
		}
		c.must(c.reg.Withdraw(ctx, "ceremony", firmCode, c.zhou.ID))
		refused()
		_, err = c.reg.Delegate(ctx, "ceremony", registry.Delegation{Firm: firmCode, Person: c.zhou.ID, Until: c.now.AddDate(0, 0, 2)})
		c.must(err)
		c.get(id, "zh", addresses[0], 200)
		c.now = c.now.AddDate(0, 0, 2) // it ends by itself
		refused()
	})
}

// Nobody finds another's permit, and a permit of one's own only as oneself.
func TestOthersPermits(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		own, firms, others := c.teacher(c.lin, nil), c.food(firmCode, nil), c.food(otherFirm, nil)
		for _, tt := range []struct {
			name string
			id   *web.Identity
			path string
		}{
			{"a stranger's", as(c.zhou, ""), own.ID},
			{"the firm's, as oneself", as(c.lin, ""), firms.ID},
			{"one's own, for the firm", as(c.lin, firmCode), own.ID},
			{"another firm's", as(c.lin, firmCode), others.ID},
			{"a firm's that one does not act for", as(c.zhou, firmCode), firms.ID},
			{"a person's id as a firm", &web.Identity{Person: c.zhou.ID, Firm: c.lin.ID, FirmName: "x"}, own.ID},
			{"nobody's", as(c.lin, ""), db.NewID()},
			{"not an id", as(c.lin, ""), "%27%20OR%201=1"},
			{"a number", as(c.lin, ""), own.Number},
			{"a control character", as(c.lin, ""), "%01"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				for _, end := range []string{"", "/show", "/qr.svg", "/qr.png"} {
					page, _ := c.get(tt.id, "zh", "/wallet/"+tt.path+end, 404)
					wantText(t, page, []string{"当前身份名下没有此证照"}, []string{"教师资格", "食品经营", "data:image"})
				}
			})
		}
		page, _ := c.get(as(c.lin, ""), "zh", "/wallet/%00", 404)
		wantText(t, page, []string{"找不到页面"}, []string{"教师资格", "食品经营"})
	})
}

// Without signing in there is nothing, and one comes back after it.
func TestSignedOut(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		l := c.food(firmCode, nil)
		for path, next := range map[string]string{
			"/wallet":                     "%2Fwallet",
			"/wallet/" + l.ID + "/show":   "%2Fwallet%2F" + l.ID + "%2Fshow",
			"/wallet/" + l.ID + "/qr.png": "%2Fwallet%2F" + l.ID + "%2Fqr.png",
			"/wallet/nothing":             "%2Fwallet%2Fnothing",
		} {
			_, header := c.get(nil, "zh", path, 303)
			if got := header.Get("Location"); got != "/login?next="+next {
				t.Errorf("%s leads to %s", path, got)
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			c.do(method, as(c.lin, firmCode), "zh", "/wallet/"+l.ID, 405)
		}
	})
}

// What counts comes before what does not, the newest first.
func TestOrder(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		var list []*licenses.License
		for range 4 {
			list = append(list, c.food(firmCode, nil))
		}
		c.act(list[3], licenses.Revoke)
		c.act(list[1], licenses.Suspend)
		page, _ := c.get(as(c.lin, firmCode), "zh", "/wallet", 200)
		last := 0
		for _, i := range []int{2, 0, 1, 3} {
			at := strings.Index(page, "<code>"+list[i].Number+"</code>")
			if at < last {
				t.Errorf("licence %d stands too early", i)
			}
			last = at
		}
	})
}

// TestReplaced: the version in force stands first, and the one before it says that
// it counts no longer.
func TestReplaced(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	old := c.food(firmCode, nil)
	l, err := c.licenses.Replace(t.Context(), donghu, old.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "遗失", Key: "k"})
	c.must(err)
	id := as(c.lin, firmCode)
	page, _ := c.get(id, "zh", "/wallet", 200)
	now, before := strings.Index(page, "/wallet/"+l.ID), strings.Index(page, "/wallet/"+old.ID)
	if now < 0 || before < now {
		t.Errorf("the new version at %d, the old one at %d", now, before)
	}
	page, _ = c.get(id, "en", "/wallet/"+old.ID, 200)
	wantText(t, page, []string{"Replaced", "A new version with the same number"}, []string{"revoked"})
	page, _ = c.get(id, "en", "/wallet/"+old.ID+"/show", 200)
	wantText(t, page, []string{`<h1 class="void">Replaced</h1>`}, []string{"Show this to the inspector"})
}
