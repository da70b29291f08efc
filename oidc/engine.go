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
	"github.com/ory/fosite/handler/openid"

	"github.com/signet-city/signet/internal/fault"
)

// The grant types, and the one response type and challenge method.
const (
	grantClientCredentials = "client_credentials"
	grantCode              = "authorization_code"
	grantRefresh           = "refresh_token"

	responseCode = "code"
	methodS256   = "S256"
)

// newEngine composes fosite of the grants that there are, with our client
// authentication, our tokens and a store that writes nothing by itself.
//
// PKCE is enforced: otherwise a code whose challenge is lost would do without.
func newEngine(p *Provider) fosite.OAuth2Provider {
	config := &fosite.Config{
		AccessTokenLifespan:          p.o.Lifetime,
		AccessTokenIssuer:            p.o.Issuer,
		ScopeStrategy:                fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:     fosite.ExactAudienceMatchingStrategy,
		ClientAuthenticationStrategy: p.authenticate,
		EnforcePKCE:                  true,
		RefreshTokenScopes:           []string{scopeOffline},
		OmitRedirectScopeParam:       true,
		RedirectSecureChecker:        func(_ context.Context, u *url.URL) bool { return checkRedirect(u.String()) == nil },
	}
	factories := []compose.Factory{compose.OAuth2ClientCredentialsGrantFactory}
	if p.pages != nil {
		factories = append(factories, compose.OAuth2AuthorizeExplicitFactory, openIDFactory, compose.OAuth2PKCEFactory,
			compose.OAuth2RefreshTokenGrantFactory, compose.OpenIDConnectRefreshFactory)
	}
	return compose.Compose(config, store{p}, strategy{p}, factories...)
}

// openIDFactory is compose.OpenIDConnectExplicitFactory without a signer: hints are
// checked before the engine sees a request.
func openIDFactory(config fosite.Configurator, storage, tokens any) any {
	return &openid.OpenIDConnectExplicitHandler{
		OpenIDConnectRequestStorage:   storage.(openid.OpenIDConnectRequestStorage),
		IDTokenHandleHelper:           &openid.IDTokenHandleHelper{IDTokenStrategy: tokens.(openid.OpenIDConnectTokenStrategy)},
		OpenIDConnectRequestValidator: openid.NewOpenIDConnectRequestValidator(nil, config),
		Config:                        config,
	}
}

// authenticate is fosite's ClientAuthenticationStrategy. What it refuses is one
// error, whether the client is unknown, disabled, has another secret or another key. The
// work of the request gets the client, and what must be spent of its assertion.
func (p *Provider) authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	w, err := workOf(ctx)
	if err != nil {
		return nil, err
	}
	var c *client
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		var assertion once
		if c, assertion, err = p.authenticateByKey(ctx, r, form); err == nil {
			w.once = append(w.once, assertion)
		}
	} else {
		c, err = p.authenticateBySecret(ctx, r, form)
	}
	if err != nil {
		return nil, err
	}
	if w.proof != nil {
		w.once = append(w.once, w.proof.once)
	}
	if w.tokens && c.DPoP && w.proof == nil {
		return nil, errProofNeeded
	}
	w.client = c
	return c, nil
}

// authenticateBySecret finds the client whose secret came.
func (p *Provider) authenticateBySecret(ctx context.Context, r *http.Request, form url.Values) (*client, error) {
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
	if subtle.ConstantTimeCompare(hash[:], c.hash[:]) != 1 || c.AuthMethod != AuthSecret || !c.Disabled.IsZero() {
		return nil, errClient
	}
	return c, nil
}

