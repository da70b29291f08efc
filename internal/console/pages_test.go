package console

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// gallery makes the fixtures of every page.
type gallery struct {
	t    *testing.T
	c    *Console
	at   time.Time
	list []testkit.Fixture
}

func (g *gallery) add(name string, page web.Page) {
	id := &web.Identity{Session: "s", Person: "p", Name: "宋晚晴"}
	g.list = append(g.list, testkit.Fixture{Name: name, Identity: id, Page: page})
}

const (
	somePerson = "06dnpmc3ehxcjn3h0gk7kkxv1r"
	someHash   = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	someText   = "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"
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
	at := time.Date(2026, 11, 24, 2, 30, 0, 0, time.UTC)
	approvals, err := approval.New(approval.Options{DB: testkit.SQLite(t), People: nobody{}, Issuer: "https://signet.example"})
	if err != nil {
		t.Fatal(err)
	}
	g := &gallery{t: t, at: at, c: &Console{o: Options{Approvals: approvals, Now: func() time.Time { return at },
		ByRoot: func(s keys.Step) bool { return s.Purpose == keys.PurposeCA }}}}
	// A browser for each group: one has some minutes, and machines are shared.
	for _, group := range []struct {
		name string
		add  func()
	}{{"home", g.home}, {"keys", g.keys}, {"lists", g.lists}, {"ask", g.ask}, {"requests", g.requests}, {"officers", g.officers}, {"root", g.root}} {
		t.Run(group.name, func(t *testing.T) {
			g.list = nil
			group.add()
			testkit.CheckPages(t, site, pages, g.list)
		})
	}
}

// someKeys is a key in each state, and one that is paused.
func (g *gallery) someKeys() (list []keys.Key) {
	for i, state := range []keys.State{keys.Staged, keys.Published, keys.Active, keys.Retiring, keys.Retired, keys.Compromised, keys.Active} {
		k := keys.Key{ID: "k" + string(rune('0'+i)), Purpose: keys.PurposePermit, Owner: "donghu-amr", Alg: keys.ES256, Backend: keys.BackendFile,
			State: state, Created: g.at.AddDate(-1, 0, 0), Published: g.at.AddDate(0, -11, 0), Activated: g.at.AddDate(0, -10, 0),
			Retiring: g.at.AddDate(0, -1, 0), Retired: g.at, Compromised: g.at, Since: g.at.AddDate(0, 0, -3), Certificate: []byte{1}}
		if i == 6 {
			k.Purpose, k.Owner, k.Backend, k.Paused = keys.PurposeCA, "city", keys.BackendPKCS11, g.at
		}
		list = append(list, k)
	}
	return list
}

func (g *gallery) steps(list []keys.Key) []keys.Step {
	return []keys.Step{
		{Key: list[6], Purpose: keys.PurposeCA, Owner: "city", Do: keys.DoPromote, At: g.at.AddDate(0, 0, -1)},
		{Key: keys.Key{Purpose: keys.PurposeToken}, Purpose: keys.PurposeToken, Owner: "city", Do: keys.DoStage, At: g.at.AddDate(0, 0, 3), Automatic: true},
		{Key: list[1], Purpose: keys.PurposePermit, Owner: "donghu-amr", Do: keys.DoPromote, At: g.at.AddDate(0, 2, 0)},
		{Key: list[3], Purpose: keys.PurposePermit, Owner: "donghu-amr", Do: "renew", At: g.at.AddDate(0, 3, 0), Automatic: true},
	}
}

func (g *gallery) rows() []requestRow {
	var rows []requestRow
	for _, state := range slices.Sorted(maps.Keys(requestTags)) {
		r := requestRow{Address: requestAddress(string(state)), Title: web.Text{ZH: "增设安全官", EN: "Add a security officer"}, By: "宋晚晴",
			At: g.at, Until: g.at.AddDate(0, 0, 1), Tag: requestTags[state]}
		if state != approval.Open {
			r.Decided = g.at.Add(time.Hour)
		}
		rows = append(rows, r)
	}
	return rows
}

