package login

import (
	"net/http"

	"github.com/signet-city/signet/internal/web"
)

// signOutPage is what logout.html sees.
type signOutPage struct{ Done bool }

func (s *Service) renderSignOut(w http.ResponseWriter, r *http.Request, done bool) error {
	title := web.Text{ZH: "退出登录", EN: "Sign out"}
	if done {
		title = web.Text{ZH: "您已退出登录", EN: "You are signed out"}
	}
	return s.pages.Render(w, r, web.Page{Template: "logout", Title: title, Data: signOutPage{done}})
}

func (s *Service) askSignOut(w http.ResponseWriter, r *http.Request) error {
	return s.renderSignOut(w, r, web.IdentityOf(r.Context()) == nil)
}

// takeSignOut ends the session. It shows a page and does not redirect: sending the
// form again ends nothing more.
func (s *Service) takeSignOut(w http.ResponseWriter, r *http.Request) error {
	if id := web.IdentityOf(r.Context()); id != nil {
		if err := s.SignOut(r.Context(), id.Session); err != nil {
			return err
		}
	}
	setCookie(w, sessionCookie, "", -1e9)
	return s.renderSignOut(w, r.WithContext(web.WithIdentity(r.Context(), nil)), true)
}
