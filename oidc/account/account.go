// Package account is the part of /account in which people see what goes on in their
// name: where they are signed in, which sites know them, and what happened to their
// account. The page /account itself, and changing what one signs in with, belong to
// oidc/login, which proves people.
//
// It owns no tables and decides nothing: it shows what oidc/login and the provider
// keep, about the person at the browser and nobody else, and passes on what they want
// ended. Ending something asks for no fresh proof: whoever finds a stranger in their
// account must not be held up. Every form may be sent twice.
package account

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

//go:embed templates
var files embed.FS

// Logins is what oidc/login knows of an account.
type Logins interface {
	// Sessions returns those in force, the newest first.
	Sessions(ctx context.Context, person string) ([]login.Session, error)
	// EndSession ends one by its ID, if it is the person's.
	EndSession(ctx context.Context, person, session string) error
	// SignOutAll ends all of the person's, the one that asks too.
	SignOutAll(ctx context.Context, id *web.Identity) error
	// History returns what happened, the newest first.
	History(ctx context.Context, person, session string) ([]login.Entry, error)
}

// Site is a client that a person lets know who they are.
type Site struct {
	Client string // its id
	Name   string
	Agency web.Text   // who runs it
	Learns []web.Text // what it may learn
	Since  time.Time
}

// Consents are what people let sites know.
type Consents interface {
	// List returns the sites that the person has agreed to, by name.
	List(ctx context.Context, person string) ([]Site, error)
	// Withdraw ends what a site was let know. Repeating it is harmless; it fails with
	// kind Invalid for what is no client's id.
	Withdraw(ctx context.Context, person, client string) error
}

// Options are what New needs. Site, Logins and Consents are required.
type Options struct {
	Site     *web.Site
	Logins   Logins
	Consents Consents
	Logger   *slog.Logger // nil discards
}

// Service serves the pages, safe for concurrent use.
type Service struct {
	o     Options
	pages *web.Pages
}

// New returns the service. It fails with what is missing in o.
func New(o Options) (*Service, error) {
	if o.Site == nil || o.Logins == nil || o.Consents == nil {
		return nil, errors.New("new account pages: a site, logins and consents are required")
	}
	s := &Service{o: o}
	var err error
	if s.pages, err = o.Site.Pages(files); err != nil {
		return nil, fmt.Errorf("new account pages: %w", err)
	}
	return s, nil
}

// Links returns what /account should lead to.
func Links() []login.Link {
	return []login.Link{
		{Path: "/account/sessions", Label: web.Text{ZH: "登录设备", EN: "Where you are signed in"}},
		{Path: "/account/sites", Label: web.Text{ZH: "已授权的网站", EN: "Sites that know who you are"}},
		{Path: "/account/history", Label: web.Text{ZH: "账户记录", EN: "What happened to your account"}},
	}
}

// Mount adds the pages to mux, which must be behind web.Protect.
func (s *Service) Mount(mux *http.ServeMux) {
	mux.Handle("GET /account/sessions", s.pages.SignedIn(s.showSessions))
	mux.Handle("POST /account/sessions/end", s.pages.SignedIn(s.takeEndAll))
	mux.Handle("POST /account/sessions/{id}/end", s.pages.SignedIn(s.takeEnd))
	mux.Handle("GET /account/sites", s.pages.SignedIn(s.showSites))
	mux.Handle("GET /account/sites/{client}/withdraw", s.pages.SignedIn(s.askWithdraw))
	mux.Handle("POST /account/sites/{client}/withdraw", s.pages.SignedIn(s.takeWithdraw))
	mux.Handle("GET /account/history", s.pages.SignedIn(s.showHistory))
}