func (g *gallery) home() {
	title := web.Text{ZH: "密钥安全", EN: "Key security"}
	g.add("home-empty", web.Page{Template: "home", Title: title, Wide: true, Data: homePage{room: in("/security")}})
	list := g.someKeys()
	rows := g.c.calendar(list, g.steps(list))
	g.add("home", web.Page{Template: "home", Title: title, Wide: true, Data: homePage{room: in("/security"), Waiting: g.rows()[:1], Own: g.rows()[:2],
		Due: rows[:2], Stopped: rows[:1], Calendar: rows, Purposes: purposeSelect(list, keys.PurposeCA), pager: pager{"/security", "/security?page=3"}}})
	g.list = append(g.list, testkit.Fixture{Name: "weak", Identity: &web.Identity{Person: "p", Name: "宋晚晴"},
		Page: web.Page{Template: "weak", Title: titleWeak, Status: 403, Data: weakPage{"/login?reauth=1"}}})
}

func (g *gallery) keys() {
	for i, k := range g.someKeys() {
		data := &keyPage{room: in(""), ID: somePerson, Alg: k.Alg, Backend: k.Backend, Purpose: purposeOf(k.Purpose), Owner: k.Owner, Tags: tagsOf(k),
			Fingerprint: someHash, Certificate: someHash, Life: life(k), Self: "/security/keys/x", History: g.events(),
			Asks: []link{{Name: web.Text{ZH: "轮换密钥", EN: "Rotate the key"}, Address: "/security/requests/new/key.rotate"}}}
		data.offer(k)
		switch k.State {
		case keys.Active:
			data.Steps = []stepRow{g.c.stepRow(g.steps(g.someKeys())[0])}
			data.Done = &web.Text{ZH: "密钥已恢复使用。", EN: "The key signs again."}
		case keys.Published:
			data.Form.Blame("reason", textMissing)
			data.Fingerprint, data.Certificate = "", ""
		case keys.Retiring:
			data.Notices = []web.Text{{ZH: "此密钥已发生变化。", EN: "This key has changed."}, plain("In detail: x")}
			data.History, data.Asks = nil, nil
		}
		g.add("key-"+string(k.State)+strings.Repeat("-paused", i/6), web.Page{Template: "key", Title: web.Text{ZH: "密钥", EN: "Key"}, Data: data, Wrong: data.Form.Wrong()})
	}
}

func (g *gallery) events() []eventRow {
	system := eventRow{At: g.at, What: eventWord("approval.run.outcome"), Kind: "approval.run.outcome", Who: textSystem, Object: "approval:" + somePerson,
		Address: "/security/requests/x", Lines: []web.Text{plain("城"), {ZH: "理由：疑似被盗", EN: "Reason: maybe stolen"}}, Place: "1024"}
	return []eventRow{system, {At: g.at, What: eventWord("certificate"), Kind: "certificate"},
		{At: g.at, What: eventWord("license.application.submit"), Kind: "license.application.submit", Who: plain("person:" + somePerson), Object: "license:" + somePerson, Place: "7"}}
}

func (g *gallery) lists() {
	tabs := []link{{web.Text{ZH: "待批准", EN: "Waiting"}, "/security/requests", true}, {web.Text{ZH: "已办结", EN: "Decided"}, "/security/requests?state=done", false}}
	title := web.Text{ZH: "申请", EN: "Requests"}
	g.add("requests", web.Page{Template: "requests", Title: title, Wide: true, Data: requestsPage{room: in("/security/requests"), Tabs: tabs, Open: true,
		Rows: g.rows(), pager: pager{"/a", "/b"}}})
	g.add("requests-none", web.Page{Template: "requests", Title: title, Wide: true, Data: requestsPage{room: in("/security/requests"), Tabs: tabs}})
	logs := web.Text{ZH: "日志", EN: "Log"}
	g.add("log", web.Page{Template: "log", Title: logs, Wide: true, Data: logPage{in("/security/log"), g.events(), pager{"/a", "/b"}}})
	g.add("log-empty", web.Page{Template: "log", Title: logs, Wide: true, Data: logPage{room: in("/security/log")}})
	g.add("code", web.Page{Template: "code", Title: web.Text{ZH: "一次性登记码", EN: "One-time code"}, Data: codePage{in(""), "/a", "林若川", someText, g.at}})
}

