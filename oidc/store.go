package oidc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/token/jwt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// store is fosite's storage. Clients are ours; what concerns people is a grant,
// and goes through the work of the request. Of access tokens nothing is kept.
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

// CreateAuthorizeCodeSession implements oauth2.AuthorizeCodeStorage.
func (store) CreateAuthorizeCodeSession(ctx context.Context, _ string, r fosite.Requester) error {
	w, err := workOf(ctx)
	if err == nil {
		w.grant.redirect = r.GetRequestForm().Get("redirect_uri")
	}
	return err
}

// CreatePKCERequestSession implements pkce.PKCERequestStorage: a column of the grant.
func (store) CreatePKCERequestSession(ctx context.Context, _ string, r fosite.Requester) error {
	w, err := workOf(ctx)
	if err == nil {
		w.grant.challenge = r.GetRequestForm().Get("code_challenge")
	}
	return err
}

// CreateOpenIDConnectSession implements openid.OpenIDConnectRequestStorage: a
// column of the grant.
func (store) CreateOpenIDConnectSession(ctx context.Context, _ string, r fosite.Requester) error {
	w, err := workOf(ctx)
	if err == nil {
		w.grant.nonce = r.GetRequestForm().Get("nonce")
	}
	return err
}

// GetAuthorizeCodeSession implements oauth2.AuthorizeCodeStorage. A code that was
// redeemed is known and invalid; one that was burnt or whose grant no longer counts
// is not known.
func (s store) GetAuthorizeCodeSession(ctx context.Context, code string, _ fosite.Session) (fosite.Requester, error) {
	w, err := workOf(ctx)
	if err != nil {
		return nil, err
	}
	if w.grant == nil {
		if err := s.readCode(ctx, w, code); err != nil {
			return nil, err
		}
	}
	if !w.grant.redeemed.IsZero() {
		return requester(w.grant), fosite.ErrInvalidatedAuthorizeCode
	}
	if w.grant.jkt != "" && w.grant.jkt != w.jkt() { // RFC 9449 section 10
		return nil, fosite.ErrNotFound
	}
	return requester(w.grant), nil
}

func (s store) readCode(ctx context.Context, w *work, code string) error {
	id, hash, ok := parseBearer(code)
	if !ok {
		return fosite.ErrNotFound
	}
	g, err := s.p.findGrant(ctx, id)
	if err != nil {
		return err
	}
	if g == nil || !sameHash(g.codeHash, hash) {
		return fosite.ErrNotFound
	}
	w.grant, w.code = g, hash
	if !g.redeemed.IsZero() {
		return nil
	}
	return s.count(ctx, w)
}

// count fails unless the grant still counts, and ends it.
func (s store) count(ctx context.Context, w *work) error {
	if !w.grant.ended.IsZero() || !s.p.o.Now().Before(w.grant.expires) || w.client != nil && w.client.Sandbox != w.grant.isPersona() {
		return fosite.ErrNotFound
	}
	reason, err := s.p.check(ctx, w.grant)
	if err != nil {
		return err
	}
	if reason != "" {
		w.endBecause(reason)
		return fosite.ErrNotFound
	}
	return nil
}

// GetPKCERequestSession implements pkce.PKCERequestStorage.
func (store) GetPKCERequestSession(ctx context.Context, _ string, _ fosite.Session) (fosite.Requester, error) {
	return known(ctx)
}

// DeletePKCERequestSession implements pkce.PKCERequestStorage: the challenge goes
// with the code, not before. fosite calls this before it has seen the verifier.
func (store) DeletePKCERequestSession(context.Context, string) error { return nil }

// GetOpenIDConnectSession implements openid.OpenIDConnectRequestStorage.
func (store) GetOpenIDConnectSession(ctx context.Context, _ string, _ fosite.Requester) (fosite.Requester, error) {
	return known(ctx)
}

// DeleteOpenIDConnectSession implements openid.OpenIDConnectRequestStorage.
func (store) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

func known(ctx context.Context) (fosite.Requester, error) {
	w, err := workOf(ctx)
	if err != nil {
		return nil, err
	}
	if w.grant == nil {
		return nil, fosite.ErrNotFound
	}
	return requester(w.grant), nil
}

// InvalidateAuthorizeCodeSession implements oauth2.AuthorizeCodeStorage.
func (store) InvalidateAuthorizeCodeSession(ctx context.Context, _ string) error {
	w, err := workOf(ctx)
	if err == nil {
		w.redeem = true
	}
	return err
}

