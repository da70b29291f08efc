package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// serveAuthorize is the authorization endpoint.
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) error {
	values, err := parseForm(r.URL.RawQuery)
	if err != nil {
		return p.page(err)
	}
	ctx := r.Context()
	a, err := p.readRequest(ctx, values)
	if a == nil {
		return p.page(err)
	}
	if a.used {
		return p.reload(w, r, a)
	}
	if err != nil {
		return p.sendRefusal(w, r, a, err)
	}
	if a.client.Sandbox {
		return p.authorizeSandbox(w, r, a)
	}
	now, id := p.o.Now(), web.IdentityOf(ctx)
	d, err := p.begin(ctx, a, now, id)
	var code string
	if err == nil && d.step == stepCode {
		code, d, err = p.issue(ctx, a, id, now)
	}
	switch {
	case err != nil:
		return p.sendRefusal(w, r, a, err)
	case d.step != stepCode:
		return p.ask(w, r, a, now, d.step)
	}
	p.sendCode(w, a, code)
	return nil
}

// readRequest reads a request that came through the browser, or finds the one that was
// pushed.
func (p *Provider) readRequest(ctx context.Context, values url.Values) (*authorization, error) {
	if uri := values["request_uri"]; len(uri) == 1 && strings.HasPrefix(uri[0], requestURI) {
		return p.pull(ctx, values)
	}
	return p.parseAuthorization(ctx, values, false)
}

// issue makes a code for a person whose consent is remembered, in one transaction
// that reads the one and writes the other. Without the consent it says what is needed.
func (p *Provider) issue(ctx context.Context, a *authorization, id *web.Identity, now time.Time) (code string, d decision, err error) {
	g := p.newGrant(a, id, now)
	secret, err := p.makeCode(ctx, a, g)
	if err != nil {
		return "", decision{}, fmt.Errorf("issue code: %w", err)
	}
	err = p.o.DB.Update(ctx, func(tx db.Tx) error {
		st, err := readStanding(ctx, tx, a.client, id.Person)
		if err != nil {
			return err
		}
		if d, err = a.weigh(decision{step: stepCode}, st, now, id); err != nil || d.step != stepCode {
			return err
		}
		g.sub, g.consent = d.sub, d.consent
		if err := a.consume(ctx, tx, "", now); err != nil {
			return err
		}
		return insertGrant(ctx, tx, g)
	})
	if err != nil {
		return "", decision{}, fmt.Errorf("issue code: %w", err)
	}
	return g.id + "." + secret, d, nil
}

// servePostedAuthorize takes the request from a form, whose browser sends no cookie
// along when the form stands on another site (SameSite=Lax). So it is kept, and
// decided when the browser comes back by itself.
func (p *Provider) servePostedAuthorize(w http.ResponseWriter, r *http.Request) error {
	values, err := postedForm(w, r)
	if err != nil {
		return p.page(err)
	}
	a, err := p.readRequest(r.Context(), values)
	if a == nil {
		return p.page(err)
	}
	if a.used {
		return p.reload(w, r, a)
	}
	if err != nil {
		return p.sendRefusal(w, r, a, err)
	}
	return p.ask(w, r, a, p.o.Now(), stepConsent)
}

func postedForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
		return nil, errRequest
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return nil, web.Explain(err, web.Text{ZH: "登录请求过大。", EN: "The sign-in request is too large."})
	}
	return parseForm(string(body))
}

// step is what a request needs next.
type step string

const (
	stepCode    step = "code"
	stepLogin   step = "login"   // nobody is signed in
	stepAgain   step = "again"   // somebody is, but not recently enough or not the right one
	stepConsent step = "consent" // the person must agree, or say whom they act for
)

// decision is what a request needs, and what is stored that it was decided by.
type decision struct {
	step    step
	sub     string
	consent string
	firms   []registry.Firm // to choose from, when the person must
}

// decide says what a request that came at created needs while id is signed in. It
// fails with a refusal if it needs a page and must not have one, or if no page helps.
func (p *Provider) decide(ctx context.Context, a *authorization, created time.Time, id *web.Identity) (decision, error) {
	d, err := p.begin(ctx, a, created, id)
	if err != nil || d.step == stepLogin || d.step == stepAgain {
		return d, err
	}
	st, err := p.standing(ctx, a.client, id.Person)
	if err != nil {
		return decision{}, err
	}
	return a.weigh(d, st, created, id)
}

// begin decides as far as that goes without what is stored of person and client.
func (p *Provider) begin(ctx context.Context, a *authorization, created time.Time, id *web.Identity) (d decision, err error) {
	if a.essential && p.level(a) == "" {
		return d, errUnmet // there is no such level, whoever signs in
	}
	if id == nil {
		return a.needs(decision{step: stepLogin}, "login_required", "nobody is signed in")
	}
	if !a.takes(id.AuthTime, created) {
		return a.needs(decision{step: stepAgain}, "login_required", "the sign-in is too long ago")
	}
	d.step = stepCode
	if d, err = p.weighLevel(a, d, id, id.AuthTime.After(created)); err != nil || d.step != stepCode {
		return d, err
	}
	if !a.wants(scopeFirm) || id.Chosen {
		return d, nil
	}
	if d.firms, err = p.o.Firms.FirmsOf(ctx, id.Person, p.o.Now()); err != nil {
		return decision{}, fmt.Errorf("list firms: %w", err)
	}
	if len(d.firms) == 0 {
		return d, nil
	}
	d.step = stepConsent
	return a.needs(d, "interaction_required", "the person has not said whom they act for")
}