func (g *gallery) ask() {
	options := []web.Option{{Value: "a", Label: web.Text{ZH: "甲", EN: "A"}}}
	label := func(zh, en string) web.Text { return web.Text{ZH: zh, EN: en} }
	a := &ask{Form{Kind: "key.rotate", Title: label("轮换密钥", "Rotate a key"), Hint: label("替换正在使用的密钥", "Replaces the key in use"), Fields: []Field{
		{Name: "owner", Label: label("所有者", "Owner"), Required: true, Hint: label("部门编号", "The agency's id")},
		{Name: "words", Type: Words, Label: label("说明", "Words")}, {Name: "list", Type: List, Label: label("名单", "List")},
		{Name: "whole", Type: Whole, Label: label("数量", "How many")}, {Name: "yes", Type: YesNo, Label: label("立即", "At once")},
		{Name: "choice", Type: Choice, Label: label("用途", "Purpose"), Options: options, Required: true},
		{Name: "since", Type: Time, Label: label("被盗时间", "Stolen since"), Required: true, Hint: label("不晚于现在", "Not to come")},
		{Name: "file", Type: File, Label: label("文件", "File"), Required: true}}}, "/security/requests/new/key.rotate"}
	for _, wrong := range []bool{false, true} {
		form, err := a.draw(context.Background(), map[string]string{"since": "2026-11-02T09:30"}, somePerson)
		if err != nil {
			g.t.Fatal(err)
		}
		name := "ask"
		if wrong {
			name = "ask-wrong"
			for _, x := range form.Fields {
				if x.Type != "hidden" {
					form.Blame(x.Name, textMissing)
				}
			}
			form.Problems = []web.Text{{ZH: "情况已发生变化，请重新提出申请。", EN: "the situation has changed: make a new request"}}
		}
		g.add(name, web.Page{Template: "ask", Title: a.Title, Wrong: wrong, Data: &askPage{in("/security/requests"), a.Title, a.Hint, form, a.address, true}})
	}
	g.add("kinds", web.Page{Template: "kinds", Title: label("新的申请", "New request"), Data: kindsPage{in("/security/requests"),
		[]kind{{link{Name: a.Title, Address: a.address}, a.Hint}, {link{Name: label("增设安全官", "Add an officer"), Address: "/x"}, web.Text{}}}}})
}