// GetRefreshTokenSession implements oauth2.RefreshTokenStorage. The newest token of
// a grant counts, and for a moment the one before, while nobody has used the
// newest; any other has been used and is inactive.
func (s store) GetRefreshTokenSession(ctx context.Context, token string, _ fosite.Session) (fosite.Requester, error) {
	w, err := workOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.readRefresh(ctx, w, token); err != nil {
		return nil, err
	}
	g := w.grant
	w.twin = w.parent == g.generation-1 && s.p.o.Now().Sub(g.rotated) <= refreshTwin
	if w.parent != g.generation && !w.twin {
		return requester(g), fosite.ErrInactiveToken
	}
	return requester(g), s.count(ctx, w)
}

func (s store) readRefresh(ctx context.Context, w *work, token string) error {
	id, hash, ok := parseBearer(token)
	if !ok {
		return fosite.ErrNotFound
	}
	err := s.p.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		err = tx.QueryRowContext(ctx, `SELECT generation FROM oidc_refresh_tokens WHERE grant_id = $1 AND hash = $2`, id, hash).Scan(&w.parent)
		if err == nil {
			w.grant, err = readGrant(ctx, tx, id)
		}
		return err
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && w.grant == nil {
		return fosite.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read refresh token: %w", err)
	}
	return nil
}

// CreateRefreshTokenSession implements oauth2.RefreshTokenStorage.
func (store) CreateRefreshTokenSession(ctx context.Context, token, _ string, _ fosite.Requester) error {
	w, err := workOf(ctx)
	if err != nil {
		return err
	}
	_, hash, ok := parseBearer(token)
	if !ok {
		return errors.New("create refresh token: not one of ours")
	}
	w.refresh = hash
	return nil
}

// RotateRefreshToken implements oauth2.RefreshTokenStorage.
func (store) RotateRefreshToken(ctx context.Context, _, _ string) error {
	w, err := workOf(ctx)
	if err == nil {
		w.rotate = true
	}
	return err
}

// DeleteRefreshTokenSession implements oauth2.RefreshTokenStorage: it stays, so that
// its coming again is noticed.
func (store) DeleteRefreshTokenSession(context.Context, string) error { return nil }

// RevokeRefreshToken implements oauth2.TokenRevocationStorage: the grant ends.
func (store) RevokeRefreshToken(ctx context.Context, _ string) error {
	w, err := workOf(ctx)
	if err == nil {
		w.endBecause(endReplay)
	}
	return err
}

// RevokeAccessToken implements oauth2.TokenRevocationStorage: the grant ends.
func (s store) RevokeAccessToken(ctx context.Context, id string) error {
	return s.RevokeRefreshToken(ctx, id)
}

// CreateAccessTokenSession implements oauth2.AccessTokenStorage: nothing is kept.
func (store) CreateAccessTokenSession(context.Context, string, fosite.Requester) error { return nil }

// GetAccessTokenSession implements oauth2.AccessTokenStorage: nothing was kept.
func (store) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession implements oauth2.AccessTokenStorage: nothing was kept.
func (store) DeleteAccessTokenSession(context.Context, string) error { return fosite.ErrNotFound }

// requester is a grant as fosite sees it.
func requester(g *grant) *fosite.Request {
	return &fosite.Request{
		ID: g.id, RequestedAt: g.created, Client: &client{Client: Client{ID: g.client, Profile: ProfileBasic}},
		RequestedScope: g.scopes, GrantedScope: g.scopes, Session: newSession(g),
		Form: url.Values{"redirect_uri": {g.redirect}, "code_challenge": {g.challenge}, "code_challenge_method": {methodS256}},
	}
}

// session is fosite's idea of what a token stands for. Lifetimes are ours, so what
// fosite says about them, by another clock, is dropped; ID tokens are made of the
// grant, so of its claims only the access token's hash is used.
type session struct {
	grant   *grant // nil for a program
	claims  jwt.IDTokenClaims
	headers jwt.Headers
}

func newSession(g *grant) *session {
	s := &session{grant: g}
	if g != nil {
		s.claims.Subject = g.id // fosite wants one before it is known
	}
	return s
}

// SetExpiresAt implements fosite.Session.
func (*session) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt implements fosite.Session.
func (*session) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// GetUsername implements fosite.Session.
func (*session) GetUsername() string { return "" }

// GetSubject implements fosite.Session.
func (s *session) GetSubject() string { return s.claims.Subject }

// IDTokenClaims implements openid.Session.
func (s *session) IDTokenClaims() *jwt.IDTokenClaims { return &s.claims }

// IDTokenHeaders implements openid.Session.
func (s *session) IDTokenHeaders() *jwt.Headers { return &s.headers }

// Clone implements fosite.Session.
func (s *session) Clone() fosite.Session { return newSession(s.grant) }
