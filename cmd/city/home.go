package city

import (
	"embed"
	"net/http"

	"github.com/signet-city/signet/internal/web"
)

//go:embed templates
var homeFiles embed.FS

// home is the page at /: it says what this is and leads each kind of visitor on.
type home struct {
	pages *web.Pages
	demo  bool
	sites []homeSite // other sites that take this sign-in
}

// homeSite is a site that the home page leads to.
type homeSite struct {
	Name    web.Text
	Address string
}

// homeData is what home.html sees.
type homeData struct {
	Demo     bool
	SignedIn bool
	Clerk    bool
	Sites    []homeSite
}

func newHome(site *web.Site, demo bool) (*home, error) {
	pages, err := site.Pages(homeFiles)
	if err != nil {
		return nil, err
	}
	return &home{pages: pages, demo: demo}, nil
}

func (h *home) mount(mux *http.ServeMux) {
	mux.Handle("GET /{$}", h.pages.Handler(func(w http.ResponseWriter, r *http.Request) error {
		return h.pages.Render(w, r, h.page(web.IdentityOf(r.Context())))
	}))
}

// page returns the home page as id sees it; nil is nobody.
func (h *home) page(id *web.Identity) web.Page {
	return web.Page{Template: "home", Title: web.Text{ZH: "首页", EN: "Home"}, Wide: true,
		Data: homeData{Demo: h.demo, SignedIn: id != nil, Clerk: isClerk(id), Sites: h.sites}}
}

func isClerk(id *web.Identity) bool { return id != nil && len(id.Agencies(web.RoleClerk)) > 0 }

func isOfficer(id *web.Identity) bool { return id != nil && len(id.Agencies(web.RoleOfficer)) > 0 }

func isAtWork(id *web.Identity) bool { return id != nil && len(id.Roles) > 0 }

// isFirm is for whoever acts for a firm in this session.
func isFirm(id *web.Identity) bool { return id != nil && id.Firm != "" }

func isSomebody(id *web.Identity) bool { return id != nil }

// places is what the head of every page of the city leads to.
func places() []web.Place {
	return []web.Place{
		{Path: "/", Label: web.Text{ZH: "首页", EN: "Home"}},
		{Path: "/wallet", Label: web.Text{ZH: "我的证照", EN: "My permits"}, For: isSomebody},
		{Path: "/firm", Label: web.Text{ZH: "企业证书", EN: "Firm's certificates"}, For: isFirm},
		{Path: "/account", Label: web.Text{ZH: "我的账户", EN: "My account"}, For: isSomebody},
		{Path: "/desk", Label: web.Text{ZH: "证照窗口", EN: "Permit desk"}, For: isClerk},
		{Path: "/agency", Label: web.Text{ZH: "部门证书", EN: "Agency certificates"}, For: isAtWork},
		{Path: "/security", Label: web.Text{ZH: "密钥安全", EN: "Security"}, For: isOfficer},
		{Path: "/verify/", Label: web.Text{ZH: "查验证照", EN: "Check a permit"}},
	}
}
