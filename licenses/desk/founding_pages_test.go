package desk

import (
	"time"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// foundings draws the queue of new firms, and one in each of its states.
func (g *gallery) foundings() {
	queue := &foundingsPage{desk: g.c.desk(), First: "/desk/foundings", Next: "/desk/foundings?after=x"}
	for i, t := range foundingTags {
		queue.Tabs = append(queue.Tabs, link{t.tag.Word, "/desk/foundings?state=" + string(t.state), i == 0})
		queue.Rows = append(queue.Rows, foundingRow{"/desk/foundings/" + string(rune('a'+i)), "江城湖畔小馆餐饮有限公司", "林若川", [4]web.Text{1: g.c.agencies[1].Name}[i%4], g.at, t.tag})
	}
	g.add("foundings", foundingsOf(queue, foundingTags[0].tag))
	g.add("foundings-empty", foundingsOf(&foundingsPage{desk: g.c.desk(), Tabs: queue.Tabs}, foundingTags[0].tag))
	s := &Service{}
	s.kinds.Store(&kinds{forms: g.forms})
	f := &licenses.Founding{Name: "江城湖畔小馆餐饮有限公司", Data: map[string]any{"kind": "有限责任公司（自然人独资）", "capital_10k": float64(50), "currency": "人民币",
		"address": "江城市东湖区湖滨路18号2幢101室", "industry": "住宿和餐饮业", "scope": "餐饮服务"}}
	for name, change := range map[string]func(p *foundingPage){
		"waits": func(p *foundingPage) { p.Review = foundingForm() },
		"own":   func(p *foundingPage) { p.Bar = &textOwnFounding },
		"away": func(p *foundingPage) {
			p.Asked, p.Dealing = g.c.agencies[0].Name, g.c.agencies[1].Name
			p.Bar = standing{Dealing: p.Dealing}.textAwayTo()
		},
		"late": func(p *foundingPage) { p.Tag, p.Notice = foundingTag(licenses.FoundingWithdrawn), &textLateFirm },
		"founded": func(p *foundingPage) {
			p.Tag, p.Firm, p.License = foundingTag(licenses.FoundingDone), "91990101MA1F001175", "/desk/licenses/x"
		},
		"signing": func(p *foundingPage) {
			p.Tag, p.Firm, p.License, p.Signing = foundingTag(licenses.FoundingDone), "91990101MA1F001175", "/desk/licenses/x", true
		},
		"rejected": func(p *foundingPage) {
			p.Tag, p.Reason = foundingTag(licenses.FoundingRejected), "名称与行业不符"
		},
		"no-reason": func(p *foundingPage) {
			p.Review = foundingForm()
			p.Review.Blame(inReason, web.Text{ZH: "请填写理由", EN: "Enter a reason"})
		},
		"taken": func(p *foundingPage) {
			p.Review = foundingForm()
			p.Why = []web.Text{s.foundingInputs().About("name", web.Text{ZH: "已有同名企业，请改用其他名称", EN: "is the name of another firm: choose another"})}
		},
	} {
		p := &foundingPage{desk: g.c.desk(), Dealing: g.c.agency.Name, Queue: "/desk/foundings", Name: f.Name, Tag: foundingTag(licenses.FoundingSubmitted), Submitter: plainText("林若川"), Submitted: g.at,
			Lines: s.foundingLines(f, registry.Person{Name: "林若川", Number: "990101198503120117"}), Self: "/desk/foundings/a"}
		if change(p); p.Review == nil && p.Bar == nil {
			p.Decider, p.Decided = plainText("宋晚晴"), g.at.Add(time.Hour)
		}
		g.add("founding-"+name, foundingOf(p, 0))
	}
}