func (g *gallery) requests() {
	reject, wrong := rejectForm(), rejectForm()
	wrong.Blame("reason", textMissing)
	for name, change := range map[string]func(p *requestPage){
		"approve":      func(p *requestPage) { p.Approve, p.Passkey, p.Challenge, p.Reject = true, true, someText, &reject },
		"no-passkey":   func(p *requestPage) { p.Approve, p.Challenge, p.Reject = true, someText, &reject },
		"reject-wrong": func(p *requestPage) { p.Approve, p.Passkey, p.Challenge, p.Reject = true, true, someText, &wrong },
		"own": func(p *requestPage) {
			p.Withdraw, p.Done = true, &tag{web.Text{ZH: "申请已提出。", EN: "The request was made."}, "good"}
		},
		"subject": func(p *requestPage) {
			p.Why, p.Reject, p.Subject = []web.Text{{ZH: "申请涉及本人。", EN: "The request is about this officer."}}, &reject, "宋晚晴"
		},
		"approved": func(p *requestPage) {
			p.Tag, p.Done = requestTags[approval.Approved], &tag{web.Text{ZH: "已批准，正在执行。", EN: "Approved and being done."}, "wait"}
		},
		"done": func(p *requestPage) {
			p.Tag, p.Code, p.Decider, p.Decided, p.Method, p.Challenge = requestTags[approval.Done], true, "罗景行", g.at, credentialWords[approval.MethodKey], someText
		},
		"failed": func(p *requestPage) {
			p.Tag, p.Note, p.Notices = requestTags[approval.Failed], "the situation has changed: make a new request", []web.Text{{ZH: "此申请已有决定。", EN: "The request has been decided already."}}
			p.Lines, p.History = nil, nil
		},
	} {
		p := &requestPage{room: in(""), ID: somePerson, Self: "/security/requests/x", Title: web.Text{ZH: "认定密钥泄露", EN: "Mark a key compromised"}, Tag: requestTags[approval.Open],
			Lines: []shown{{web.Text{ZH: "密钥", EN: "Key"}, somePerson}, {web.Text{ZH: "指纹", EN: "Fingerprint"}, someHash}}, Resolved: indent([]byte(`{"key":"` + someHash + someHash + `","since":17}`)),
			Requester: "白沐阳", Reason: "疑似被盗", Created: g.at, Expires: g.at.AddDate(0, 0, 1), History: g.events()}
		change(p)
		g.add("request-"+name, web.Page{Template: "request", Title: web.Text{ZH: "申请", EN: "Request"}, Data: p, Wrong: p.Reject != nil && p.Reject.Wrong()})
	}
}

func (g *gallery) officers() {
	title := web.Text{ZH: "安全官", EN: "Security officers"}
	credentials := []credentialRow{{ID: "a", Name: "办公室安全密钥", Key: someHash, Kind: credentialWords[approval.MethodPasskey], Added: g.at, Used: g.at, Synced: true},
		{ID: "b", Key: someHash, Kind: credentialWords[approval.MethodKey], Added: g.at, Until: g.at.AddDate(1, 0, 0)}}
	own, others := slices.Clone(credentials), slices.Clone(credentials)
	for i := range own {
		own[i].Remove, others[i].Replace = "/security/officers/credentials/"+own[i].ID+"/remove", "/security/requests/new/officer.enrol?remove="+own[i].ID
	}
	asks := []link{{Name: web.Text{ZH: "撤销安全官", EN: "Remove a security officer"}, Address: "/x"}}
	page := func(change func(p *officersPage)) web.Page {
		p := &officersPage{room: in("/security/officers"), Form: keyForm(), Asks: asks, Officers: []officerRow{
			{Name: "宋晚晴", Person: "a" + somePerson, Self: true, Added: g.at, Credentials: own}, {Name: "白沐阳", Person: "b" + somePerson, Added: g.at, Credentials: others, Asks: asks},
			{Name: "罗景行", Person: "c" + somePerson, Added: g.at, Asks: asks}}}
		change(p)
		return web.Page{Template: "officers", Title: title, Data: p, Wrong: p.Form.Wrong()}
	}
	g.add("officers", page(func(p *officersPage) {
		p.Done = &web.Text{ZH: "批准凭据已登记。", EN: "The approval credential is enrolled."}
	}))
	g.add("officers-wrong", page(func(p *officersPage) {
		for _, x := range p.Form.Fields {
			p.Form.Blame(x.Name, textMissing)
		}
		p.Notices = []web.Text{{ZH: "没有此批准凭据。", EN: "there is no such approval credential"}}
	}))
}

func (g *gallery) root() {
	title := web.Text{ZH: "根密钥仪式", EN: "Root ceremony"}
	begin := []link{{Name: web.Text{ZH: "请根密钥签署", EN: "Ask the root"}, Address: "/a"}}
	apply := []link{{Name: web.Text{ZH: "上传根密钥的结果", EN: "Apply the root's response"}, Address: "/b"}}
	g.add("root-none", web.Page{Template: "root", Title: title, Data: rootPage{room: in("/security/root"), Begin: begin, Apply: apply}})
	g.add("root-open", web.Page{Template: "root", Title: title, Data: rootPage{in("/security/root"), true, somePerson, someHash, 12345, nil, apply}})
}
