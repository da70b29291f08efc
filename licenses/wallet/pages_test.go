package wallet

import (
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

var (
	drawnAt = time.Date(2026, 3, 1, 9, 30, 0, 0, time.FixedZone("UTC+8", 8*3600))
	lin     = &web.Identity{Session: "s", Person: "lin", Name: "林若川", ACR: "urn:signet:acr:phishing-resistant", AuthTime: drawnAt}
	forFirm = &web.Identity{Session: "s", Person: "lin", Name: "林若川", Firm: hotpot.USCC, FirmName: hotpot.Name, Chosen: true, AuthTime: drawnAt}
	hotpot  = registry.Firm{USCC: "91990101MA1F001175", Name: "江城东湖老灶火锅餐饮有限公司"}
	coffee  = registry.Firm{USCC: "91990101MA1F001250", Name: "江城湖畔咖啡烘焙有限责任公司"}
)

// sample is a permit in a state.
func sample(t *testing.T, firm bool, st state) permit {
	t.Helper()
	p := permit{ID: "06h0s3hz405n0atyjmwrm4mrq4", Number: "JS99010020260000001", Identifier: "1.2.156.3005.2.11990100MB00000017002.11990100MB00000435.JS99010020260000001.001.V",
		Holder: "林若川", HolderNo: "990101********0117", Agency: web.Text{ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"}, Status: st,
		Reason: "复查未通过：后厨整改期限内未完成", Changed: drawnAt, From: drawnAt.AddDate(0, -1, 0), Last: drawnAt.AddDate(5, -1, 0).Add(-time.Second),
		code: "EL1:" + strings.Repeat("6BFOXN*TS0BI$ZD.P9UOL97O4-2HH77HRM3DSPTRZR-R8ZG/43", 9)}
	id, data := "teacher", map[string]any{"kind": "小学教师资格", "subject": "语文", "granted": "2026-02-01"}
	if firm {
		id, data = "food-business", map[string]any{"trade_name": "老灶火锅（湖滨店）", "premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川",
			"category": "餐饮服务经营者", "scope": "热食类食品制售", "seats": float64(86), "online": "是"}
		p.Number, p.Holder, p.HolderNo = "JY99010120260000017", hotpot.Name, hotpot.USCC
		p.Agency = web.Text{ZH: "江城市东湖区市场监督管理局", EN: "Donghu Administration for Market Regulation"}
	}
	types, err := licenses.ShippedTypes()
	if err != nil {
		t.Fatal(err)
	}
	for _, lt := range types {
		if lt.ID == id {
			p.Type, p.Fields = web.Text(lt.Names), fields(lt, data)
		}
	}
	if st == signing {
		p.code = ""
	}
	return p
}

func TestPages(t *testing.T) {
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城政务服务", EN: "Jiangcheng Services"}, Demo: true, Places: []web.Place{
		{Path: "/wallet", Label: web.Text{ZH: "我的证照", EN: "My permits"}}, {Path: "/account", Label: web.Text{ZH: "我的账户", EN: "My account"}},
		{Path: "/verify/", Label: web.Text{ZH: "证照查验", EN: "Check a permit"}}}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := site.Pages(files)
	if err != nil {
		t.Fatal(err)
	}
	own := holder{Name: "林若川", Firms: []registry.Firm{hotpot, coffee}, kind: licenses.HolderPerson}
	alone := holder{Name: "韩砚舟", kind: licenses.HolderPerson}
	firm := holder{Name: hotpot.Name, Firm: hotpot.USCC, Firms: own.Firms, kind: licenses.HolderFirm}
	lost := holder{Name: hotpot.Name, Firm: hotpot.USCC, Firms: []registry.Firm{coffee}, Lost: true}
	many := firm
	for range 10 {
		many.Firms = append(many.Firms, coffee)
	}
	all := []permit{sample(t, true, inForce), sample(t, true, notYet), sample(t, true, suspended), sample(t, true, signing), sample(t, true, expired), sample(t, true, revoked)}
	fixtures := []testkit.Fixture{
		{Name: "own", Identity: lin, Page: walletPage(own, []permit{sample(t, false, inForce)}, true)},
		{Name: "own-empty", Identity: &web.Identity{Name: "韩砚舟"}, Page: walletPage(alone, nil, true)},
		{Name: "own-empty-with-firms", Identity: lin, Page: walletPage(own, nil, true)},
		{Name: "firm", Identity: forFirm, Page: walletPage(firm, all, true)},
		{Name: "firm-empty", Identity: forFirm, Page: walletPage(many, nil, true)},
		{Name: "firm-lost", Identity: forFirm, Page: walletPage(lost, nil, true)},
	}
	add := func(name string, id *web.Identity, h holder, p permit, page func(permit, holder) (web.Page, error)) {
		drawn, err := page(p, h)
		if err != nil {
			t.Fatal(err)
		}
		fixtures = append(fixtures, testkit.Fixture{Name: name, Identity: id, Page: drawn})
	}
	add("permit", lin, own, sample(t, false, inForce), permitPage)
	for name, st := range map[string]state{"firm": inForce, "suspended": suspended, "signing": signing, "expired": expired, "revoked": revoked, "replaced": replaced} {
		add("permit-"+name, forFirm, firm, sample(t, true, st), permitPage)
	}
	add("show", forFirm, firm, sample(t, true, inForce), showPage)
	add("show-suspended", forFirm, firm, sample(t, true, suspended), showPage)
	fixtures = append(fixtures, applyFixtures(t, own, firm)...)
	fixtures = append(fixtures, foundFixtures(t, own)...)
	testkit.CheckPages(t, site, pages, fixtures)
}

// A code is never drawn of nothing.
func TestShowWhileSigning(t *testing.T) {
	if _, err := showPage(sample(t, true, signing), holder{}); web.Status(err) != 503 {
		t.Errorf("got %v", err)
	}
}
