package login

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// TestPages draws every page in every state and looks at it in a browser.
func TestPages(t *testing.T) {
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城市政务信任服务", EN: "Jiangcheng Trust Services"}, Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := site.Pages(files)
	if err != nil {
		t.Fatal(err)
	}
	testkit.CheckPages(t, site, pages, slices.Concat(signInFixtures(), accountFixtures(), reproofFixtures()))
}

func signInFixtures() []testkit.Fixture {
	page := func(change func(p *signInPage)) web.Page {
		p := newSignInPage("/wallet", "", false)
		p.Passkeys = true
		change(p)
		return web.Page{Template: "login", Title: web.Text{ZH: "登录", EN: "Sign in"}, Data: p, Wrong: p.Form.Wrong()}
	}
	wang := &web.Identity{Person: "p", Name: "王小明", ACR: ACRVerified}
	return []testkit.Fixture{
		{Name: "login", Page: page(func(*signInPage) {})},
		{Name: "login-no-passkeys", Page: page(func(p *signInPage) { p.Passkeys = false })},
		{Name: "login-again", Identity: wang, Page: page(func(p *signInPage) { p.Again = true })},
		{Name: "login-passkey-only", Page: page(func(p *signInPage) { p.ACR, p.Only = ACRPhishingResistant, true })},
		{Name: "login-passkey-only-again", Identity: wang, Page: page(func(p *signInPage) { p.ACR, p.Only, p.Again = ACRPhishingResistant, true, true })},
		{Name: "login-passkey-none", Identity: wang, Page: page(func(p *signInPage) { p.ACR, p.Only, p.Again, p.None = ACRPhishingResistant, true, true, true })},
		{Name: "login-other", Identity: wang, Page: page(func(p *signInPage) { p.Again = true; p.Form.BlameFault(errOther) })},
		{Name: "login-missing", Page: page(func(p *signInPage) { p.blameMissing(map[string]string{}) })},
		{Name: "login-wrong", Page: page(func(p *signInPage) {
			p.Form.Field("username").Value = "wangxiaoming"
			p.Form.BlameFault(errCredentials)
		})},
		{Name: "login-too-many", Page: page(func(p *signInPage) { p.Form.Problems = append(p.Form.Problems, tooMany(60)) })},
		{Name: "logout", Identity: wang, Page: web.Page{Template: "logout", Title: web.Text{ZH: "退出登录", EN: "Sign out"}, Data: signOutPage{}}},
		{Name: "logout-done", Page: web.Page{Template: "logout", Title: web.Text{ZH: "您已退出登录", EN: "You are signed out"}, Data: signOutPage{true}}},
	}
}

func accountFixtures() []testkit.Fixture {
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	wang := &web.Identity{Person: "p", Name: "王小明", ACR: ACRVerified, AuthTime: at}
	clerk := &web.Identity{Person: "p", Name: "李静", ACR: ACRPhishingResistant, AuthTime: at, Firm: "91990101MA0000001T", FirmName: "东湖面馆有限公司", Chosen: true}
	firms := func(n int, value string) web.Form {
		f := actingForm(nil)
		for i := range n {
			f.Fields[0].Options = append(f.Fields[0].Options, web.Option{Value: fmt.Sprintf("91990101MA00000%02dT", i),
				Label: web.Text{ZH: "江城市东湖区湖滨路老王家传手工面馆餐饮管理有限责任公司", EN: "江城市东湖区湖滨路老王家传手工面馆餐饮管理有限责任公司"}, Hint: web.Text{ZH: "91990101MA0000001T", EN: "91990101MA0000001T"}})
		}
		f.Fields[0].Value = value
		return f
	}
	keys := func(n int) (list []listed) {
		for i := range n {
			list = append(list, listed{ID: fmt.Sprint("key", i), Name: "我的手机", Created: at, Synced: i%2 == 0})
			if i > 0 {
				list[i].Used = at
			}
		}
		return list
	}
	page := func(p accountPage) web.Page {
		p.Allowed = true
		if p.Acting.Fields == nil {
			p.Acting = firms(0, self)
		}
		return web.Page{Template: "account", Title: web.Text{ZH: "我的账户", EN: "Your account"}, Data: &p, Wrong: p.Acting.Wrong()}
	}
	wrong := firms(2, self)
	wrong.BlameFault(ErrDelegation)
	return []testkit.Fixture{
		{Name: "account-first", Identity: wang, Page: page(accountPage{Identity: wang, Fresh: true})},
		{Name: "account-passkeys", Identity: wang, Page: page(accountPage{Identity: wang, Fresh: true, Passkeys: keys(3), Done: "passkey-added"})},
		{Name: "account-stale", Identity: wang, Page: page(accountPage{Identity: wang, Passkeys: keys(1), Done: "passkey-removed"})},
		{Name: "account-full", Identity: wang, Page: page(accountPage{Identity: wang, Fresh: true, Full: true, Passkeys: keys(10)})},
		{Name: "account-firm", Identity: clerk, Page: page(accountPage{Identity: clerk, Fresh: true, Desk: true, CanAct: true, Acting: firms(2, "91990101MA0000001T"), Done: "acting"})},
		{Name: "account-wrong", Identity: wang, Page: page(accountPage{Identity: wang, Fresh: true, CanAct: true, Acting: wrong})},
		{Name: "account-many-firms", Identity: wang, Page: page(accountPage{Identity: wang, Fresh: true, CanAct: true, Acting: selectable(firms(20, self))})},
		{Name: "account-news", Identity: wang, Page: page(accountPage{Identity: wang, Fresh: true, News: []Entry{{ID: "e2", At: at, Kind: PasskeyAdded, Browser: "Firefox, Windows"},
			{ID: "e1", At: at, Kind: SignedOutByOffice}, {ID: "e0", At: at, Kind: ReproofBegun, Office: web.Text{ZH: "东湖区市场监督管理局", EN: "Donghu Market Regulation"}}}, More: []Link{{"/account/sessions", web.Text{ZH: "登录记录", EN: "Where you are signed in"}}}})},
		{Name: "password", Identity: wang, Page: passwordOf(newPasswordPage())},
		{Name: "password-wrong", Identity: wang, Page: passwordOf(func() *passwordPage {
			p := newPasswordPage()
			p.Form.Blame("again", web.Text{ZH: "两次输入的密码不一致", EN: "The two passwords differ"})
			return p
		}())},
		{Name: "totp", Identity: wang, Page: totpOf(totpPageOf(make([]byte, totpSize), "sealed"))},
		{Name: "codes", Identity: wang, Page: codesOf(codesPage{Left: 7})},
		{Name: "codes-none", Identity: wang, Page: codesOf(codesPage{})},
		{Name: "codes-new", Identity: wang, Page: codesOf(codesPage{Codes: []string{"ABCD-EFGH-IJKL-MNOP", "QRST-UVWX-YZ23-4567"}, Left: 2})},
		{Name: "recover", Page: recoverOf(newRecoverPage())},
		{Name: "recover-wrong", Page: recoverOf(func() *recoverPage { p := newRecoverPage(); p.Form.BlameFault(errRecovery); return p }())},
		{Name: "recover-wait", Page: recoverOf(&recoverPage{Ready: at})},
		{Name: "recover-set", Page: recoverOf(newRecoverPage().setting(make([]byte, totpSize), "sealed"))},
		{Name: "recover-done", Page: recoverOf(&recoverPage{Done: true})},
		{Name: "rename", Identity: wang, Page: renameOf("key", "我的手机", web.Text{})},
		{Name: "rename-wrong", Identity: wang, Page: renameOf("key", "", web.Text{ZH: "名称应为1至40个可见字符", EN: "A name has 1 to 40 visible characters"})},
		{Name: "remove", Identity: wang, Page: removeOf(removePage{Passkey: keys(1)[0]})},
		{Name: "remove-last", Identity: wang, Page: removeOf(removePage{Passkey: keys(1)[0], Last: true})},
	}
}

