// Package oidc is the city's OAuth 2.0 authorization server.
//
// It owns the clients, what people let them know, and the tokens that they are given:
// to programs for themselves by the client credentials grant (RFC 6749 section 4.4),
// and to sites that sign people in by the authorization code grant with PKCE S256
// (RFC 7636, OpenID Connect Core section 3.1) and refresh tokens. fosite is the grant
// engine and nothing more: client authentication, the tokens' format, what is stored
// and every error at the edge are decided here.
//
// An access token is a JWT of RFC 9068, type at+jwt, signed with ES256 by the
// active key of purpose "token" and good for at most ten minutes. Nothing is kept
// of it: it is checked offline with the keys that /oidc/jwks publishes. One of a
// program ends before its time only when its client is disabled, which every replica
// knows within two seconds. One for a person is for userinfo alone.
//
// What a person gives a client is a grant: a code, good for a minute and for one
// presentation, whatever comes of it, and then a family of tokens. A grant lives as
// long as the session it was made in, the consent it was made under and, where the
// person acts for a firm, the delegation: all three are looked at whenever the client
// asks for something. So offline_access gives refresh tokens, but none that outlive
// the session. A code that comes again ends its grant, and so does a refresh token that
// was rotated, unless that was a moment ago and its successor is unused.
//
// A request that needs the person is kept as an interaction, bound to the browser by a
// cookie, while they sign in and consent. With a session and a remembered consent
// there is neither a page nor a row.
//
// Sites are of two profiles. Those of fapi2 keep to the FAPI 2.0 Security Profile: they
// push their requests (RFC 9126), prove themselves by a signed assertion (RFC 7523),
// and have codes and tokens bound to a key that they prove with every use (RFC 9449).
// Their refresh tokens are not rotated. Those of basic are what older systems can do.
// What is used once (a request_uri, the identifiers of assertions and proofs) is
// written down in the transaction of what it is used for, so that of any number of
// requests on any number of replicas one succeeds.
//
// A client of another kind proves itself with 256 random bits, kept as their SHA-256:
// such a secret cannot be guessed, so a slow hash would only slow down its owner.
// Nothing a client sends is answered with status 500.
package oidc

