package wallet_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
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

const (
	verified = "verified"
	passkey  = "passkey"
	foundAt  = "/wallet/found"
)

// orders stands for the authority.
type orders struct{}

func (orders) OrderTx(ctx context.Context, tx db.Tx, id, actor, firm string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_orders (id, firm, actor, created_at, expires_at, changed_at) VALUES ($1, $2, $3, 1, 2, 1)`, id, firm, actor)
	return err
}

// registrars are those who register firms, for a counter that knows no agencies.
type registrars struct {
	*counter
	list []registry.Agency
}

func (r *registrars) Offices(context.Context, string) ([]registry.Agency, error) { return r.list, nil }

// founders is a city that founds firms at two agencies.
type founders struct {
	*city
	firms   *licenses.Service
	offices *registrars
}

func newFounders(t *testing.T, d *db.DB) *founders {
	t.Helper()
	c := newCity(t, d)
	f := &founders{city: c, offices: &registrars{counter: c.desk}}
	for _, id := range []string{"donghu-amr", "jiangcheng-edu"} {
		a, err := c.reg.FindAgency(t.Context(), id)
		c.must(err)
		_, err = c.reg.Authorize(t.Context(), "ceremony", registry.Authority{Agency: id, Type: licenses.FirmType, Area: a.Area, From: c.now.Add(-time.Hour), Until: c.now.AddDate(20, 0, 0)})
		c.must(err)
		f.offices.list = append(f.offices.list, a)
	}
	types, err := licenses.ShippedTypes()
	c.must(err)
	clock := func() time.Time { return c.now }
	f.firms, err = licenses.New(t.Context(), licenses.Options{DB: d, Ring: c.ring, Registry: c.reg, Types: types, Tokens: tokens{}, Orders: orders{}, Now: clock})
	c.must(err)
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城政务", EN: "Jiangcheng"}, Identify: identify, Logger: testkit.Logger(t)})
	c.must(err)
	s, err := wallet.New(wallet.Options{Licenses: f.firms, Registry: c.reg, Applications: f.offices, Foundings: f.firms, ACR: []string{verified, passkey}, Site: site, Now: clock})
	c.must(err)
	c.mux = http.NewServeMux()
	s.Mount(c.mux)
	site.Mount(c.mux)
	return f
}

// proved is somebody whose sign-in has a level.
func proved(p registry.Person, firm, acr string) *web.Identity {
	id := as(p, firm)
	id.ACR = acr
	return id
}

// firmForm is a form that is right; pairs of names and values change it.
func firmForm(pairs ...string) url.Values {
	v := url.Values{"key": {db.NewID()}, "agency": {"donghu-amr"}, "name": {" 江城湖畔小馆餐饮有限公司 "}, "kind": {"有限责任公司（自然人独资）"}, "capital_10k": {"５０"},
		"currency": {"人民币"}, "address": {"江城市东湖区湖滨路18号2幢101室"}, "industry": {"住宿和餐饮业"}, "scope": {"餐饮服务<b>"}, "term_until": {""}, "copies": {""}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// start sends a form and returns the address of the application.
func (f *founders) start(id *web.Identity, form url.Values) string {
	f.t.Helper()
	_, header := f.send(id, foundAt, form, http.StatusSeeOther)
	at := header.Get("Location")
	if !strings.HasPrefix(at, foundAt+"/sent/") {
		f.t.Fatalf("led to %s", at)
	}
	return at
}

func (f *founders) decide(at string, d licenses.FoundingDecision) *licenses.Founding {
	f.t.Helper()
	made, err := f.firms.DecideFounding(f.t.Context(), web.Caller{ClientID: "desk", Person: f.zhou.ID, Agency: "donghu-amr"}, at[strings.LastIndexByte(at, '/')+1:], d)
	f.must(err)
	return made
}

// TestStartingAFirm goes from the form to the licence of the firm that was founded.
func TestStartingAFirm(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		lin := proved(f.lin, "", verified)
		page, _ := f.get(lin, "zh", "/wallet/apply", 200)
		wantText(t, page, []string{`href="/wallet/found"`}, nil)
		page, _ = f.get(as(f.lin, firmCode), "zh", "/wallet/apply", 200)
		wantText(t, page, nil, []string{"/wallet/found"})

		page, _ = f.get(lin, "zh", foundAt, 200)
		wantText(t, page, []string{"法定代表人：<strong>林若川</strong>", `name="name"`, `name="scope"`, "江城市东湖区市场监督管理局", "江城市教育局", `name="key"`}, []string{`name="established"`, `name="legal_representative"`, `name="holder"`, "已提交"})
		form := firmForm("established", "2001-01-01", "legal_representative", "周予安", "holder", otherFirm)
		at := f.start(lin, form)
		if again := f.start(lin, form); again != at { // the same form
			t.Errorf("sent twice: %s and %s", at, again)
		}
		f.send(lin, foundAt, firmForm("key", form.Get("key"), "scope", "另一范围"), http.StatusConflict)
		page, _ = f.get(proved(f.lin, firmCode, passkey), "en", foundAt, 200)
		wantText(t, page, []string{"Your applications", `href="` + at + `"`, "With the agency"}, nil)
		page, _ = f.get(as(f.lin, ""), "en", at, 200)
		wantText(t, page, []string{"With the agency", "Donghu Market Regulation", "餐饮服务&lt;b&gt;", `name="withdraw"`}, []string{"What to do next", "周予安", `name="act"`})

		made := f.decide(at, licenses.FoundingDecision{Approve: true})
		if made.Data["established"] != nil || made.License.Data["legal_representative"] != "林若川" {
			t.Errorf("%v, %v", made.Data, made.License.Data)
		}
		page, _ = f.get(lin, "en", at, 200)
		wantText(t, page, []string{"Founded", made.Firm, `action="/account/acting"`, `name="firm" value="` + made.Firm + `"`, `href="/firm"`}, []string{`name="withdraw"`, "/wallet/" + made.License.ID})
		page, _ = f.get(proved(f.lin, made.Firm, verified), "zh", at, 200)
		wantText(t, page, []string{"已设立", `href="/wallet/` + made.License.ID + `"`}, []string{`action="/account/acting"`})
		page, _ = f.get(as(f.lin, made.Firm), "zh", "/wallet/"+made.License.ID, 200)
		wantText(t, page, []string{"营业执照", "江城湖畔小馆餐饮有限公司"}, nil)
		f.send(lin, at, url.Values{"withdraw": {"1"}}, http.StatusConflict)
	})
}

// TestFoundingsOfOthers: nobody sees or withdraws another's, in any way.
func TestFoundingsOfOthers(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		lin, zhou := proved(f.lin, "", verified), proved(f.zhou, "", passkey)
		at := f.start(lin, firmForm())
		for _, path := range []string{at, foundAt + "/sent/none", foundAt + "/sent/%00"} {
			f.get(zhou, "zh", path, http.StatusNotFound)
			f.send(zhou, path, url.Values{"withdraw": {"1"}}, http.StatusNotFound)
		}
		page, _ := f.get(zhou, "zh", foundAt, 200)
		wantText(t, page, nil, []string{"已提交", at})
		if _, header := f.get(nil, "zh", at, http.StatusSeeOther); !strings.HasPrefix(header.Get("Location"), "/login?") {
			t.Errorf("a stranger is led to %s", header.Get("Location"))
		}
		f.send(lin, at, url.Values{}, http.StatusBadRequest)
		for range 2 { // again changes nothing
			f.send(lin, at, url.Values{"withdraw": {"1"}}, http.StatusSeeOther)
		}
		page, _ = f.get(lin, "zh", at, 200)
		wantText(t, page, []string{"已撤回"}, []string{`name="withdraw"`})
		again := f.start(lin, firmForm())
		f.decide(again, licenses.FoundingDecision{Reason: "名称<i>不符合规定"})
		page, _ = f.get(lin, "zh", again, 200)
		wantText(t, page, []string{"已退回", "名称&lt;i&gt;不符合规定"}, []string{`name="withdraw"`, "接下来"})
	})
}

var problemLinks = regexp.MustCompile(`<li><a href="#([^"]+)">([^<]+)`)