// credentials reads the client's id and secret by RFC 6749 section 2.3.1, from
// the header or, where post allows it, from the body; never from both.
func credentials(r *http.Request, form url.Values, post bool) (id, secret string, err error) {
	headers := r.Header.Values("Authorization")
	inBody := form.Get("client_secret") != ""
	switch {
	case len(headers) > 1 || len(headers) == 1 && inBody:
		return "", "", invalid("the client authenticates in more than one way")
	case len(headers) == 0 && inBody && post:
		return form.Get("client_id"), form.Get("client_secret"), nil
	case len(headers) == 0 && inBody:
		return "", "", errSecretPlace
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

// strategy makes fosite's tokens ours.
type strategy struct{ p *Provider }

// AccessTokenSignature returns the part of a token that nobody can guess.
func (strategy) AccessTokenSignature(_ context.Context, token string) string {
	return token[strings.LastIndexByte(token, '.')+1:]
}

// GenerateAccessToken signs a token for the request's client and granted scopes:
// for itself, or for the person whose grant it is.
func (s strategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	c, ok := r.GetClient().(*client)
	if !ok {
		return "", "", errors.New("sign token: the client is not one of ours")
	}
	scopes := r.GetGrantedScopes()
	if w, err := workOf(ctx); err == nil && w.grant != nil {
		if w.scopes != nil {
			scopes = w.scopes
		}
		token, err = s.p.signPersonToken(ctx, w.grant, scopes, w.jkt())
		return token, s.AccessTokenSignature(ctx, token), err
	}
	jkt := ""
	if w, err := workOf(ctx); err == nil {
		jkt = w.jkt()
	}
	token, err = s.p.signToken(ctx, c, scopes, jkt)
	return token, s.AccessTokenSignature(ctx, token), err
}

// ValidateAccessToken fails unless the token is in force.
func (s strategy) ValidateAccessToken(ctx context.Context, _ fosite.Requester, token string) error {
	_, err := s.p.CheckToken(ctx, token)
	return err
}

// GenerateAuthorizeCode makes the code of the grant under way.
func (strategy) GenerateAuthorizeCode(ctx context.Context, _ fosite.Requester) (code, signature string, err error) {
	w, err := workOf(ctx)
	if err != nil {
		return "", "", err
	}
	w.secret, w.grant.codeHash = newBearer()
	code = w.grant.id + "." + w.secret
	return code, code, nil
}

// AuthorizeCodeSignature returns the code: the store hashes it.
func (strategy) AuthorizeCodeSignature(_ context.Context, code string) string { return code }

// ValidateAuthorizeCode fails for a code that is too old. The store has compared it.
func (s strategy) ValidateAuthorizeCode(ctx context.Context, _ fosite.Requester, _ string) error {
	w, err := workOf(ctx)
	if err != nil {
		return err
	}
	if w.grant == nil || s.p.o.Now().Sub(w.grant.created) >= codeLife {
		return fosite.ErrTokenExpired
	}
	return nil
}

// GenerateRefreshToken makes a refresh token of the grant under way.
func (strategy) GenerateRefreshToken(ctx context.Context, _ fosite.Requester) (token, signature string, err error) {
	w, err := workOf(ctx)
	if err != nil {
		return "", "", err
	}
	secret, _ := newBearer()
	token = w.grant.id + "." + secret
	return token, token, nil
}

// RefreshTokenSignature returns the token: the store hashes it.
func (strategy) RefreshTokenSignature(_ context.Context, token string) string { return token }

// ValidateRefreshToken accepts what the store has found: it looks at the dates.
func (strategy) ValidateRefreshToken(context.Context, fosite.Requester, string) error { return nil }

// GenerateIDToken signs the ID token of the grant under way. fosite has put the
// access token's hash into the session.
func (s strategy) GenerateIDToken(ctx context.Context, _ time.Duration, r fosite.Requester) (string, error) {
	w, err := workOf(ctx)
	if err != nil {
		return "", err
	}
	of, ok := r.GetSession().(*session)
	if !ok {
		return "", errors.New("sign ID token: the session is not one of ours")
	}
	return s.p.signIDToken(ctx, w.client, w.grant, of.claims.AccessTokenHash, w.rotate)
}
