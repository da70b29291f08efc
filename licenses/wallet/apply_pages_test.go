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

const fixtureKey = "06dnpmc3ehxcjn3h0gk7kkxv1r"

// applyFixtures are the pages of applying in each of their states.
func applyFixtures(t *testing.T, own, firm holder) (list []testkit.Fixture) {
	t.Helper()
	types, err := licenses.ShippedTypes()
	if err != nil {
		t.Fatal(err)
	}
	offices := []registry.Agency{{ID: "donghu-amr", NameZH: "江城市东湖区市场监督管理局", NameEN: "Donghu Market Regulation"}, {ID: "xishan-amr", NameZH: "江城市西山区市场监督管理局", NameEN: "Xishan Market Regulation"}}
	add := func(name string, page web.Page) {
		list = append(list, testkit.Fixture{Name: name, Identity: lin, Page: page})
	}
	var offers []offer
	var taxi *licenses.Type
	for _, typ := range types {
		if typ.ID == "taxi-driver" {
			taxi = typ
		}
		if !typ.Apply {
			continue
		}
		offers = append(offers, offer{typ.ID, web.Text(typ.Names)})
		whole, err := form.New(typ)
		if err != nil {
			t.Fatal(err)
		}
		f := whole.ForHolder()
		add("claim-"+typ.ID, claimPage(own, f, claimForm(f.Fields(form.Draft{}, nil), offices, "", fixtureKey)))
		wrong := claimForm(f.Fields(f.Read(url.Values{"trade_name": {"a\u202e"}}), []licenses.Problem{{Path: "/data/" + f.Inputs[0].Name, Text: web.Text{ZH: "为必填项", EN: "is missing"}}}), offices[:1], "", fixtureKey)
		wrong.Blame(form.InAgency, web.Text{ZH: "请选择发证机关", EN: "Choose an agency"})
		add("claim-"+typ.ID+"-wrong", claimPage(firm, f, wrong))
		add("claim-"+typ.ID+"-nobody", claimPage(own, f, claimForm(f.Fields(form.Draft{}, nil), nil, "", fixtureKey)))
	}
	if len(offers) != 4 {
		t.Errorf("%d types can be applied for, want 4", len(offers))
	}
	var rows []sent
	for state, st := range standing {
		a := sent{Applied: licenses.Applied{ID: fixtureKey, State: state, Created: drawnAt, Asked: state == "submitted"}, Name: web.Text{ZH: "教师资格证书", EN: "Teacher qualification"},
			Office: web.Text{ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"}, Tag: st.tag, Word: st.word, Says: st.says, Waits: state == "submitted" || state == "reviewed",
			Fields: []field{{web.Text{ZH: "任教学科", EN: "Subject"}, web.Text{ZH: "语文", EN: "语文"}}}}
		a.Messages = []licenses.Message{{Text: "请说明认定机关。", At: drawnAt}, {FromHolder: true, Text: "江城市教育局。", At: drawnAt}}
		if state == "submitted" {
			a.Needed = []web.Text{{ZH: "近期免冠照片", EN: "Recent photograph"}}
			a.Papers = []paper{{licenses.Attached{ID: fixtureKey, Kind: "jpeg", At: drawnAt}, web.Text{ZH: "机动车驾驶证", EN: "Driving licence"}, 1204}}
			a.Attach = form.AttachForm(taxi, fixtureKey)
		}
		switch state {
		case "reviewed":
			a.Former = web.Text{ZH: "江城市东湖区教育局", EN: "Donghu Education Bureau"}
		case "issued":
			a.License = fixtureKey
		case "rejected":
			a.Reason = "材料不全"
		case "failed":
			a.Why = []web.Text{{ZH: "签发条件已不具备。", EN: "What the licence needs is no longer there."}}
		}
		rows = append(rows, a)
		add("sent-"+state, sentPage(own, a, answerForm(a.Applied, fixtureKey)))
	}
	asked := rows[0]
	wrong := &web.Form{Fields: []web.Field{{Name: inMessage, Type: "textarea", Label: web.Text{ZH: "您的答复", EN: "Your answer"}}}}
	wrong.Blame(inMessage, web.Text{ZH: "请填写内容", EN: "Write something"})
	add("sent-wrong", sentPage(own, asked, wrong))
	add("apply", applyPage(applyData{own, offers, true, nil, rows}))
	drafts := []draftRow{{fixtureKey, web.Text{ZH: "教师资格证书", EN: "Teacher qualification"}, draftAddress("teacher", fixtureKey, ""), drawnAt},
		{fixtureKey, web.Text{ZH: "出租汽车驾驶员证", EN: "Taxi driver"}, "", drawnAt}}
	add("apply-drafts", applyPage(applyData{own, offers, true, drafts, rows[:1]}))
	whole, err := form.New(taxi)
	if err != nil {
		t.Fatal(err)
	}
	f := whole.ForHolder()
	for name, k := range map[string]kept{"draft": {drawnAt, false}, "saved": {drawnAt, true}, "saved-wrong": {drawnAt, true}} {
		page := claimForm(f.Fields(form.Draft{}, nil), offices, "xishan-amr", fixtureKey)
		if name == "saved-wrong" {
			page.Blame(f.Inputs[0].Name, form.TextHidden)
		}
		add("claim-"+name, draftPage(own, f, page, &k))
	}
	add("apply-empty", applyPage(applyData{Holder: firm}))
	return list
}
