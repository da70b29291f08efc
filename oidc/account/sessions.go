package account

import (
	"net/http"
	"net/url"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

// sessionsPage is what sessions.html sees.
type sessionsPage struct {
	Here  *login.Session // the one that asks, nil if it has just ended
	Other []login.Session
	Done  bool // one has just been ended
}

func newSessionsPage(list []login.Session, here string, done bool) *sessionsPage {
	p := &sessionsPage{Done: done}
	for _, e := range list {
		if e.ID == here {
			p.Here = &e
		} else {
			p.Other = append(p.Other, e)
		}
	}
	return p
}

func sessionsOf(p *sessionsPage) web.Page {
	return web.Page{Template: "sessions", Title: web.Text{ZH: "登录设备", EN: "Where you are signed in"}, Data: p}
}

func (s *Service) showSessions(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	list, err := s.o.Logins.Sessions(r.Context(), id.Person)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, sessionsOf(newSessionsPage(list, id.Session, r.URL.Query().Get("done") == "ended")))
}

func (s *Service) takeEnd(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if err := s.o.Logins.EndSession(r.Context(), id.Person, r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/account/sessions?done=ended", http.StatusSeeOther)
	return nil
}

// takeEndAll signs the person out everywhere, here too. The page at the end says so to
// whoever is signed in no longer.
func (s *Service) takeEndAll(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if err := s.o.Logins.SignOutAll(r.Context(), id); err != nil {
		return err
	}
	http.Redirect(w, r, "/logout", http.StatusSeeOther)
	return nil
}

// historyPage is what history.html sees.
type historyPage struct{ Entries []login.Entry }

func historyOf(list []login.Entry) web.Page {
	return web.Page{Template: "history", Title: web.Text{ZH: "账户记录", EN: "What happened to your account"}, Data: historyPage{list}, Wide: true}
}

func (s *Service) showHistory(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	list, err := s.o.Logins.History(r.Context(), id.Person, id.Session)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, historyOf(list))
}

// sitesPage is what sites.html sees.
type sitesPage struct {
	Sites []Site
	Done  bool // one has just been withdrawn
}

func sitesOf(p sitesPage) web.Page {
	return web.Page{Template: "sites", Title: web.Text{ZH: "已授权的网站", EN: "Sites that know who you are"}, Data: p}
}

func (s *Service) showSites(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	list, err := s.o.Consents.List(r.Context(), id.Person)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, sitesOf(sitesPage{list, r.URL.Query().Get("done") == "withdrawn"}))
}

func withdrawOf(site Site) web.Page {
	return web.Page{Template: "withdraw", Title: web.Text{ZH: "撤回授权", EN: "Withdraw"}, Data: site}
}

func (s *Service) askWithdraw(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	list, err := s.o.Consents.List(r.Context(), id.Person)
	if err != nil {
		return err
	}
	for _, site := range list {
		if site.Client == r.PathValue("client") {
			return s.pages.Render(w, r, withdrawOf(site))
		}
	}
	http.Redirect(w, r, "/account/sites", http.StatusSeeOther) // withdrawn meanwhile
	return nil
}

func (s *Service) takeWithdraw(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if err := s.o.Consents.Withdraw(r.Context(), id.Person, r.PathValue("client")); err != nil {
		return err
	}
	http.Redirect(w, r, "/account/sites?"+url.Values{"done": {"withdrawn"}}.Encode(), http.StatusSeeOther)
	return nil
}
