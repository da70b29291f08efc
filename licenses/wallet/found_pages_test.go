package wallet

import (
	"net/url"
	"testing"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// foundFixtures are the pages of starting a firm in each of their states.
func foundFixtures(t *testing.T, own holder) (list []testkit.Fixture) {
	t.Helper()
	types, err := licenses.ShippedTypes()
	if err != nil {
		t.Fatal(err)
	}
	typ := typeOf(types, licenses.FirmType)
	f, err := form.Founding(typ)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, page web.Page) {
		list = append(list, testkit.Fixture{Name: name, Identity: lin, Page: page})
	}
	offices := []registry.Agency{{ID: "donghu-amr", NameZH: "江城市东湖区市场监督管理局", NameEN: "Donghu Market Regulation"}, {ID: "xishan-amr", NameZH: "江城市西山区市场监督管理局", NameEN: "Xishan Market Regulation"}}
	data := map[string]any{"kind": "有限责任公司（自然人独资）", "capital_10k": float64(50), "currency": "人民币", "address": "江城市东湖区湖滨路18号2幢101室", "industry": "住宿和餐饮业", "scope": "餐饮服务"}
	var rows []founding
	for state, st := range foundingStanding {
		one := founding{Founding: &licenses.Founding{ID: fixtureKey, Name: "江城湖畔小馆餐饮有限公司", State: state, Created: drawnAt, Data: data}, Address: foundingAt(fixtureKey),
			Office: web.Text{ZH: offices[0].NameZH, EN: offices[0].NameEN}, Tag: st.tag, Word: st.word, Says: st.says, Waits: state == licenses.FoundingSubmitted, Fields: fields(typ, data)}
		switch state {
		case licenses.FoundingRejected:
			one.Reason = "名称与行业不符"
		case licenses.FoundingDone:
			one.Firm, one.License = hotpot.USCC, &licenses.License{ID: fixtureKey}
			acting, lost := own, own
			acting.Firm, lost.Firms = hotpot.USCC, nil
			add("founding-acting", foundingPage(lin.Name, one, acting))
			add("founding-lost", foundingPage(lin.Name, one, lost))
		}
		rows = append(rows, one)
		add("founding-"+string(state), foundingPage(lin.Name, one, own))
	}
	empty := newFoundData(lin.Name, f.Fields(form.Draft{}, nil), offices, "", fixtureKey)
	add("found", foundPage(empty))
	wrong := newFoundData(lin.Name, f.Fields(f.Read(url.Values{"scope": {"a\u202e"}}), []licenses.Problem{{Path: "/name", Text: web.Text{ZH: "已有同名企业，请改用其他名称", EN: "is the name of another firm: choose another"}}}), offices, "", fixtureKey)
	wrong.Form.Blame(form.InAgency, web.Text{ZH: "请选择登记机关", EN: "Choose an agency"})
	wrong.Sent = rows
	add("found-wrong", foundPage(wrong))
	full := newFoundData(lin.Name, f.Fields(form.Draft{}, nil), offices, "donghu-amr", fixtureKey)
	full.Sent, full.Full = rows, true
	add("found-full", foundPage(full))
	add("found-nobody", foundPage(newFoundData(lin.Name, f.Fields(form.Draft{}, nil), nil, "", fixtureKey)))
	add("found-unsure", foundPage(foundData{Person: lin.Name, SignIn: "/login?acr=x&next=%2Fwallet%2Ffound"}))
	return list
}
