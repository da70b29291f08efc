package oidc

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// The values of prompt (OpenID Connect Core section 3.1.2.1).
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
)

// Bounds of a request's parts.
const (
	maxRequest = 8 << 10
	maxState   = 2 << 10
	maxNonce   = 512
)

// authorization is a request of which the client and the redirect URI are genuine:
// whatever else is wrong with it is told to the client.
type authorization struct {
	client   *client
	redirect string
	state    string
	form     url.Values // as it is kept in an interaction, and parsed again
	scopes   []string
	prompts  []string
	maxAge   time.Duration // negative: any
	subs     []string      // whom the request is about, by id_token_hint and by claims; none: anybody

	acrs       []string // levels asked for, the best first
	essential  bool     // one of them must be reached
	infoClaims []string // asked for one by one, in userinfo
	idClaims   []string // and in the ID token

	pushed      []byte // hash of the request_uri that it came by, nil for none
	used        bool   // the request_uri has been used
	interaction string // what it has led to, "" for nothing
}

// asks reports whether the request has a value of prompt.
func (a *authorization) asks(prompt string) bool { return slices.Contains(a.prompts, prompt) }

// takes reports whether a sign-in does for a request that came at created. To prompt
// login and to max_age=0 only one that came after the request does.
func (a *authorization) takes(signIn, created time.Time) bool {
	switch {
	case a.asks(promptLogin) || a.maxAge == 0:
		return signIn.After(created)
	case a.maxAge > 0:
		return !signIn.Before(created.Add(-a.maxAge))
	}
	return true
}

// What is wrong with a request whose sender cannot be told, because nobody knows
// who that is: a page says it.
var (
	errRequest = web.Refuse(fault.Invalid, web.Text{ZH: "登录请求的格式不正确。请返回原网站重新开始；如仍无法登录，请联系该网站。",
		EN: "The sign-in request is malformed. Go back to the site that you came from and start again; if it fails again, tell that site."})
	errUnknown = web.Refuse(fault.Invalid, web.Text{ZH: "请求登录的网站未在本平台登记，或已停用。请勿在该网站继续操作，并联系该网站的管理机构。",
		EN: "The site that asked you to sign in is not registered here, or no longer. Do not go on there, and tell the agency that runs it."})
	errRedirect = web.Refuse(fault.Invalid, web.Text{ZH: "请求登录的网站要求返回的地址未经登记。为保护您的信息，登录已停止。请联系该网站。",
		EN: "The site that asked you to sign in wants you sent back to an address that is not registered. To protect you, the sign-in stops here. Tell that site."})
)

// reject is a refusal that is told to the client by a redirect.
func reject(code, description string) *refusal {
	return &refusal{http.StatusSeeOther, code, description}
}

// parseAuthorization reads an authorization request (RFC 6749 section 4.1.1, OpenID
// Connect Core section 3.1.2.1). Without an authorization the error is for a page;
// with one it is a refusal for the client. A request that is not pushed came through the
// browser, where a client of the profile fapi2 lets nobody see or change it.
func (p *Provider) parseAuthorization(ctx context.Context, values url.Values, pushed bool) (*authorization, error) {
	a := &authorization{maxAge: -1}
	if len(values["client_id"]) != 1 || len(values["redirect_uri"]) != 1 {
		return nil, errRequest
	}
	var err error
	a.client, err = p.findClient(ctx, values.Get("client_id"))
	if fault.KindOf(err) == fault.NotFound || err == nil && (!a.client.Disabled.IsZero() || !a.client.signsIn()) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	// Character by character: fosite would let the port of a loopback address vary.
	a.redirect = values.Get("redirect_uri")
	if !slices.Contains(a.client.RedirectURIs, a.redirect) {
		return nil, p.redirectRefused(a.client)
	}
	if state := values["state"]; len(state) == 1 && len(state[0]) <= maxState && isVisible(state[0]) {
		a.state = state[0]
	}
	if err := a.read(values); err != nil {
		return a, err
	}
	if a.client.Profile == ProfileFAPI2 && !pushed {
		return a, reject("invalid_request", "this client must push its requests to "+p.o.Issuer+pushPath)
	}
	if hint := values.Get("id_token_hint"); hint != "" {
		sub, err := p.checkHint(ctx, hint, a.client.ID)
		if err != nil {
			return a, err
		}
		a.subs = append(a.subs, sub)
	}
	return a, nil
}

