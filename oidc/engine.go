package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"

	"github.com/signet-city/signet/internal/fault"
)

const grantClientCredentials = "client_credentials"

// newEngine composes fosite of the one grant that there is, with our client
// authentication, our tokens and a store that stores nothing.
func newEngine(p *Provider) fosite.OAuth2Provider {
	config := &fosite.Config{
		AccessTokenLifespan:          p.o.Lifetime,
		AccessTokenIssuer:            p.o.Issuer,
		ScopeStrategy:                fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:     fosite.ExactAudienceMatchingStrategy,
		ClientAuthenticationStrategy: p.authenticate,
	}
	return compose.Compose(config, store{p}, strategy{p}, compose.OAuth2ClientCredentialsGrantFactory)
}

// authenticate is fosite's ClientAuthenticationStrategy. What it refuses is one
// error, whether the client is unknown, disabled or has another secret.
func (p *Provider) authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	id, secret, err := credentials(r, form, p.o.ClientSecretPost)
	if err != nil {
		return nil, err
	}
	c, err := p.findClient(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return nil, errClient
	}
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], c.hash[:]) != 1 || !c.Disabled.IsZero() {
		return nil, errClient
	}
	return c, nil
}

// credentials reads the client's id and secret by RFC 6749 section 2.3.1, from
// the header or, where post allows it, from the body; never from both.
func credentials(r *http.Request, form url.Values, post bool) (id, secret string, err error) {
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		return "", "", errClient
	}
	headers := r.Header.Values("Authorization")
	inBody := form.Get("client_secret") != ""
	switch {
	case len(headers) > 1 || len(headers) == 1 && inBody:
		return "", "", invalid("the client authenticates in more than one way")
	case len(headers) == 0 && inBody && post:
		return form.Get("client_id"), form.Get("client_secret"), nil
	case len(headers) == 0:
		return "", "", errClient
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", errClient
	}
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	if errID != nil || errSecret != nil {
		return "", "", errClient
	}
	if in := form.Get("client_id"); in != "" && in != id {
		return "", "", invalid("client_id is another one than in the header")
	}
	return id, secret, nil
}

// strategy makes fosite's access tokens ours.
type strategy struct{ p *Provider }

// AccessTokenSignature returns the part of a token that nobody can guess.
func (strategy) AccessTokenSignature(_ context.Context, token string) string {
	return token[strings.LastIndexByte(token, '.')+1:]
}

// GenerateAccessToken signs a token for the request's client and granted scopes.
func (s strategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	c, ok := r.GetClient().(*client)
	if !ok {
		return "", "", errors.New("sign token: the client is not one of ours")
	}
	token, err = s.p.signToken(ctx, c, r.GetGrantedScopes())
	return token, s.AccessTokenSignature(ctx, token), err
}

// ValidateAccessToken fails unless the token is in force.
func (s strategy) ValidateAccessToken(ctx context.Context, _ fosite.Requester, token string) error {
	_, err := s.p.CheckToken(ctx, token)
	return err
}

// store is fosite's storage: clients are ours, and tokens carry all there is to
// know about them.
type store struct{ p *Provider }

// GetClient implements fosite.ClientManager.
func (s store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	c, err := s.p.findClient(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ClientAssertionJWTValid implements fosite.ClientManager: assertions are not accepted.
func (store) ClientAssertionJWTValid(context.Context, string) error { return fosite.ErrInvalidClient }

// SetClientAssertionJWT implements fosite.ClientManager: assertions are not accepted.
func (store) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrInvalidClient
}

// CreateAccessTokenSession implements oauth2.AccessTokenStorage: nothing is kept.
func (store) CreateAccessTokenSession(context.Context, string, fosite.Requester) error { return nil }

// GetAccessTokenSession implements oauth2.AccessTokenStorage: nothing was kept.
func (store) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession implements oauth2.AccessTokenStorage: nothing was kept.
func (store) DeleteAccessTokenSession(context.Context, string) error { return fosite.ErrNotFound }

// session is fosite's idea of what a token stands for. Its lifetime is ours, so
// what fosite says about it, by another clock, is dropped.
type session struct{}

// SetExpiresAt implements fosite.Session.
func (session) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt implements fosite.Session.
func (session) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// GetUsername implements fosite.Session.
func (session) GetUsername() string { return "" }

// GetSubject implements fosite.Session.
func (session) GetSubject() string { return "" }

// Clone implements fosite.Session.
func (s session) Clone() fosite.Session { return s }
