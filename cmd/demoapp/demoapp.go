// Package demoapp is a relying party of the demo: an agency's own site, on another
// site than the provider's, which knows the issuer and nothing else of Signet.
//
// It signs people in by the authorization code flow of OpenID Connect Core 1.0
// with PKCE (RFC 7636), state and nonce, with a key also by the FAPI 2.0 Security
// Profile, and believes nothing that comes through
// the browser: an answer counts only once, in the browser that asked, from the
// issuer that was asked (RFC 9207). What it knows of a visitor it keeps in memory,
// bounded in number and age: a restart signs everybody out here, and here alone.
package demoapp

import (
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

//go:embed templates
var files embed.FS

// maxBody bounds a form.
const maxBody = 16 << 10

// Link is another agency's site.
type Link struct {
	Name web.Text
	URL  string
}

// Options are what New needs. Name, Issuer, ClientID, Self and one of ClientSecret and
// PrivateJWK are required.
type Options struct {
	Name         web.Text // of the agency's site
	Issuer       string
	ClientID     string
	ClientSecret string           // of a client of the profile basic
	PrivateJWK   []byte           // made by NewKey, of a client of the profile fapi2
	Self         string           // own origin, such as http://127.0.0.1:8081; the redirect URI is its /callback
	Other        []Link           // sites of other agencies
	Now          func() time.Time // nil means time.Now
	Logger       *slog.Logger     // nil discards
}

// app is the site.
type app struct {
	o        Options
	issuer   string // its origin, to which forms lead
	pages    *web.Pages
	provider *provider
	flows    *store[flow]
	sessions *store[session]
	cookies  cookies
}

// New returns the site. It reaches for the issuer when somebody first signs in, and
// again when that did not work. It fails for options that are missing or are no
// origins.
func New(o Options) (http.Handler, error) {
	if o.Name == (web.Text{}) || o.ClientID == "" || (o.ClientSecret == "") == (len(o.PrivateJWK) == 0) {
		return nil, errors.New("new relying party: a name and a client's credentials are required")
	}
	self, err := origin(o.Self)
	if err != nil {
		return nil, fmt.Errorf("new relying party: own address: %w", err)
	}
	issuer, err := origin(o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("new relying party: issuer: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &app{o: o, issuer: issuer, provider: newProvider(o), cookies: newCookies(o.ClientID, self),
		flows: newStore[flow](flowAge, o.Now), sessions: newStore[session](sessionAge, o.Now)}
	if len(o.PrivateJWK) > 0 {
		if a.provider.strict, err = newStrict(o.PrivateJWK); err != nil {
			return nil, fmt.Errorf("new relying party: %w", err)
		}
	}
	site, err := web.NewSite(web.SiteOptions{Name: o.Name, Identify: a.identify, SignIn: "-", Demo: true, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	if a.pages, err = site.Pages(files); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	site.Mount(mux)
	mux.Handle("GET /{$}", a.pages.Handler(a.getHome))
	mux.Handle("POST /signin", a.pages.Handler(a.postSignIn))
	mux.Handle("GET /callback", a.pages.Handler(a.getCallback))
	mux.HandleFunc("POST /backchannel", a.postBackchannel)
	mux.Handle("POST /logout", a.pages.Handler(a.postLogout))
	mux.Handle("GET /", site.Fail(fault.New(fault.NotFound, "no such page")))
	return web.Protect(mux, maxBody, site.Fail(errStranger)), nil
}

// errStranger is for a form that another site sent.
var errStranger = web.Refuse(fault.Denied, web.Text{ZH: "该请求来自其他网站，未予办理。请从本网站重新操作。", EN: "Another site sent this request, so nothing was done. Start again from this site."})

// origin returns the scheme and host of an address.
func origin(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("want http:// or https:// and a host")
	}
	return u.Scheme + "://" + u.Host, nil
}

func (a *app) getHome(w http.ResponseWriter, r *http.Request) error {
	_, s, ok := a.session(r)
	if !ok {
		return a.pages.Render(w, r, a.frontPage())
	}
	return a.pages.Render(w, r, a.signedInPage(s))
}

// postLogout ends the session here. That of the provider goes on.
func (a *app) postLogout(w http.ResponseWriter, r *http.Request) error {
	if key, _, ok := a.session(r); ok {
		a.sessions.remove(key)
	}
	a.cookies.clear(w, a.cookies.session)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// session returns the session that the browser's cookie names.
func (a *app) session(r *http.Request) (key string, s session, ok bool) {
	key = a.cookies.read(r, a.cookies.session)
	if key == "" {
		return "", session{}, false
	}
	s, ok = a.sessions.find(key)
	return key, s, ok
}

// identify tells the page's frame who is signed in.
func (a *app) identify(r *http.Request) (*web.Identity, error) {
	_, s, ok := a.session(r)
	if !ok {
		return nil, nil
	}
	return s.identity(), nil
}