// TestWhatIsWrongWithANewFirm: every error at once, and what was typed is still there.
func TestWhatIsWrongWithANewFirm(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		lin := proved(f.lin, "", verified)
		page, _ := f.send(lin, foundAt, url.Values{"key": {db.NewID()}}, http.StatusBadRequest)
		if n := len(problemLinks.FindAllString(page, -1)); n != 6 { // agency, name, kind, address, industry, scope
			t.Errorf("an empty form has %d problems: %s", n, page)
		}
		wantText(t, page, nil, []string{"填写的内容"})
		page, _ = f.send(lin, foundAt, firmForm("name", "江城东湖老灶火锅餐饮有限公司", "capital_10k", "-1", "scope", "餐\u202e饮", "agency", "xishan-amr", "kind", "<合伙>"), http.StatusBadRequest)
		wantText(t, page, []string{"已有同名企业", "注册资本（万元）不得小于 0", "经营范围含有不可见字符", "请选择登记机关", "江城市东湖区湖滨路18号2幢101室", "须从所列选项中选择"}, []string{"<合伙>"})
		for _, form := range []url.Values{firmForm("key", "mine"), firmForm("key", "")} {
			f.send(lin, foundAt, form, http.StatusBadRequest)
		}
		f.send(lin, foundAt, firmForm("scope", strings.Repeat("餐", 30_000)), http.StatusRequestEntityTooLarge)
		page, _ = f.get(lin, "zh", foundAt, 200)
		wantText(t, page, nil, []string{"已提交"}) // nothing came of all this
		for i := range 5 {
			f.start(lin, firmForm("name", "湖畔"+string(rune('甲'+i))+"有限公司"))
		}
		page, _ = f.send(lin, foundAt, firmForm(), http.StatusConflict)
		wantText(t, page, []string{"您有 5 件开办企业申请尚未办结"}, nil)
		f.offices.list = nil
		page, _ = f.get(lin, "en", foundAt, 200)
		wantText(t, page, []string{"No agency registers firms here now."}, []string{`name="scope"`})
		f.send(proved(f.zhou, "", verified), foundAt, firmForm(), http.StatusForbidden)
	})
}

