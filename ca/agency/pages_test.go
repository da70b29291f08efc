package agency

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// TestPages draws every page in each of its states.
func TestPages(t *testing.T) {
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城政务", EN: "Jiangcheng Services"}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := site.Pages(files)
	if err != nil {
		t.Fatal(err)
	}
	id := &web.Identity{Session: "s", Person: "p", Name: "宋晚晴", Roles: []web.Role{{Agency: "donghu-amr", Name: web.RoleClerk}}}
	bureau := web.Text{ZH: "江城市东湖区市场监督管理局", EN: "Donghu District Administration for Market Regulation"}
	at := time.Date(2026, 11, 24, 2, 30, 0, 0, time.UTC)
	var requests, certificates []row
	for _, s := range stateTags {
		requests = append(requests, row{"/agency/requests/06h27yaz20rgj3seawf2ahagjw", profileWord("document"), "donghu-amr", at, s})
	}
	for _, s := range statusTags {
		certificates = append(certificates, row{"/agency/certificates/01b1bd2c9c86a56a1b84116bf68ca733e03b", profileWord("system-server"), "www.amr.donghu.jiangcheng.example", at, s})
	}
	wrong, decision := newForm("k"), decisionForm()
	for _, f := range wrong.Fields {
		wrong.Blame(f.Name, web.Text{ZH: "请更正", EN: "Mend this"})
	}
	decision.Blame(inReason, web.Text{ZH: "理由须填写", EN: "A reason is required"})
	blank, key := decisionForm(), strings.Repeat("16bd7d39", 8)
	request := requestPage{Home: "/agency", Self: "/agency/requests/x", Profile: profileWord("system-server"), Tag: stateTags["waiting"], Of: bureau, Hosts: []string{"www.amr.donghu.jiangcheng.example", "192.0.2.7"},
		KeyType: "P-256", Key: key, Requester: "宋晚晴", Created: at, Expires: at.AddDate(0, 0, 30), Withdraw: true}
	deciding, refused, weak, decided, failed := request, request, request, request, request
	deciding.Form, deciding.Withdraw, deciding.Until = &blank, false, at.AddDate(1, 0, 0)
	refused.Said, refused.Form, refused.Withdraw = decision, &decision, false
	weak.Form, weak.Weak, weak.Withdraw = &blank, true, false
	decided.Tag, decided.Decider, decided.Decided, decided.Reason, decided.Certificate, decided.Withdraw = stateTags["issued"], "何雨桐", at, "符合规定", "/agency/certificates/01b1", false
	failed.Tag, failed.Note, failed.Name, failed.Hosts, failed.Withdraw = stateTags["failed"], ca.NoteText("this key is on the list of blocked keys"), "importer", nil, false
	late, senseless := request, findForm(nil)
	late.Said.Problems = []web.Text{{ZH: "该申请已审批、撤回或过期", EN: "the request is decided, withdrawn or expired"}}
	senseless.Blame("q", web.Text{ZH: "无法按此条件查找", EN: "Nothing can be looked for so"})
	title := web.Text{ZH: "部门证书", EN: "Agency certificates"}
	page := func(name, template string, wrong bool, data any) testkit.Fixture {
		return testkit.Fixture{Name: name, Identity: id, Page: web.Page{Template: template, Title: title, Data: data, Wrong: wrong, Wide: template == "home"}}
	}
	wrongOrder, blankOrder := orderForm(), orderForm()
	wrongOrder.Blame(inCSR, web.Text{ZH: "证书请求为必填项", EN: "The certificate request is missing"})
	wrongOrder.Problems = []web.Text{{ZH: "请更正", EN: "Mend this"}}
	open := orderPage{Self: "/firm/orders/x", Firm: "江城湖畔小馆餐饮有限公司", USCC: "91990101MA9FAFN17P", Tag: orderOpen, Ordered: at, Expires: at.AddDate(0, 0, 90), Form: &blankOrder}
	wrongly, again, over, made := open, open, open, open
	wrongly.Form, again.Failed, over.Form, over.Tag = &wrongOrder, ca.NoteText("this key is on the list of blocked keys"), nil, orderOver
	made.Form, made.Tag, made.Serial, made.PEM, made.Chain = nil, statusTags["issued"], "01b1bd2c9c86a56a1b84116bf68ca733e03b", "/a", "/b"
	var ordered []row
	for _, s := range []tag{orderOpen, orderOver, stateTags["issued"]} {
		ordered = append(ordered, row{"/firm/orders/06h27yaz20rgj3seawf2ahagjw", profileWord("firm"), open.Firm, at, s})
	}
	testkit.CheckPages(t, site, pages, []testkit.Fixture{
		page("firm", "firm", false, &firmPage{ordered}), page("firm-nothing", "firm", false, &firmPage{}),
		page("order", "order", false, &open), page("order-wrong", "order", true, &wrongly), page("order-again", "order", false, &again),
		page("order-over", "order", false, &over), page("order-made", "order", false, &made),
		page("home", "home", false, &homePage{Agency: bureau, New: "/agency/new", Requests: requests, MoreRequests: "/agency?requests=x", Certificates: certificates, Find: findForm(nil), Next: "/agency?after=x", Expiring: certificates[:1]}),
		page("home-nothing", "home", false, &homePage{Agency: bureau, New: "/agency/new", Find: findForm(url.Values{"q": {"门户"}, "state": {"held"}}), Looking: true}),
		page("home-empty", "home", false, &homePage{Agency: bureau, New: "/agency/new", Find: findForm(nil)}),
		page("home-wrong", "home", true, &homePage{Agency: bureau, New: "/agency/new", Find: senseless}),
		page("home-officer", "home", false, &homePage{Officer: true, Waiting: requests[:1], MoreWaiting: "/agency?waiting=x"}),
		page("home-further", "home", false, &homePage{Agency: bureau, New: "/agency/new", Find: findForm(nil), Next: "/agency?after=x"}),
		page("home-choice", "home", false, &homePage{Agency: bureau, New: "/agency/new", Officer: true, Find: findForm(nil),
			Choice: []web.Field{{Name: "agency", Type: "select", Label: title, Options: []web.Option{{Value: "a", Label: bureau}}}}}),
		page("ask", "ask", false, &askPage{"/agency", "/agency/new", bureau, newForm("k")}),
		page("ask-wrong", "ask", true, &askPage{"/agency", "/agency/new", bureau, wrong}),
		page("request", "request", false, &request), page("request-decide", "request", false, &deciding), page("request-refused", "request", true, &refused),
		page("request-late", "request", true, &late), page("request-weak", "request", false, &weak), page("request-decided", "request", false, &decided), page("request-failed", "request", false, &failed),
		page("certificate", "certificate", false, &certificatePage{Home: "/agency", PEM: "/a", Chain: "/b", Profile: profileWord("document"), Tag: statusTags["issued"], Subject: bureau.ZH,
			Serial: "01b1bd2c9c86a56a1b84116bf68ca733e03b", Hosts: []string{"www.amr.donghu.jiangcheng.example"}, From: at, Until: at.AddDate(1, 0, 0)}),
	})
}
