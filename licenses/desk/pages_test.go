package desk

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

func plainText(s string) web.Text { return web.Text{ZH: s, EN: s} }

// gallery makes the fixtures of every page.
type gallery struct {
	t     *testing.T
	forms map[string]*form.Form
	c     *clerk
	at    time.Time
	list  []testkit.Fixture
}

func (g *gallery) add(name string, page web.Page) {
	id := &web.Identity{Session: "s", Person: "p", Name: "宋晚晴", Roles: []web.Role{{Agency: "donghu-amr", Name: web.RoleClerk}}}
	g.list = append(g.list, testkit.Fixture{Name: name, Identity: id, Page: page})
}

// TestPages draws every page of the desk in each of its states.
func TestPages(t *testing.T) {
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城政务", EN: "Jiangcheng Services"}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := site.Pages(files)
	if err != nil {
		t.Fatal(err)
	}
	types, err := licenses.ShippedTypes()
	if err != nil {
		t.Fatal(err)
	}
	g := &gallery{t: t, forms: map[string]*form.Form{}, at: time.Date(2026, 11, 24, 2, 30, 0, 0, time.UTC), c: &clerk{person: "p"}}
	g.c.agencies = []agency{{"donghu-amr", web.Text{ZH: "江城市东湖区市场监督管理局", EN: "Donghu District Administration for Market Regulation"}, "990101"},
		{"jiangcheng-edu", web.Text{ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"}, "990100"}}
	g.c.agency = g.c.agencies[0]
	for _, typ := range types {
		if g.forms[typ.ID], err = form.New(typ); err != nil {
			t.Errorf("type %s: %v", typ.ID, err)
		}
	}
	// A browser for each group: one has five minutes, and machines are shared.
	for _, group := range []struct {
		name string
		add  func()
	}{{"lists", func() { g.home(); g.lists() }}, {"apply", g.apply}, {"applications", g.applications}, {"licenses", g.licenses}, {"replace", g.replace}, {"foundings", g.foundings}} {
		t.Run(group.name, func(t *testing.T) {
			g.list = nil
			group.add()
			testkit.CheckPages(t, site, pages, g.list)
		})
	}
}

func (g *gallery) rows(applications bool) []row {
	var rows []row
	for i, t := range stateTags {
		r := row{Address: "/desk/applications/" + string(rune('a'+i)), Type: web.Text{ZH: "食品经营许可证", EN: "Food business licence"},
			Holder: "江城东湖老灶火锅餐饮有限公司", By: "白沐阳", At: g.at, Tag: t.tag}
		if !applications {
			r.Number, r.By = "JY9901012026000000"+string(rune('1'+i)), ""
			if i == 1 {
				r.Agency = web.Text{ZH: "江城市东湖区食品药品监督管理局", EN: "Donghu District Food and Drug Administration"}
			}
		} else if i < 2 {
			r.Agency, r.Office = [2]web.Text{{ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"}}[i], [2]web.Text{1: {ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"}}[i]
		}
		rows = append(rows, r)
	}
	return rows
}

func (g *gallery) home() {
	one := &clerk{person: "p", agencies: g.c.agencies[:1], agency: g.c.agency}
	title := web.Text{ZH: "证照窗口", EN: "Licence desk"}
	g.add("home-empty", web.Page{Template: "home", Title: title, Wide: true, Data: &homePage{desk: one.desk(), AllApps: "/desk/applications", AllLics: "/desk/licenses", Search: one.search("")}})
	g.add("home", web.Page{Template: "home", Title: title, Wide: true, Data: &homePage{desk: g.c.desk(), Agencies: g.c.selector(),
		Types:  []link{{Name: web.Text{ZH: "食品经营许可证", EN: "Food business licence"}, Address: "/desk/food-business/new"}, {Name: web.Text{ZH: "教师资格证书", EN: "Teacher qualification"}, Address: "/desk/teacher/new"}},
		Drafts: listDrafts(g.drafts()), Waiting: g.rows(true)[:1], Second: g.rows(true)[1:2], Seconds: "/desk/applications?state=reviewed", AllApps: "/desk/applications", Recent: g.rows(false), AllLics: "/desk/licenses", Search: g.c.search(""), Firms: &firmQueue{"/desk/foundings", "3"}}})
}

// drafts are two more than stand open.
func (g *gallery) drafts() (rows []draftRow) {
	for i := range homeRows + 2 {
		rows = append(rows, draftRow{ID: someKey, Type: web.Text{ZH: "食品经营许可证", EN: "Food business licence"}, Address: "/desk/food-business/new?draft=" + string(rune('a'+i)),
			Agency: "donghu-amr", At: g.at.Add(time.Duration(-i) * time.Hour)})
	}
	return rows
}

func (g *gallery) lists() {
	var tabs []link
	for i, t := range stateTags {
		tabs = append(tabs, link{t.tag.Word, "/desk/applications?state=" + string(t.state), i == 0})
	}
	g.add("applications", web.Page{Template: "applications", Title: web.Text{ZH: "申请", EN: "Applications"}, Wide: true,
		Data: &applicationsPage{desk: g.c.desk(), Tabs: tabs, Rows: picks(g.rows(true)), Bulk: g.c.bulk("/desk/applications", 1, approveButton, rejectButton), First: "/desk/applications", Next: "/desk/applications?after=x"}})
	s := &Service{}
	types, _ := licenses.ShippedTypes()
	s.kinds.Store(&kinds{types: types})
	filter := s.filter(licenses.Filter{Status: licenses.Suspended})
	title := web.Text{ZH: "证照", EN: "Licences"}
	g.add("licenses", web.Page{Template: "licenses", Title: title, Wide: true,
		Data: &licensesPage{desk: g.c.desk(), Search: g.c.search(""), Filter: filter, Hidden: "donghu-amr", Rows: picks(g.rows(false)), Bulk: g.c.bulk("/desk/licenses", 1, suspendButton), First: "/desk/licenses", Next: "/desk/licenses?after=x"}})
	results := web.Text{ZH: "查找结果", EN: "Search results"}
	g.add("search", web.Page{Template: "licenses", Title: results, Wide: true, Data: &licensesPage{desk: g.c.desk(), Search: g.c.search("91990101MA1F001175"),
		Searched: true, Rows: g.rows(false), After: "x", All: "/desk/licenses"}})
	g.add("search-none", web.Page{Template: "licenses", Title: results, Wide: true, Data: &licensesPage{desk: g.c.desk(), Search: g.c.search("JY1"), Searched: true, All: "/desk/licenses"}})
	done := &bulkPage{desk: g.c.desk(), Back: "/desk/licenses", Count: 1}
	for i, says := range []web.Text{textDone, textLate, textOwn, textNotTaken, textOn, textFirstOne, textPartyLine} {
		done.Rows = append(done.Rows, bulkRow{g.rows(i == 2)[i%len(stateTags)], i == 0, says})
	}
	done.Rows = append(done.Rows, bulkRow{Says: textMissing})
	g.add("bulk", web.Page{Template: "bulk", Title: web.Text{ZH: "批量办理结果", EN: "What was done"}, Wide: true, Data: done})
	wrong := g.c.search("")
	wrong.Blame("number", web.Text{ZH: "请输入证照编号", EN: "Enter a licence number"})
	g.add("search-wrong", web.Page{Template: "licenses", Title: results, Wide: true, Wrong: true, Data: &licensesPage{desk: g.c.desk(), Search: wrong, All: "/desk/licenses"}})
}

// picks lets every second row be ticked.
func picks(rows []row) []row {
	for i := 0; i < len(rows); i += 2 {
		rows[i].Pick = someKey
	}
	return rows
}

const someKey = "06dnpmc3ehxcjn3h0gk7kkxv1r"

func (g *gallery) apply() {
	for id, f := range g.forms {
		name := web.Text(f.Type.Names)
		page := func(d form.Draft, problems []licenses.Problem, earlier string) web.Page {
			form := g.c.around(f.Fields(d, problems), g.c.agencies, someKey)
			return web.Page{Template: "apply", Title: name, Wrong: form.Wrong(), Data: &applyPage{desk: g.c.desk(), Type: name, Form: form, Earlier: earlier}}
		}
		g.add("apply-"+id, page(form.Draft{}, nil, ""))
		var all []licenses.Problem
		for _, in := range f.All() {
			path := "/" + in.Name
			if _, ok := f.Type.Schema.(map[string]any)["properties"].(map[string]any)[in.Name]; ok {
				path = "/data/" + in.Name
			}
			all = append(all, licenses.Problem{Path: path, Text: web.Text{ZH: "为必填项", EN: "is missing"}})
		}
		all = append(all, licenses.Problem{Path: "/data", Text: web.Text{ZH: "过长", EN: "is too long"}})
		d := f.Read(url.Values{"premises": {"湖滨路\u202e"}, "seats": {"-3"}, "not_after": {"2001-01-01"}, "holder": {"1"}})
		g.add("apply-"+id+"-wrong", page(d, all, ""))
		if id == "food-business" {
			g.add("apply-"+id+"-used", page(d, nil, "/desk/applications/a"))
			for name, k := range map[string]kept{"draft": {g.at, false}, "saved": {g.at, true}, "saved-wrong": {g.at, true}} {
				begun := form.Draft{Values: map[string]string{"trade_name": "老灶", "seats": "很多"}}
				if name == "saved-wrong" {
					begun = d
				}
				p := page(begun, nil, "")
				p.Data.(*applyPage).Kept = &k
				g.add("apply-"+id+"-"+name, p)
			}
			full := page(d, nil, "")
			full.Data.(*applyPage).Form.BlameFault(errManyDrafts)
			g.add("apply-"+id+"-full", full)
		}
	}
}

func (g *gallery) applications() {
	a := &application{ID: "a", State: submitted, Agency: "donghu-amr", Submitter: "q", Request: licenses.Request{Type: "food-business", Holder: licenses.Holder{USCC: "91990101MA1F001175"},
		Data: map[string]any{"trade_name": "老灶火锅", "premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川", "category": "餐饮服务经营者",
			"scope": "热食类食品制售", "seats": float64(86), "online": "是"}, NotAfter: "2029-12-31"}}
	s := &Service{}
	s.kinds.Store(&kinds{forms: g.forms})
	for name, change := range map[string]func(p *applicationPage){
		"submitted": func(p *applicationPage) { p.Own, p.Done, p.Tag = true, "submit", submitted.tag() },
		"review":    func(p *applicationPage) { p.Tag, p.Review = submitted.tag(), reviewForm(a) },
		"review-wrong": func(p *applicationPage) {
			p.Tag, p.Review = submitted.tag(), reviewForm(a)
			p.Review.Blame(inReason, web.Text{ZH: "请填写理由", EN: "Enter a reason"})
		},
		"approved": func(p *applicationPage) { p.Tag, p.Decider = approved.tag(), "宋晚晴" },
		"issued":   func(p *applicationPage) { p.Tag, p.Decider, p.License = issued.tag(), "宋晚晴", "/desk/licenses/x" },
		"rejected": func(p *applicationPage) {
			p.Tag, p.Decider, p.Again, p.Reason = rejected.tag(), "宋晚晴", "/desk/food-business/new", "经营场所与现场不符"
		},
		"failed": func(p *applicationPage) {
			p.Tag, p.Decider, p.Again = failed.tag(), "宋晚晴", "/desk/food-business/new"
			p.Why = s.why(&application{Request: a.Request, Note: note{Problems: []trouble{{"/holder/uscc", "没有登记：查无此企业", "is not registered"}, {"", "签发条件已不具备。", "What the licence needs is no longer there."}}}})
		},
		"thread": func(p *applicationPage) {
			p.Tag, p.Review = submitted.tag(), reviewForm(a)
			p.Thread = &thread{Messages: []licenses.Message{{Text: "请说明面积。", At: g.at}, {FromHolder: true, Text: "八十平方米。", At: g.at}}, Asked: true, Form: askForm(someKey), Self: p.Self}
		},
		"thread-wrong": func(p *applicationPage) {
			p.Tag, p.Review = submitted.tag(), reviewForm(a)
			p.Thread = &thread{Form: askForm(someKey), Self: p.Self}
			p.Thread.Form.Blame(inMessage, web.Text{ZH: "请填写内容", EN: "Write something"})
		},
		"onward":     func(p *applicationPage) { p.Tag, p.Onward, p.Review = submitted.tag(), true, reviewForm(a) },
		"own-onward": func(p *applicationPage) { p.Tag, p.Own, p.Onward = submitted.tag(), true, true },
		"second": func(p *applicationPage) {
			p.Tag, p.Second, p.Reviewer, p.Reviewed, p.Review = reviewed.tag(), true, "罗景行", g.at, reviewForm(&application{State: reviewed})
		},
		"second-wrong": func(p *applicationPage) {
			p.Tag, p.Second, p.Reviewer, p.Reviewed, p.Review = reviewed.tag(), true, "罗景行", g.at, reviewForm(&application{State: reviewed})
			p.Review.Blame(inReason, web.Text{ZH: "请填写理由", EN: "Enter a reason"})
		},
		"second-barred": func(p *applicationPage) {
			p.Tag, p.Second, p.Reviewer, p.Reviewed, p.Bar = reviewed.tag(), true, "宋晚晴", g.at, &textFirst
		},
		"second-post": func(p *applicationPage) {
			p.Tag, p.Second, p.Reviewer, p.Reviewed, p.Bar = reviewed.tag(), true, "罗景行", g.at, &textPost
		},
		"returned": func(p *applicationPage) {
			p.Tag, p.Onward, p.Returner, p.Reason, p.Review = submitted.tag(), true, "罗景行", "床位数与平面图不符，请核对", reviewForm(a)
		},
		"issued-twice-reviewed": func(p *applicationPage) {
			p.Tag, p.Reviewer, p.Reviewed, p.Decider, p.License = issued.tag(), "罗景行", g.at, "宋晚晴", "/desk/licenses/x"
		},
		"papers": func(p *applicationPage) {
			missing := textMissingFiles([]licenses.Slot{{Names: licenses.Names{ZH: "场所平面布局图", EN: "Floor plan"}}})
			p.Tag, p.Papers = submitted.tag(), &papers{Missing: &missing, Action: p.Self + "/attachments", Form: form.AttachForm(g.hygiene(), someKey),
				List: []paper{{web.Text{ZH: "卫生检测报告", EN: "Hygiene test report"}, p.Self + "/attachments/x", "pdf", "812 kB", true, g.at}}}
		},
		"barred": func(p *applicationPage) { p.Tag, p.Bar = submitted.tag(), &textParty },
		"away": func(p *applicationPage) {
			p.Tag, p.Asked, p.Dealing = submitted.tag(), g.c.agencies[0].Name, g.c.agencies[1].Name
			p.lookOn()
		},
		"unable": func(p *applicationPage) {
			p.Tag, p.Review, p.Asked, p.Unable = submitted.tag(), reviewForm(a), g.c.agencies[1].Name, &textNoAuthority
		},
		"late": func(p *applicationPage) {
			p.Tag, p.Decider, p.Notice = rejected.tag(), "罗景行", &web.Text{ZH: "该申请已经处理，您的操作没有生效。", EN: "This application has been dealt with already."}
		},
	} {
		title := web.Text{ZH: "食品经营许可证申请", EN: "Application: Food business licence"}
		p := &applicationPage{desk: g.c.desk(), standing: standing{Dealing: g.c.agency.Name}, Queue: "/desk/applications", Type: web.Text{ZH: "食品经营许可证", EN: "Food business licence"},
			Lines: s.lines(a, "江城东湖老灶火锅餐饮有限公司"), Submitter: "白沐阳", Submitted: g.at, Decided: g.at.Add(time.Hour), Self: "/desk/applications/a"}
		change(p)
		g.add("application-"+name, web.Page{Template: "application", Title: title, Data: p, Wrong: p.Review != nil && p.Review.Wrong()})
	}
}

func (g *gallery) licenses() {
	for name, change := range map[string]func(p *licensePage, l *licenses.License){
		"issued":  func(p *licensePage, l *licenses.License) { d := done["issue"].text; p.Done = &d },
		"signing": func(p *licensePage, l *licenses.License) { l.Status, p.SVG, p.PNG = licenses.Signing, "", "" },
		"suspended": func(p *licensePage, l *licenses.License) {
			l.Status, p.Reason = licenses.Suspended, "抽检不合格，责令整改"
		},
		"revoked": func(p *licensePage, l *licenses.License) { l.Status, p.Reason = licenses.Revoked, "申请人注销" },
		"expired": func(p *licensePage, l *licenses.License) {
			l.Status, l.NotAfter = licenses.Expired, g.at.Add(-time.Hour)
		},
		"wrong":  func(p *licensePage, l *licenses.License) {},
		"barred": func(p *licensePage, l *licenses.License) { p.Bar = &licenses.TextParty },
	} {
		l := &licenses.License{Status: licenses.Issued, NotBefore: g.at.Add(-24 * time.Hour), NotAfter: g.at.AddDate(5, 0, 0)}
		p := &licensePage{desk: g.c.desk(), List: "/desk/licenses", Issuer: g.c.agency.Name, Type: web.Text{ZH: "食品经营许可证", EN: "Food business licence"}, Number: "JY99010120260000001",
			Identifier: "1.2.156.3005.2.11990100MB00000017001.11990101MB0000027X.JY99010120260000001.001.5", Holder: "江城东湖老灶火锅餐饮有限公司",
			HolderID: "91990101MA1F001175", From: l.NotBefore, Last: l.NotAfter, SVG: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'/>",
			PNG: "/desk/licenses/x/qr.png", Application: "/desk/applications/a", Self: "/desk/licenses/x",
			Lines: []line{{web.Text{ZH: "经营者名称", EN: "Trade name"}, plainText("老灶火锅")}, {web.Text{ZH: "就餐座位", EN: "Seats"}, plainText("86")}},
			History: []past{{eventWords[licenses.EventAct+".suspend"], plainText("宋晚晴"), g.at, "抽检不合格，责令整改"},
				{eventWords[licenses.EventOutcome], textSystem, g.at, ""}, {eventWords[licenses.EventIntent], plainText("宋晚晴"), g.at, ""}}}
		change(p, l)
		p.Tag = licenseTag(l, g.at)
		if p.Bar == nil {
			p.acts(l, someKey)
		}
		if name == "issued" {
			p.Replace = []link{{Name: replacements[0].label, Address: "/desk/licenses/x/renew"}, {Name: replacements[1].label, Address: "/desk/licenses/x/change"}}
			p.Versions = []version{{2, replacements[1].label, "/desk/licenses/x", true}, {1, plainText("首次签发"), "/desk/licenses/y", false}}
		}
		if name == "wrong" {
			p.Form.Blame(inReason, web.Text{ZH: "请填写理由", EN: "Enter a reason"})
		}
		title := web.Text{ZH: p.Type.ZH + " " + p.Number, EN: p.Type.EN + " " + p.Number}
		g.add("license-"+name, web.Page{Template: "license", Title: title, Data: p, Wrong: p.Form != nil && p.Form.Wrong()})
	}
}

// hygiene is a type with which papers come.
func (g *gallery) hygiene() *licenses.Type {
	types, err := licenses.ShippedTypes()
	if err != nil {
		g.t.Fatal(err)
	}
	return types[slices.IndexFunc(types, func(t *licenses.Type) bool { return t.ID == "public-venue-hygiene" })]
}
