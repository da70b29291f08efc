package desk

import (
	"maps"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// replace draws the page that replaces a licence: for each way of it the form,
// empty and wrong, and what would change.
func (g *gallery) replace() {
	s := &Service{}
	s.kinds.Store(&kinds{forms: g.forms})
	f := g.forms["food-business"]
	before := &licenses.License{Type: "food-business", NotBefore: g.at.AddDate(-5, 0, 0), NotAfter: g.at.AddDate(0, 1, 0),
		Data: map[string]any{"trade_name": "老灶火锅", "premises": "江城市东湖区湖滨路18号2幢101室", "category": "餐饮服务经营者", "seats": float64(86), "former": true}}
	after := &licenses.License{Data: maps.Clone(before.Data), NotBefore: g.at, NotAfter: g.at.AddDate(5, 0, 0)}
	after.Data["seats"] = float64(96)
	after.Data["online"] = "是"
	delete(after.Data, "former")
	for _, kind := range replacements {
		d := &replaced{kind: kind.kind, Draft: form.Draft{Values: map[string]string{}}}
		for name, v := range before.Data {
			d.Values[name] = form.Written(v)
		}
		page := func(name string, filled web.Form, preview []difference) {
			p := &replacePage{desk: g.c.desk(), Back: "/desk/licenses/x", Kind: kind, Type: web.Text{ZH: "食品经营许可证", EN: "Food business licence"},
				Number: "JY99010120260000001", Holder: "江城东湖老灶火锅餐饮有限公司", Form: filled, Preview: preview, Version: 2}
			g.add("replace-"+kind.path+name, web.Page{Template: "replace", Title: kind.label, Data: p, Wrong: filled.Wrong()})
		}
		page("", d.fields(f, nil, someKey), nil)
		wrong := d.fields(f, []licenses.Problem{{Path: "/data/seats", Text: web.Text{ZH: "须不小于 0", EN: "must be at least 0"}},
			{Path: "/data", Text: web.Text{ZH: "过长", EN: "is too long"}}}, someKey)
		wrong.Blame(inWhy, web.Text{ZH: "请填写理由", EN: "Enter a reason"})
		page("-wrong", wrong, nil)
		page("-preview", hiddenForm(d.fields(f, nil, someKey)), s.differences(before, after))
	}
}
