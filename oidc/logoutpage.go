package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/signet-city/signet/internal/web"
)

// logoutPage is what endsession.html sees.
type logoutPage struct {
	Done     bool
	Client   string // the name of the site that asks, "" for nobody's
	ClientID string
	Redirect string
	State    string
	Key      string
}

// askLogout asks whether to sign out (section 2: whenever it is not certain that the
// person wants it).
func (p *Provider) askLogout(w http.ResponseWriter, r *http.Request, l *logout, id *web.Identity) error {
	data := logoutPage{Redirect: l.redirect, State: l.state, Key: logoutKey(id)}
	if l.client != nil {
		data.Client, data.ClientID = l.client.Name, l.client.ID
	}
	return p.pages.Render(w, r, logoutAsk(data))
}

func logoutAsk(data logoutPage) web.Page {
	page := web.Page{Template: "endsession", Title: web.Text{ZH: "退出登录", EN: "Sign out"}, Data: &data}
	if data.Redirect != "" {
		page.FormTo = originOf(data.Redirect)
	}
	return page
}

func logoutDone() web.Page {
	return web.Page{Template: "endsession", Title: web.Text{ZH: "您已退出登录", EN: "You are signed out"}, Data: &logoutPage{Done: true}}
}

// logoutKey ties the page to the session that it was shown to.
func logoutKey(id *web.Identity) string {
	sum := sha256.Sum256([]byte("logout\x00" + id.Session))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
