package demoapp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/signet-city/signet/internal/web"
)

// flow is a sign-in under way, found by its state.
type flow struct {
	browser  string // the cookie of the browser that began it
	nonce    string
	verifier string // RFC 7636
	firm     bool
}

// session is who has signed in.
type session struct{ claims claims }

// What an answer can be, besides an error of the libraries.
var (
	errAnswer = errors.New("the answer is not to a question of this browser")
	errIssuer = errors.New("the answer is another issuer's")
	errCode   = errors.New("the answer holds no code")
	errNonce  = errors.New("the ID token is not for this sign-in")
	errSub    = errors.New("userinfo is about somebody else")
)

// postSignIn sends the visitor to the provider: for themselves, or also for a firm.
func (a *app) postSignIn(w http.ResponseWriter, r *http.Request) error {
	firm := r.PostFormValue("for") == forFirm
	p, err := a.provider.discover(r.Context())
	if err != nil {
		return a.fail(w, r, err, firm)
	}
	f := flow{browser: a.cookies.read(r, a.cookies.flow), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), firm: firm}
	if len(f.browser) != len(f.nonce) { // several tabs share one
		f.browser = rand.Text()
	}
	a.cookies.set(w, a.cookies.flow, f.browser, flowAge)
	c := p.oauth
	c.Scopes = []string{oidc.ScopeOpenID, "profile"}
	if firm {
		c.Scopes = append(c.Scopes, "firm")
	}
	to := c.AuthCodeURL(a.flows.add(f), oidc.Nonce(f.nonce), oauth2.S256ChallengeOption(f.verifier),
		oauth2.SetAuthURLParam("ui_locales", string(web.VisitorOf(r).Lang)))
	if a.provider.strict != nil {
		if to, err = a.provider.push(r.Context(), p, to); err != nil {
			return a.fail(w, r, err, firm)
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// getCallback takes the provider's answer out of the visitor's browser.
func (a *app) getCallback(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f, err := a.flow(r, q)
	if err != nil {
		if _, _, ok := a.session(r); ok { // an answer used before: the visitor reloaded or went back
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return nil
		}
		return a.fail(w, r, err, false)
	}
	found, err := a.redeem(r.Context(), f, q)
	if err != nil {
		return a.fail(w, r, err, f.firm)
	}
	if key, _, ok := a.session(r); ok {
		a.sessions.remove(key)
	}
	a.cookies.set(w, a.cookies.session, a.sessions.add(session{found}), sessionAge)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// flow finds what the answer answers. It is used up by that, whatever follows.
func (a *app) flow(r *http.Request, q url.Values) (flow, error) {
	browser := a.cookies.read(r, a.cookies.flow)
	if browser == "" || len(q["state"]) != 1 || len(q.Get("state")) > 64 {
		return flow{}, errAnswer
	}
	f, ok := a.flows.find(q.Get("state"))
	if !ok || subtle.ConstantTimeCompare([]byte(f.browser), []byte(browser)) != 1 {
		return flow{}, errAnswer
	}
	if f, ok = a.flows.take(q.Get("state")); !ok {
		return flow{}, errAnswer
	}
	return f, nil
}

// refused is an answer that says no. Its code is one of a few words, never its text.
type refused struct{ code string }

// Error implements error.
func (e *refused) Error() string { return "the provider answers " + e.code }

// redeem turns an answer into claims.
func (a *app) redeem(ctx context.Context, f flow, q url.Values) (claims, error) {
	p, err := a.provider.discover(ctx)
	if err != nil {
		return claims{}, err
	}
	// RFC 9207 section 2.4: before anything else of the answer is looked at.
	if iss := q["iss"]; len(iss) > 1 || len(iss) == 0 && p.saysIss || len(iss) == 1 && iss[0] != a.o.Issuer {
		return claims{}, errIssuer
	}
	if q.Has("error") {
		return claims{}, &refused{known(q.Get("error"))}
	}
	code := q.Get("code")
	if len(q["code"]) != 1 || code == "" || len(code) > 2048 {
		return claims{}, errCode
	}
	ctx = a.provider.context(ctx)
	token, err := a.exchange(ctx, p, code, f.verifier)
	if err != nil {
		return claims{}, fmt.Errorf("redeem code: %w", tokenError(err))
	}
	return a.verify(ctx, p, f, token)
}

// exchange redeems a code in the way of the site's profile.
func (a *app) exchange(ctx context.Context, p *discovered, code, verifier string) (*oauth2.Token, error) {
	if a.provider.strict != nil {
		return a.provider.exchange(ctx, p, code, verifier)
	}
	return p.oauth.Exchange(ctx, code, oauth2.VerifierOption(verifier))
}

// verify checks the ID token (OpenID Connect Core section 3.1.3.7) and adds what
// userinfo says of the same person (section 5.3.2).
func (a *app) verify(ctx context.Context, p *discovered, f flow, token *oauth2.Token) (claims, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return claims{}, errors.New("verify ID token: there is none")
	}
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return claims{}, fmt.Errorf("verify ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.nonce)) != 1 {
		return claims{}, errNonce
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return claims{}, fmt.Errorf("verify ID token: %w", err)
		}
	}
	var found claims
	if err := found.read(id.Claims); err != nil {
		return claims{}, err
	}
	if p.UserInfoEndpoint() == "" {
		return found, found.check()
	}
	sub, more, err := a.ask(ctx, p, token)
	if err != nil {
		return claims{}, fmt.Errorf("ask userinfo: %w", err)
	}
	if sub != id.Subject {
		return claims{}, errSub
	}
	found.add(more)
	return found, found.check()
}

// ask asks about the visitor in the way of the site's profile.
func (a *app) ask(ctx context.Context, p *discovered, token *oauth2.Token) (sub string, c claims, err error) {
	if a.provider.strict != nil {
		return a.provider.userinfo(ctx, p, token.AccessToken)
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return "", c, err
	}
	return info.Subject, c, c.read(info.Claims)
}

// tokenError leaves out the body of an answer, which an error of the library
// quotes.
func tokenError(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return &refused{known(e.ErrorCode)}
	}
	return err
}

// known returns an error code of RFC 6749 or OpenID Connect as it is and anything
// else as "other".
func known(code string) string {
	const codes = " access_denied login_required consent_required interaction_required account_selection_required temporarily_unavailable server_error " +
		"invalid_request unauthorized_client unsupported_response_type invalid_scope invalid_client invalid_grant unsupported_grant_type "
	if code != "" && !strings.Contains(code, " ") && strings.Contains(codes, " "+code+" ") {
		return code
	}
	return "other"
}

// fail answers with a page from which the visitor can begin again.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error, firm bool) error {
	page := a.problemPage(err, firm)
	level := slog.LevelInfo
	if page.Status >= 500 {
		level = slog.LevelWarn
	}
	a.o.Logger.Log(r.Context(), level, "sign in", slog.Any("cause", err))
	return a.pages.Render(w, r, page)
}