// TestStartingAFirmTakesASureSignIn: others are told so, with the way to a surer one, and
// nothing that they send counts.
func TestStartingAFirmTakesASureSignIn(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		for _, acr := range []string{"", "declared", "VERIFIED", "verified passkey"} {
			id := proved(f.lin, "", acr)
			page, _ := f.get(id, "en", foundAt, http.StatusForbidden)
			wantText(t, page, []string{"Sign in again", `href="/login?acr=verified&amp;next=%2Fwallet%2Ffound"`}, []string{`name="scope"`})
			page, _ = f.send(id, foundAt, firmForm(), http.StatusForbidden)
			wantText(t, page, []string{"重新登录"}, []string{`name="scope"`})
		}
		if list, err := f.firms.FoundingsOf(t.Context(), f.lin.ID); err != nil || len(list) != 0 {
			t.Errorf("%d came of that, %v", len(list), err)
		}
	})
}

// TestWalletWithoutFoundings has no such pages, and one that lacks what they need is not made.
func TestWalletWithoutFoundings(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.get(proved(c.lin, "", verified), "zh", foundAt, http.StatusNotFound)
	page, _ := c.get(as(c.lin, ""), "zh", "/wallet/apply", 200)
	wantText(t, page, nil, []string{"/wallet/found"})
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城", EN: "Jiangcheng"}, Identify: identify})
	c.must(err)
	for _, o := range []wallet.Options{{ACR: []string{verified}}, {Applications: c.desk}} {
		o.Licenses, o.Registry, o.Site, o.Foundings = c.licenses, c.reg, site, c.licenses
		if _, err := wallet.New(o); err == nil {
			t.Errorf("made of %+v", o)
		}
	}
}

// TestTooManyNewFirms: the sixth that would wait is not sent in; the page says which wait, keeps
// what was filled in, and takes the same form once one of them is withdrawn.
func TestTooManyNewFirms(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		f := newFounders(t, d)
		lin := proved(f.lin, "", verified)
		var sent []string
		for i := range 5 {
			sent = append(sent, f.start(lin, firmForm("name", fmt.Sprintf("江城第%d小馆餐饮有限公司", i+1))))
		}
		sixth := firmForm("name", "江城第六小馆餐饮有限公司")
		for range 2 {
			page, _ := f.send(lin, foundAt, sixth, http.StatusConflict)
			for _, want := range []string{"申请没有提交", "江城第1小馆餐饮有限公司", "江城第5小馆餐饮有限公司", "撤回", `value="江城第六小馆餐饮有限公司"`, sixth.Get("key"), `href="` + sent[4] + `"`} {
				if !strings.Contains(page, want) {
					t.Errorf("the page does not say %s", want)
				}
			}
		}
		if list, err := f.firms.FoundingsOf(t.Context(), f.lin.ID); err != nil || len(list) != 5 {
			t.Errorf("%d foundings, %v", len(list), err)
		}
		f.send(lin, sent[0], url.Values{"withdraw": {"1"}}, http.StatusSeeOther)
		f.start(lin, sixth)
	})
}
