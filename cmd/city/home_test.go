package city

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

func testHome(t *testing.T, demo bool, id *web.Identity) (*web.Site, *home) {
	t.Helper()
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城一网通办", EN: "Jiangcheng services"}, Places: places(), Demo: demo,
		Identify: func(*http.Request) (*web.Identity, error) { return id, nil }, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHome(site, demo)
	if err != nil {
		t.Fatal(err)
	}
	h.sites = []homeSite{{web.Text{ZH: "江城市教育局·网上办事", EN: "Jiangcheng Education Online"}, "http://127.0.0.1:9001/"}}
	return site, h
}

func TestPages(t *testing.T) {
	site, h := testHome(t, true, nil)
	citizen := &web.Identity{Person: "p1", Name: "林若川", Firm: "91990101MA1F001175", FirmName: "江城东湖老灶火锅餐饮有限公司"}
	clerk := &web.Identity{Person: "p2", Name: "白沐阳", Roles: []web.Role{{Agency: "donghu-amr", Name: web.RoleClerk}}}
	testkit.CheckPages(t, site, h.pages, []testkit.Fixture{
		{Name: "home", Page: h.page(nil)},
		{Name: "home-citizen", Identity: citizen, Page: h.page(citizen)},
		{Name: "home-clerk", Identity: clerk, Page: h.page(clerk)},
	})
}

func TestHomeLeadsEachVisitorOn(t *testing.T) {
	clerk := &web.Identity{Name: "白沐阳", Roles: []web.Role{{Agency: "donghu-amr", Name: web.RoleClerk}}}
	everybody := []string{`href="/verify/"`, `href="/desk"`, `href="/.well-known/openid-configuration"`, `href="/log/checkpoint"`}
	tests := []struct {
		name    string
		id      *web.Identity
		demo    bool
		has, no []string
	}{
		{"nobody", nil, false, []string{`class="button" href="/login"`}, []string{"/logout", "演示", "demo.json", "我的账户"}},
		{"nobody in the demo", nil, true, []string{"demo.json", "虚构"}, nil},
		{"citizen", &web.Identity{Name: "林若川"}, false, []string{`class="button" href="/wallet"`, "林若川", "/logout", "我的账户"}, []string{`href="/login"`, ">证照窗口<"}},
		{"clerk", clerk, false, []string{">证照窗口<", `class="button" href="/desk"`}, []string{`href="/login"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, h := testHome(t, tt.demo, tt.id)
			mux := http.NewServeMux()
			h.mount(mux)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			for _, text := range append(everybody, tt.has...) {
				if !strings.Contains(w.Body.String(), text) {
					t.Errorf("lacks %s", text)
				}
			}
			for _, text := range tt.no {
				if strings.Contains(w.Body.String(), text) {
					t.Errorf("has %s", text)
				}
			}
			w = httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", "/nothing", nil))
			if w.Code != http.StatusNotFound {
				t.Errorf("the home page answers other addresses: %d", w.Code)
			}
		})
	}
}
