// Package login proves who sits at a browser and remembers it.
//
// It owns the accounts of people, their passkeys and the sessions of their
// browsers, and the pages /login, /logout and /account. A person proves
// themselves in one of two ways, both of two factors: with a discoverable passkey
// whose authenticator has verified its user (WebAuthn Level 3), or with username,
// password and a time-based code (RFC 6238). A password alone signs nobody in.
//
// It refuses alike, in one sentence and after the same work, an unknown username,
// a wrong password and a wrong or used code. Passwords are kept as Argon2id (RFC
// 9106) in PHC strings; usernames and the secrets of codes are sealed. Whatever
// works once works once on all replicas together: codes by compare-and-swap on
// the last used time step, challenges of WebAuthn by their deletion.
//
// A session is 256 random bits in a cookie, of which the database has the hash. It
// ends after 30 minutes without use, after 12 hours, and when its person signs out or
// another one signs in with that browser. Whoever proves themselves again goes on with
// their session, whose level and time are those of the newest proof.
//
// An owner sees what happened to their account, and is told of changes that were made
// elsewhere. Of a browser its family and system are kept, of an address its network,
// sealed. Who changes what they sign in with must have proved themselves in the last
// five minutes; another password or another key of codes ends their other sessions.
// A recovery code begins a wait of a day and no session: see recovery.go. Who has lost
// those too is proved anew by a clerk who sees them, at /desk/identity, and gets a code
// for /login/code: see reproof.go.
//
// Tries are bounded per account and address, per account and per address, in the
// memory of each replica (limit.go), and per account for all replicas together
// (tries.go). Browsers that an account knows have bounds of their own, and passkeys
// none of these: no stranger keeps an owner out.
package login

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

//go:embed templates assets
var files embed.FS

// The assurance that a session has, as the acr claim and web.Identity.ACR name it.
const (
	ACRDeclared          = "urn:signet:acr:declared"           // one factor; no session has it
	ACRVerified          = "urn:signet:acr:verified"           // password and code
	ACRPhishingResistant = "urn:signet:acr:phishing-resistant" // passkey with user verification
)

// Options are what New needs. DB, Sealer, Registry, Site and Issuer are required.
type Options struct {
	DB       *db.DB
	Sealer   registry.Sealer
	Registry *registry.Registry
	Site     *web.Site
	Issuer   string // the origin of the pages: https://HOST[:PORT], or http:// on a loopback host

	// FormTo returns the origin at which the redirects after a form may end when
	// the visitor goes on to next, "" for none but ours: pages allow nothing else
	// (CSP form-action). Nil means none.
	FormTo func(ctx context.Context, next string) string

	// Ended is called in the transaction that ends a session, unless it ends by its
	// age. Nil means nobody wants to know.
	Ended func(ctx context.Context, tx db.Tx, session string) error

	More []Link // what /account leads to besides its own

	Now        func() time.Time      // nil means time.Now
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nowhere
}

// Service signs people in and out, safe for concurrent use.
type Service struct {
	o        Options
	log      *slog.Logger
	pages    *web.Pages
	passkeys *webauthn.WebAuthn // nil where the issuer's host is an address
	hasher   *hasher
	limits   *limits
	metrics  *metrics
}