import (
	"context"
	"crypto"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

//go:embed templates
var files embed.FS

// maxLifetime is the longest that an access token may live.
const maxLifetime = 10 * time.Minute

// Keys are the keyring's keys of purpose "token".
type Keys interface {
	// Active returns the key that signs now.
	Active(ctx context.Context, purpose, owner string) (keys.Key, crypto.Signer, error)
	// List returns keys by purpose, owner and state.
	List(ctx context.Context, f keys.Filter) ([]keys.Key, error)
	// Lookup returns a keyed hash of value, apart for labels, that every replica
	// comes to.
	Lookup(ctx context.Context, label string, value []byte) ([]byte, error)
	// Lookups returns it under every key that counts.
	Lookups(ctx context.Context, label string, value []byte) ([][]byte, error)
}

// Agencies tells which agencies exist.
type Agencies interface {
	// FindAgency fails with kind NotFound if there is no such agency.
	FindAgency(ctx context.Context, id string) (registry.Agency, error)
}

// People tells who somebody is.
type People interface {
	// PersonByID fails with kind NotFound if there is nobody with that id.
	PersonByID(ctx context.Context, id string) (registry.Person, error)
}

// Firms tells whom a person may act for.
type Firms interface {
	// FirmsOf returns the firms that the person may act for at that time, by code.
	FirmsOf(ctx context.Context, person string, at time.Time) ([]registry.Firm, error)
	// MayActFor reports whether the firm is one of them.
	MayActFor(ctx context.Context, person, uscc string, at time.Time) (bool, error)
}

// Sessions are the sessions of people who are signed in.
type Sessions interface {
	// Live reports whether the session is still in force.
	Live(ctx context.Context, session string) (bool, error)
	// ActFor says whom the person acts for in the session: a firm's code, or "" for
	// nobody else. It fails with kind Denied for a firm they may not act for.
	ActFor(ctx context.Context, session, uscc string) error
}

// Assurance orders how surely a person was proved (OpenID Connect Core section 2, acr).
type Assurance interface {
	// Levels returns the values of acr, the weakest first.
	Levels() []string
	// Reaches reports whether a sign-in of level have does where want is asked for.
	Reaches(have, want string) bool
}

// Fetcher gets what clients publish.
type Fetcher interface {
	// Fetch returns the body of an https address, of max bytes at most. It fails for
	// any status but 200, and for an address that this service must not reach.
	Fetch(ctx context.Context, url string, max int64) ([]byte, error)
}

// Options are what New needs. DB, Keys, Agencies, Issuer and KeyOwner are required.
// Site, People, Firms and Sessions come together: without them there are no people
// to sign in, and programs get tokens for themselves only.
type Options struct {
	DB       *db.DB
	Keys     Keys
	Agencies Agencies
	Issuer   string // https://HOST[:PORT], or http:// on a loopback host
	KeyOwner string // whose keys of purpose "token" sign, with ES256; see KeyOwnerFor

	// MakeKeys makes keys of purpose "token" for KeyOwnerFor(KeyOwner, …) when the first
	// client wants them; nil: there are those that there are.
	MakeKeys func(ctx context.Context, owner, actor string) error

	Site     *web.Site // whose Identify tells who is signed in
	People   People
	Firms    Firms
	Sessions Sessions

	// Hold reports whether a session is in force and, if it is, keeps it so until tx
	// ends, so that whoever ends it then finds what tx has written. Nil: sites of a
	// session that ends in the moment of a redemption may not be told.
	Hold func(ctx context.Context, tx db.Tx, session string) (live bool, err error)

	// SignOut ends a session; nil: clients cannot ask for that. Queue keeps messages
	// that SendLogout is to send, in the transaction; nil: sites are not told.
	SignOut func(ctx context.Context, session string) error
	Queue   func(ctx context.Context, tx db.Tx, list []Notice) error

	Assurance Assurance // nil: no level is known, and none can be asked for
	NumberACR string    // the level below which userinfo does not tell the number of somebody's document; "" for none
	Fetcher   Fetcher   // nil: clients' keys come with them, not by address

	Scopes           []string      // those that programs may be given; nil allows any
	Lifetime         time.Duration // of access tokens; 0 means ten minutes, which is the most
	ClientSecretPost bool          // accept secrets in the body too

	Sandbox bool // anybody may make clients that are shown invented people: see AddSandboxClient

	Now        func() time.Time      // nil means time.Now
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nowhere
}

// Provider is the authorization server, safe for concurrent use. It implements
// web.TokenChecker and web.ProofChecker.
type Provider struct {
	o          Options
	log        *slog.Logger
	pages      *web.Pages // nil without a site
	engine     fosite.OAuth2Provider
	clients    clientCache
	clientKeys clientKeys
	keys       keyCache
	verified   verifiedCache
	nonces     nonceCache
	metrics    *metrics
	metadata   []byte

	personas    []persona // of the sandbox
	sandboxRate hourly
}

var _ web.ProofChecker = (*Provider)(nil)

// New returns a provider. It fails with what is wrong in o.
func New(o Options) (*Provider, error) {
	if o.DB == nil || o.Keys == nil || o.Agencies == nil || o.KeyOwner == "" {
		return nil, errors.New("new provider: a database, keys, their owner and agencies are required")
	}
	if err := checkIssuer(o.Issuer); err != nil {
		return nil, fmt.Errorf("new provider: %w", err)
	}
	if some := o.Site != nil; some != (o.People != nil) || some != (o.Firms != nil) || some != (o.Sessions != nil) {
		return nil, errors.New("new provider: a site, people, firms and sessions come together")
	}
	if o.Lifetime == 0 {
		o.Lifetime = maxLifetime
	}
	if o.Lifetime < time.Second || o.Lifetime > maxLifetime || o.Lifetime%time.Second != 0 {
		return nil, fmt.Errorf("new provider: access tokens live for whole seconds, at most %v", maxLifetime)
	}
	for _, s := range o.Scopes {
		if !isScope(s) || !isNotForPeople(s) {
			return nil, fmt.Errorf("new provider: %q is no scope for programs", s)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Provider{o: o, log: o.Logger, metrics: newMetrics(o.Registerer)}
	p.clients.entries = map[string]*cachedClient{}
	p.clientKeys.sets = map[string]*clientKeySet{}
	var err error
	if o.Site != nil {
		if p.pages, err = o.Site.Pages(files); err != nil {
			return nil, fmt.Errorf("new provider: %w", err)
		}
	}
	if p.personas, err = parsePersonas(personasFile); err != nil {
		return nil, fmt.Errorf("new provider: %w", err)
	}
	p.engine = newEngine(p)
	p.metadata, err = p.newMetadata()
	return p, err
}

// checkIssuer accepts the origins that RFC 8414 and our own rules allow.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != issuer {
		return errors.New("the issuer must be an origin, https://HOST[:PORT]")
	}
	if u.Scheme == "https" {
		return nil
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return errors.New("an issuer without https is for loopback hosts only")
}

// Foreign returns the patterns of the forms that other sites send here. They do
// nothing that their GETs do not do.
func Foreign() []string { return []string{"POST /oidc/authorize", "POST " + logoutPath} }

// Mount adds the provider's addresses to mux: the token endpoint, the keys, the
// two metadata documents and /oidc/v1/clients for tokens with scope "clients"; with a
// site also those that people and their clients come to.
//
// Whoever keeps the forms of other sites off must let those of Foreign pass.
func (p *Provider) Mount(mux *http.ServeMux) {
	mux.Handle("POST /oidc/token", http.HandlerFunc(p.serveToken))
	mux.Handle("GET /oidc/jwks", web.Handler(p.serveJWKS, p.log))
	mux.Handle("GET /.well-known/openid-configuration", web.Handler(p.serveMetadata, p.log))
	mux.Handle("GET /.well-known/oauth-authorization-server", web.Handler(p.serveMetadata, p.log))
	mux.Handle("POST "+introspectPath, http.HandlerFunc(p.serveIntrospect))
	p.mountClients(mux)
	if p.pages == nil {
		return
	}
	if p.o.Sandbox {
		mux.Handle("POST "+sandboxPath, web.Handler(p.serveAddSandboxClient, p.log))
	}
	mux.Handle("POST "+pushPath, http.HandlerFunc(p.servePush))
	mux.Handle("GET /oidc/authorize", p.pages.Handler(p.serveAuthorize))
	mux.Handle("POST /oidc/authorize", p.pages.Handler(p.servePostedAuthorize))
	mux.Handle("GET /oidc/interaction/{id}", p.pages.Handler(p.serveInteraction))
	mux.Handle("POST /oidc/interaction/{id}", p.pages.Handler(p.serveAnswer))
	mux.Handle("GET /oidc/userinfo", web.Handler(p.serveUserinfo, p.log))
	mux.Handle("POST /oidc/userinfo", web.Handler(p.serveUserinfo, p.log))
	mux.Handle("POST /oidc/revoke", http.HandlerFunc(p.serveRevoke))
	p.mountLogout(mux)
}
