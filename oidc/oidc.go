// Package oidc is the city's OAuth 2.0 authorization server.
//
// It owns the clients and the access tokens that they are given, by the client
// credentials grant (RFC 6749 section 4.4) so far. fosite is the grant engine and
// nothing more: client authentication, the token's format, what is stored and
// every error at the edge are decided here.
//
// An access token is a JWT of RFC 9068, type at+jwt, signed with ES256 by the
// active key of purpose "token" and good for at most ten minutes. Nothing is kept
// of it: it is checked offline with the keys that /oidc/jwks publishes, and ends
// before its time only when its client is disabled, which every replica knows
// within two seconds.
//
// A client proves itself with 256 random bits, kept as their SHA-256: such a
// secret cannot be guessed, so a slow hash would only slow down its owner. Nothing
// a client sends is answered with status 500.
package oidc

import (
	"context"
	"crypto"
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

// maxLifetime is the longest that an access token may live.
const maxLifetime = 10 * time.Minute

// Keys are the keyring's keys of purpose "token".
type Keys interface {
	// Active returns the key that signs now.
	Active(ctx context.Context, purpose, owner string) (keys.Key, crypto.Signer, error)
	// List returns keys by purpose, owner and state.
	List(ctx context.Context, f keys.Filter) ([]keys.Key, error)
}

// Agencies tells which agencies exist.
type Agencies interface {
	// FindAgency fails with kind NotFound if there is no such agency.
	FindAgency(ctx context.Context, id string) (registry.Agency, error)
}

// Options are what New needs. DB, Keys, Agencies, Issuer and KeyOwner are required.
type Options struct {
	DB       *db.DB
	Keys     Keys
	Agencies Agencies
	Issuer   string // https://HOST[:PORT], or http:// on a loopback host
	KeyOwner string // whose keys of purpose "token" sign

	Scopes           []string      // those that clients may be given; nil allows any
	Lifetime         time.Duration // of access tokens; 0 means ten minutes, which is the most
	ClientSecretPost bool          // accept secrets in the body too

	Now        func() time.Time      // nil means time.Now
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nowhere
}

// Provider is the authorization server, safe for concurrent use. It implements
// web.TokenChecker.
type Provider struct {
	o        Options
	log      *slog.Logger
	engine   fosite.OAuth2Provider
	clients  clientCache
	keys     keyCache
	verified verifiedCache
	metrics  *metrics
	metadata []byte
}

var _ web.TokenChecker = (*Provider)(nil)

// New returns a provider. It fails with what is wrong in o.
func New(o Options) (*Provider, error) {
	if o.DB == nil || o.Keys == nil || o.Agencies == nil || o.KeyOwner == "" {
		return nil, errors.New("new provider: a database, keys, their owner and agencies are required")
	}
	if err := checkIssuer(o.Issuer); err != nil {
		return nil, fmt.Errorf("new provider: %w", err)
	}
	if o.Lifetime == 0 {
		o.Lifetime = maxLifetime
	}
	if o.Lifetime < time.Second || o.Lifetime > maxLifetime || o.Lifetime%time.Second != 0 {
		return nil, fmt.Errorf("new provider: access tokens live for whole seconds, at most %v", maxLifetime)
	}
	for _, s := range o.Scopes {
		if !isScope(s) {
			return nil, fmt.Errorf("new provider: %q is no scope", s)
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
	p.engine = newEngine(p)
	var err error
	p.metadata, err = newMetadata(o)
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

// Mount adds the provider's addresses to mux: the token endpoint, the keys, the
// two metadata documents and /oidc/v1/clients for tokens with scope "clients".
func (p *Provider) Mount(mux *http.ServeMux) {
	mux.Handle("POST /oidc/token", http.HandlerFunc(p.serveToken))
	mux.Handle("GET /oidc/jwks", web.Handler(p.serveJWKS, p.log))
	mux.Handle("GET /.well-known/openid-configuration", web.Handler(p.serveMetadata, p.log))
	mux.Handle("GET /.well-known/oauth-authorization-server", web.Handler(p.serveMetadata, p.log))
	p.mountClients(mux)
}