// weigh adds what is stored of person and client to a decision.
func (a *authorization) weigh(d decision, st standing, created time.Time, id *web.Identity) (decision, error) {
	d.sub, d.consent = st.sub, st.consent
	if slices.ContainsFunc(a.subs, func(sub string) bool { return sub != st.sub }) {
		if id.AuthTime.After(created) { // they have signed in for this, as somebody else
			return decision{}, reject("login_required", "another person is signed in than the one hinted at")
		}
		d.step = stepAgain
		return a.needs(d, "login_required", "another person is signed in than the one hinted at")
	}
	if a.asks(promptConsent) || slices.ContainsFunc(a.learns(), func(s string) bool { return !slices.Contains(st.scopes, s) }) {
		d.step = stepConsent
		return a.needs(d, "consent_required", "the person has not agreed yet")
	}
	return d, nil
}

// needs returns d unless the request must not lead to a page.
func (a *authorization) needs(d decision, code, description string) (decision, error) {
	if a.asks(promptNone) {
		return decision{}, reject(code, description)
	}
	return d, nil
}

// newGrant returns what id gives the client by a request, without a code.
func (p *Provider) newGrant(a *authorization, id *web.Identity, now time.Time) *grant {
	now = db.Time(db.Micros(now))
	g := &grant{id: db.NewID(), person: id.Person, client: a.client.ID, session: id.Session, scopes: a.scopes,
		acr: p.acr(a, id.ACR), amr: id.AMR, authTime: id.AuthTime, jkt: a.form.Get("dpop_jkt"), created: now, expires: now.Add(codeLife + p.o.Lifetime)}
	if slices.Contains(a.scopes, scopeOffline) {
		g.expires = now.Add(offlineLife)
	}
	g.idClaims, g.infoClaims = a.idClaims, a.infoClaims
	if a.wants(scopeFirm) && id.Chosen {
		g.firm, g.firmName = id.Firm, id.FirmName
	}
	return g
}

// makeCode lets the engine check the request once more and make the code of a grant.
// It returns the code's secret part.
func (p *Provider) makeCode(ctx context.Context, a *authorization, g *grant) (string, error) {
	if a.client.Sandbox != g.isPersona() {
		return "", errors.New("personas are for clients of the sandbox, and people for all others")
	}
	w := &work{p: p, grant: g}
	ctx = withWork(ctx, w)
	// fosite insists on a state of eight characters, which is nobody's business where
	// every client uses PKCE. The client's own goes back by sendBack.
	form := url.Values{"state": {g.id}}
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "nonce", "code_challenge", "code_challenge_method"} {
		if v := a.form.Get(name); v != "" {
			form.Set(name, v)
		}
	}
	request, err := p.engine.NewAuthorizeRequest(ctx, &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}, Form: form})
	if err != nil {
		return "", err
	}
	request.SetID(g.id)
	for _, s := range g.scopes {
		request.GrantScope(s)
	}
	if _, err := p.engine.NewAuthorizeResponse(ctx, request, newSession(g)); err != nil {
		return "", err
	}
	if w.secret == "" || g.challenge == "" || g.redirect != a.redirect {
		return "", errors.New("the engine has made no code")
	}
	return w.secret, nil
}

// sendCode sends the browser back with a code (RFC 6749 section 4.1.2).
func (p *Provider) sendCode(w http.ResponseWriter, a *authorization, code string) {
	p.metrics.requests.WithLabelValues(string(stepCode)).Inc()
	p.sendBack(w, a, url.Values{"code": {code}})
}

// sendBack sends the browser to the redirect URI. Every answer says whose it is (RFC
// 9207). It is written here and not by the engine, which would take the address with
// our parameters for one that is not registered.
func (p *Provider) sendBack(w http.ResponseWriter, a *authorization, answer url.Values) {
	if a.state != "" {
		answer.Set("state", a.state)
	}
	answer.Set("iss", p.o.Issuer)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", withQuery(a.redirect, answer))
	w.WriteHeader(http.StatusSeeOther)
}

// sendError tells the client why there is no code (RFC 6749 section 4.1.2.1, OpenID
// Connect Core section 3.1.2.6).
func (p *Provider) sendError(w http.ResponseWriter, r *http.Request, a *authorization, err error) error {
	ctx := r.Context()
	answer := p.known(err)
	switch {
	case answer != nil:
	case ctx.Err() != nil:
		return err // the browser is gone
	case fault.KindOf(err) == fault.Unavailable || errors.Is(err, context.DeadlineExceeded):
		p.log.WarnContext(ctx, "authorization unavailable", slog.Any("cause", err))
		answer = reject("temporarily_unavailable", "try again in a moment")
	default:
		p.log.ErrorContext(ctx, "authorization", slog.Any("cause", err))
		answer = reject("server_error", "internal error, reference "+obs.RequestID(ctx))
	}
	p.metrics.requests.WithLabelValues(answer.code).Inc()
	p.sendBack(w, a, url.Values{"error": {answer.code}, "error_description": {answer.description}})
	return nil
}

// page counts a request whose sender can only be told by a page.
func (p *Provider) page(err error) error {
	p.metrics.requests.WithLabelValues("page").Inc()
	return err
}