// kept are the parameters that count. All others are ignored, as is login_hint: it is
// personal, and a passkey knows better who is there.
var kept = []string{"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "prompt", "max_age", "ui_locales",
	"id_token_hint", "code_challenge", "code_challenge_method", "dpop_jkt", "acr_values", "claims"}

// read checks what does not need the database.
func (a *authorization) read(values url.Values) error {
	for _, list := range values {
		if len(list) != 1 {
			return reject("invalid_request", "a parameter appears twice")
		}
	}
	for _, refused := range []struct{ name, code string }{{"request", "request_not_supported"},
		{"request_uri", "request_uri_not_supported"}, {"registration", "registration_not_supported"}} {
		if values.Get(refused.name) != "" {
			return reject(refused.code, "the parameter "+refused.name+" is not supported")
		}
	}
	a.form = url.Values{}
	for _, name := range kept {
		if v := values.Get(name); v != "" {
			if !isVisible(v) {
				return reject("invalid_request", name+" holds characters that it cannot have")
			}
			a.form.Set(name, v)
		}
	}
	if len(values.Get("state")) > maxState || len(a.form.Get("nonce")) > maxNonce {
		return reject("invalid_request", "state or nonce is too long")
	}
	switch a.form.Get("response_type") {
	case responseCode:
	case "":
		return reject("invalid_request", "response_type is missing")
	default:
		return reject("unsupported_response_type", "response_type must be code")
	}
	if mode := values.Get("response_mode"); mode != "" && mode != "query" {
		return reject("invalid_request", "response_mode must be query")
	}
	if err := a.readScopes(); err != nil {
		return err
	}
	if err := a.readClaims(); err != nil {
		return err
	}
	a.readLevels()
	if err := a.readChallenge(); err != nil {
		return err
	}
	if jkt := a.form.Get("dpop_jkt"); jkt != "" {
		if b, err := base64.RawURLEncoding.Strict().DecodeString(jkt); err != nil || len(b) != 32 {
			return reject("invalid_request", "dpop_jkt is no SHA-256 thumbprint in base64url")
		}
	}
	return a.readPrompt()
}

func (a *authorization) readScopes() error {
	for _, s := range strings.Split(a.form.Get("scope"), " ") {
		if s == "" || slices.Contains(a.scopes, s) {
			continue
		}
		if !slices.Contains(a.client.Scopes, s) {
			return reject("invalid_scope", "the client may not ask for a scope that it asks for")
		}
		a.scopes = append(a.scopes, s)
	}
	if !slices.Contains(a.scopes, scopeOpenID) {
		return reject("invalid_scope", "the scope must contain openid")
	}
	return nil
}

// readChallenge checks the challenge of RFC 7636, which every client must send.
func (a *authorization) readChallenge() error {
	challenge := a.form.Get("code_challenge")
	if challenge == "" {
		return reject("invalid_request", "code_challenge is missing: every client uses PKCE with the method S256 (RFC 7636)")
	}
	if a.form.Get("code_challenge_method") != methodS256 {
		return reject("invalid_request", "code_challenge_method must be S256")
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(b) != 32 {
		return reject("invalid_request", "code_challenge is no SHA-256 hash in base64url")
	}
	return nil
}

func (a *authorization) readPrompt() error {
	for _, prompt := range strings.Fields(a.form.Get("prompt")) {
		if prompt != promptNone && prompt != promptLogin && prompt != promptConsent {
			return reject("invalid_request", "prompt must be none, or login and consent")
		}
		a.prompts = append(a.prompts, prompt)
	}
	if a.asks(promptNone) && len(a.prompts) > 1 {
		return reject("invalid_request", "prompt none stands alone")
	}
	if age := a.form.Get("max_age"); age != "" {
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return reject("invalid_request", "max_age must be a number of seconds")
		}
		a.maxAge = time.Duration(seconds) * time.Second
	}
	return nil
}

// isVisible reports whether s has only the characters that RFC 6749 appendix A gives
// to parameters: printable ASCII. Every database keeps those.
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// parseForm reads the parameters of an authorization request, from a query or from
// a body.
func parseForm(text string) (url.Values, error) {
	if len(text) > maxRequest {
		return nil, errRequest
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errRequest
	}
	for name, list := range values {
		if len(list) == 1 && list[0] == "" {
			delete(values, name) // RFC 6749 section 3.1: as if left out
		}
	}
	return values, nil
}