func removeOf(p removePage) web.Page {
	return web.Page{Template: "remove", Title: web.Text{ZH: "移除通行密钥", EN: "Remove passkey"}, Data: p}
}

func reproofFixtures() []testkit.Fixture {
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	clerk := &web.Identity{Person: "p", Name: "李静", ACR: ACRPhishingResistant, AuthTime: at}
	desk := func(change func(p *deskPage)) web.Page {
		p, err := new(Service).newDeskPage(context.Background(), []string{"donghu-amr"})
		if err != nil {
			panic(err)
		}
		change(p)
		return deskOf(p)
	}
	blamed := func(text web.Text) web.Page {
		p := newReproofPage()
		p.Form.Blame("code", text)
		return reproofOf(p)
	}
	return []testkit.Fixture{
		{Name: "code", Page: reproofOf(newReproofPage())},
		{Name: "code-missing", Page: blamed(web.Text{ZH: "请输入窗口代码", EN: "Enter the code of the desk"})},
		{Name: "code-set", Page: reproofOf(newReproofPage().setting("id", "wangxiaoming", make([]byte, totpSize), "sealed"))},
		{Name: "code-done", Page: reproofOf(&reproofPage{Done: true})},
		{Name: "desk", Identity: clerk, Page: desk(func(*deskPage) {})},
		{Name: "desk-open", Identity: clerk, Page: desk(func(p *deskPage) {
			p.Done = true
			p.Open = []reproof{{ID: "a", Created: at, Expires: at.Add(reproofLife)}, {ID: "b", Created: at, Expires: at.Add(reproofLife)}}
		})},
		{Name: "desk-agencies", Identity: clerk, Page: desk(func(p *deskPage) {
			p.Form.Fields = append(p.Form.Fields, web.Field{Name: "agency", Type: "select", Label: web.Text{ZH: "您代表的部门", EN: "The agency that you work for"}, Options: documents})
		})},
		{Name: "desk-wrong", Identity: clerk, Page: desk(func(p *deskPage) { p.blameFind(nil, registry.ErrPerson) })},
		{Name: "desk-confirm", Identity: clerk, Page: desk(func(p *deskPage) { p.confirming("王小明", registry.Resident, "sealed") })},
		{Name: "desk-unseen", Identity: clerk, Page: desk(func(p *deskPage) {
			p.confirming("王小明", registry.Passport, "sealed").Form.Blame("seen", web.Text{ZH: "请确认您已当面查看证件原件", EN: "Confirm that you have seen the person and the document"})
		})},
		{Name: "desk-code", Identity: clerk, Page: identityCodeOf(codePage{Code: "ABCDE-FGHJK", ID: "a", Address: "https://id.jiangcheng.example/login/code",
			Office: web.Text{ZH: "东湖区市场监督管理局", EN: "Donghu Market Regulation"}, Expires: at})},
	}
}