// New returns a service. It fails with what is wrong in o.
//
// The hostname of the issuer is the relying party's ID of all passkeys: under
// another one they are of no use. Where it is an IP address, which WebAuthn does
// not allow, there are no passkeys.
func New(o Options) (*Service, error) {
	if o.DB == nil || o.Sealer == nil || o.Registry == nil || o.Site == nil {
		return nil, errors.New("new login: a database, a sealer, a registry and a site are required")
	}
	if o.FormTo == nil {
		o.FormTo = func(context.Context, string) string { return "" }
	}
	if o.Ended == nil {
		o.Ended = func(context.Context, db.Tx, string) error { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, log: o.Logger, hasher: newHasher(), limits: newLimits(), metrics: newMetrics(o.Registerer)}
	var err error
	if s.passkeys, err = newRelyingParty(o.Issuer); err != nil {
		return nil, fmt.Errorf("new login: %w", err)
	}
	if s.pages, err = o.Site.Pages(files); err != nil {
		return nil, fmt.Errorf("new login: %w", err)
	}
	return s, nil
}

// checkIssuer returns the hostname of an origin that browsers trust.
func checkIssuer(issuer string) (host string, err error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != issuer {
		return "", errors.New("the issuer must be an origin, https://HOST[:PORT]")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return "", errors.New("an issuer without https is for loopback hosts only")
	}
	return u.Hostname(), nil
}

// isAddress reports whether a host is an IP address.
func isAddress(host string) bool { return net.ParseIP(host) != nil }

// Mount adds the pages and what their script calls to mux. The mux must be behind
// web.Protect, which refuses the forms of other sites.
func (s *Service) Mount(mux *http.ServeMux) {
	mux.Handle("GET /login", s.pages.Handler(s.showSignIn))
	mux.Handle("POST /login", s.pages.Handler(s.takeSignIn))
	mux.Handle("GET /logout", s.pages.Handler(s.askSignOut))
	mux.Handle("POST /logout", s.pages.Handler(s.takeSignOut))
	mux.Handle("GET /account", s.pages.SignedIn(s.showAccount))
	mux.Handle("POST /account/acting", s.pages.SignedIn(s.takeActing))
	mux.Handle("POST /account/seen", s.pages.SignedIn(s.takeSeen))
	mux.Handle("GET /account/password", s.pages.SignedIn(s.showPassword))
	mux.Handle("POST /account/password", s.pages.SignedIn(s.takePassword))
	mux.Handle("GET /login/recover", s.pages.Handler(s.showRecover))
	mux.Handle("POST /login/recover", s.pages.Handler(s.takeRecover))
	mux.Handle("POST /login/recover/finish", s.pages.Handler(s.takeRecovered))
	mux.Handle("GET /login/code", s.pages.Handler(s.showCode))
	mux.Handle("POST /login/code", s.pages.Handler(s.takeCode))
	mux.Handle("POST /login/code/finish", s.pages.Handler(s.takeReproofed))
	mux.Handle("GET /desk/identity", s.pages.SignedIn(s.showDesk))
	mux.Handle("POST /desk/identity", s.pages.SignedIn(s.takeDocument))
	mux.Handle("POST /desk/identity/begin", s.pages.SignedIn(s.takeSighting))
	mux.Handle("POST /desk/identity/cancel", s.pages.SignedIn(s.takeCancel))
	mux.Handle("GET /account/codes", s.pages.SignedIn(s.showCodes))
	mux.Handle("POST /account/codes", s.pages.SignedIn(s.takeCodes))
	mux.Handle("GET /account/totp", s.pages.SignedIn(s.showTOTP))
	mux.Handle("POST /account/totp", s.pages.SignedIn(s.takeTOTP))
	if s.passkeys == nil {
		return
	}
	mux.Handle("GET /account/passkeys/{id}/name", s.pages.SignedIn(s.askRename))
	mux.Handle("POST /account/passkeys/{id}/name", s.pages.SignedIn(s.takeRename))
	mux.Handle("GET /account/passkeys/{id}/remove", s.pages.SignedIn(s.askRemove))
	mux.Handle("POST /account/passkeys/{id}/remove", s.pages.SignedIn(s.takeRemove))
	mux.Handle("POST /login/passkey/begin", web.Handler(s.beginAssertion, s.log))
	mux.Handle("POST /login/passkey/finish", web.Handler(s.finishAssertion, s.log))
	mux.Handle("POST /account/passkeys/begin", web.Handler(s.beginEnrolment, s.log))
	mux.Handle("POST /account/passkeys/finish", web.Handler(s.finishEnrolment, s.log))
}
