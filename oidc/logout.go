package oidc

import (
	"context"
	"encoding/json/v2"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const logoutPath = "/oidc/logout"

// logout is a request of OpenID Connect RP-Initiated Logout 1.0 section 2. Its
// redirect is one that the client has registered.
type logout struct {
	client   *client // nil where nobody says who asks
	redirect string  // "" for none
	state    string
	hinted   string // the sid of an ID token of that client, "" without one; nobody else knows it
}

// What is wrong with a request to sign out is told to the person: an address that
// might be a stranger's is not gone to.
var (
	errLogout = web.Refuse(fault.Invalid, web.Text{ZH: "退出登录的请求格式不正确。您可以在“我的账户”中退出登录。",
		EN: "The request to sign out is malformed. You can sign out in your account."})
	errLogoutClient = web.Refuse(fault.Invalid, web.Text{ZH: "请求退出登录的网站未在本平台登记，或已停用。您可以在“我的账户”中退出登录。",
		EN: "The site that asks to sign you out is not registered here, or no longer. You can sign out in your account."})
	errLogoutRedirect = web.Refuse(fault.Invalid, web.Text{ZH: "该网站要求退出后前往的地址未经登记，操作已停止。您可以在“我的账户”中退出登录。",
		EN: "The site wants you sent on to an address that is not registered, so nothing was done. You can sign out in your account."})
)

// mountLogout adds the addresses of signing out. The POST at logoutPath is a form of
// another site, like that of the authorization endpoint; the answer to our own page
// comes to another address, which no other site's form reaches.
func (p *Provider) mountLogout(mux *http.ServeMux) {
	if p.o.SignOut == nil {
		return
	}
	mux.Handle("GET "+logoutPath, p.pages.Handler(p.serveLogout))
	mux.Handle("POST "+logoutPath, p.pages.Handler(p.servePostedLogout))
	mux.Handle("POST "+logoutPath+"/confirm", p.pages.Handler(p.serveLogoutAnswer))
}

// parseLogout reads a request to sign out. A hint that does not verify is as good as
// none: the key of an old ID token may be gone, and the person is asked then. One that
// verifies and is another client's is an attempt.
func (p *Provider) parseLogout(ctx context.Context, values url.Values) (*logout, error) {
	for _, list := range values {
		if len(list) != 1 {
			return nil, errLogout
		}
	}
	l := &logout{redirect: values.Get("post_logout_redirect_uri"), state: values.Get("state")}
	id, hint := values.Get("client_id"), values.Get("id_token_hint")
	if len(l.state) > maxState || !isVisible(l.state) {
		return nil, errLogout
	}
	if hint != "" {
		c, err := p.hintOf(ctx, hint)
		if err != nil {
			return nil, err
		}
		if c != nil && id != "" && c.Audience != id {
			return nil, errLogoutClient
		}
		if c != nil {
			id, l.hinted = c.Audience, c.Session
		}
	}
	if hint == "" && id != "" {
		l.hinted = values.Get("sid") // as a posted token was read
	}
	if id == "" {
		if l.redirect != "" {
			return nil, errLogoutRedirect
		}
		return l, nil
	}
	var err error
	l.client, err = p.findClient(ctx, id)
	if fault.KindOf(err) == fault.NotFound || err == nil && (!l.client.Disabled.IsZero() || !l.client.signsIn()) {
		return nil, errLogoutClient
	}
	if err != nil {
		return nil, err
	}
	if l.redirect != "" && !slices.Contains(l.client.PostLogoutRedirectURIs, l.redirect) {
		return nil, errLogoutRedirect
	}
	return l, nil
}

// hintOf returns the claims of an ID token of ours, expired or not, nil for any other
// text.
func (p *Provider) hintOf(ctx context.Context, hint string) (*idClaims, error) {
	payload, err := p.verify(ctx, hint, idTokenType)
	if err != nil || payload == nil {
		return nil, err
	}
	var c idClaims
	if json.Unmarshal(payload, &c, json.RejectUnknownMembers(true)) != nil || c.Issuer != p.o.Issuer || c.Audience == "" || c.Session == "" {
		return nil, nil
	}
	return &c, nil
}

// isOf reports whether the request's ID token was made in the session. Only the client
// that was given the token, and the person, have it.
func (l *logout) isOf(session string) bool {
	return l.hinted != "" && sameHash([]byte(l.hinted), []byte(sid(&grant{session: session, client: l.client.ID})))
}

// serveLogout signs out whoever the client's ID token was made for in this browser,
// and asks everybody else.
func (p *Provider) serveLogout(w http.ResponseWriter, r *http.Request) error {
	values, err := parseForm(r.URL.RawQuery)
	if err != nil {
		return errLogout
	}
	ctx, id := r.Context(), web.IdentityOf(r.Context())
	l, err := p.parseLogout(ctx, values)
	if err != nil {
		return err
	}
	if lang := localeFor(r, values.Get("ui_locales")); lang != "" {
		values.Del("ui_locales")
		values.Set("lang", string(lang))
		http.Redirect(w, r, logoutPath+"?"+values.Encode(), http.StatusSeeOther)
		return nil
	}
	if l.client != nil && l.client.Sandbox {
		return p.logOutPersona(w, r, l)
	}
	if id == nil {
		return p.loggedOut(w, r, l)
	}
	if !l.isOf(id.Session) {
		return p.askLogout(w, r, l, id)
	}
	return p.logOut(w, r, l, id)
}

// servePostedLogout takes the request from a form, whose browser sends no cookie along
// when the form stands on another site. So it comes back by itself, as a GET.
func (p *Provider) servePostedLogout(w http.ResponseWriter, r *http.Request) error {
	values, err := postedForm(w, r)
	if err != nil {
		return web.Explain(err, web.Text{ZH: "退出登录的请求格式不正确。您可以在“我的账户”中退出登录。", EN: "The request to sign out is malformed. You can sign out in your account."})
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	// What is personal in an ID token stays out of the address: it goes on as what it says.
	if list := values["id_token_hint"]; len(list) > 1 || len(values["client_id"]) > 1 {
		return errLogout
	} else if len(list) == 1 {
		c, err := p.hintOf(r.Context(), list[0])
		if err != nil {
			return err
		}
		if c != nil && values.Has("client_id") && values.Get("client_id") != c.Audience {
			return errLogoutClient
		}
		values.Del("id_token_hint")
		if c != nil {
			values.Set("client_id", c.Audience)
			values.Set("sid", c.Session)
		}
	}
	http.Redirect(w, r, logoutPath+"?"+values.Encode(), http.StatusSeeOther)
	return nil
}

// serveLogoutAnswer takes what the person said. The page's key ties the answer to the
// session that it was shown to.
func (p *Provider) serveLogoutAnswer(w http.ResponseWriter, r *http.Request) error {
	values, err := postedForm(w, r)
	if err != nil {
		return errLogout
	}
	key, id := values.Get("key"), web.IdentityOf(r.Context())
	values.Del("key")
	l, err := p.parseLogout(r.Context(), values)
	if err != nil {
		return err
	}
	if l.client != nil && l.client.Sandbox {
		return p.logOutPersona(w, r, l)
	}
	if id == nil {
		return p.loggedOut(w, r, l)
	}
	if !sameHash([]byte(key), []byte(logoutKey(id))) {
		return p.askLogout(w, r, l, id)
	}
	return p.logOut(w, r, l, id)
}

// logOut ends the session and sends the browser on.
func (p *Provider) logOut(w http.ResponseWriter, r *http.Request, l *logout, id *web.Identity) error {
	if err := p.o.SignOut(r.Context(), id.Session); err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return p.loggedOut(w, r.WithContext(web.WithIdentity(r.Context(), nil)), l)
}

// loggedOut sends the browser to where the client wants it (section 3), or says that
// it is done.
func (p *Provider) loggedOut(w http.ResponseWriter, r *http.Request, l *logout) error {
	if l.redirect == "" {
		return p.pages.Render(w, r, logoutDone())
	}
	answer := url.Values{}
	if l.state != "" {
		answer.Set("state", l.state)
	}
	to := l.redirect
	if len(answer) > 0 {
		to = withQuery(to, answer)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
