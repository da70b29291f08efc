package oidc

import (
	"fmt"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Fixture is a page in one of its states.
type Fixture struct {
	Name     string
	Identity *web.Identity
	Page     web.Page
}

// Fixtures returns the pages of this package as their visitors see them.
func Fixtures(site *web.Site) (*web.Pages, []Fixture, error) {
	pages, err := site.Pages(files)
	id := &web.Identity{Person: "p", Session: "s", Name: "王晓岚"}
	acting := &web.Identity{Person: "p", Session: "s", Name: "王晓岚", Firm: "91990101MA1F001175", FirmName: "江城老灶餐饮有限公司", Chosen: true}
	base := consentPage{Agency: web.Text{ZH: "东湖区市场监督管理局", EN: "Donghu District Administration for Market Regulation"}, Client: "食品经营许可网上办理",
		Host: "127.0.0.1:9001", Person: "王晓岚", Key: "key"}
	firms := func(n int) (list []registry.Firm) {
		for i := range n {
			list = append(list, registry.Firm{USCC: fmt.Sprintf("91990101MA1F0%05d", i), Name: fmt.Sprintf("江城第%d餐饮管理有限责任公司", i+1)})
		}
		return list
	}
	page := func(change func(*consentPage)) web.Page {
		data := base
		for _, s := range peopleScopes {
			data.Learns = append(data.Learns, learns[s])
		}
		change(&data)
		return consentOf(data, "http://127.0.0.1:9001/callback")
	}
	ask := func(n int, problem *choiceError) func(*consentPage) {
		return func(d *consentPage) { d.Firm, d.Form.Fields = true, []web.Field{firmField(id, firms(n), problem)} }
	}
	return pages, []Fixture{
		{"consent", id, page(func(d *consentPage) { d.Learns = d.Learns[:2] })},
		{"consent-own", id, page(func(d *consentPage) { d.Agency, d.Client = city, "City library 图书借阅" })},
		{"consent-firm", acting, page(func(d *consentPage) { d.Firm, d.ActsFor = true, acting.FirmName })},
		{"consent-choose", id, page(ask(2, nil))},
		{"consent-choose-many", id, page(ask(9, nil))},
		{"endsession", id, logoutAsk(logoutPage{Client: "食品经营许可网上办理", ClientID: "permits", Redirect: "http://127.0.0.1:9001/bye", State: "s", Key: "k"})},
		{"endsession-nobody", id, logoutAsk(logoutPage{Key: "k"})},
		{"endsession-done", nil, logoutDone()},
		{"sandbox", nil, sandboxOf(testSandbox(false), "http://127.0.0.1:9001/callback")},
		{"sandbox-problem", nil, sandboxOf(testSandbox(true), "http://127.0.0.1:9001/callback")},
		{"sandbox-done", nil, sandboxOf(sandboxPage{Client: "我的第一个应用", Done: true}, "")},
		{"consent-problem", id, page(ask(2, &choiceError{"", web.Text{ZH: "请选择以谁的身份办理", EN: "Choose whom you act for"}}))},
	}, err
}

// testSandbox is the page of personas, with firms.
func testSandbox(wrong bool) sandboxPage {
	list, err := parsePersonas(personasFile)
	if err != nil {
		panic(err)
	}
	d := sandboxPage{Client: "我的第一个应用", Learns: []web.Text{learns[scopeOpenID], learns[scopeFirm]}, Wants: "urn:signet:acr:verified"}
	d.Form.Fields = []web.Field{personaField(list, true), levelField([]string{"urn:signet:acr:declared", "urn:signet:acr:verified"})}
	if wrong {
		d.Form.Blame("persona", web.Text{ZH: "请选择一位测试人员", EN: "Choose a test persona"})
	}
	return d
}

// ParsePersonas exposes parsePersonas.
func ParsePersonas(b []byte) (int, error) {
	list, err := parsePersonas(b)
	return len(list), err
}

// The bounds of the sandbox.
const (
	SandboxMost     = sandboxMost
	SandboxPerHour  = sandboxPerHour
	SandboxSessions = sandboxSessions
)
