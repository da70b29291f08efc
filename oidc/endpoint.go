package oidc

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
)

// Where clients come to, below the issuer.
const (
	tokenPath = "/oidc/token"
	pushPath  = "/oidc/par"
)

// maxForm bounds the body of a token request.
const maxForm = 8 << 10

// refusal is an answer of RFC 6749 section 5.2.
type refusal struct {
	status      int
	code        string
	description string
}

// Error implements error.
func (r *refusal) Error() string { return r.code + ": " + r.description }

var (
	errClient       = &refusal{http.StatusUnauthorized, "invalid_client", "the client could not be authenticated: check client_id, and its secret in the Authorization header or its registered key"}
	errSecretPlace  = &refusal{http.StatusUnauthorized, "invalid_client", "client_secret belongs in the Authorization header (client_secret_basic), not in the body"}
	errGrant        = &refusal{http.StatusBadRequest, "unsupported_grant_type", "this server does not know the grant type"}
	errSpent        = &refusal{http.StatusBadRequest, "invalid_grant", "the code or refresh token is not valid, or no longer: a code is good once, for 60 seconds, with the redirect_uri and code_verifier of its own request. Begin a new sign-in"}
	errScope        = &refusal{http.StatusBadRequest, "invalid_scope", "the client may not ask for this scope"}
	errUnauthorized = &refusal{http.StatusBadRequest, "unauthorized_client", "the client may not do this"}
	errBody         = &refusal{http.StatusRequestEntityTooLarge, "invalid_request", "the body is too large"}
)

func invalid(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", description}
}

// serveToken is the token endpoint.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	p.prepare(w, r)
	kind, answer, err := p.grant(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.metrics.tokens.WithLabelValues(kind).Inc()
	_, _ = w.Write(answer)
}

// prepare sets the headers of every answer to a client. Whoever sends a proof is told
// the nonce for the next one (RFC 9449 section 8.2).
func (p *Provider) prepare(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	p.tellNonce(w, r)
}

// tellNonce gives whoever sends a proof the nonce for the next one. Without a keyring
// there is none, and the proof is refused for that.
func (p *Provider) tellNonce(w http.ResponseWriter, r *http.Request) {
	if len(r.Header.Values("DPoP")) == 0 {
		return
	}
	if nonce, err := p.nonce(r.Context()); err == nil {
		w.Header().Set("DPoP-Nonce", nonce)
	}
}

// tries is how often a request is decided anew because its grant changed meanwhile.
// The first change is decisive: a code has been redeemed, a refresh token rotated.
const tries = 4

// grant reads the request and returns its grant type and the answer's body.
func (p *Provider) grant(w http.ResponseWriter, r *http.Request) (kind string, answer []byte, err error) {
	form, err := readForm(w, r, maxForm)
	if err != nil {
		return "", nil, err
	}
	kind = form.Get("grant_type")
	if err := p.checkGrant(kind, form); err != nil {
		return "", nil, err
	}
	shown, err := p.readProof(r.Context(), r, p.o.Issuer+tokenPath, "")
	if err != nil {
		return "", nil, err
	}
	for range tries {
		r.Form, r.PostForm = form, form // what fosite reads, instead of parsing on its own
		answer, err = p.grantOnce(r, form, shown)
		if !errors.Is(err, errLost) {
			return kind, answer, err
		}
	}
	return "", nil, errSpent
}

// grantOnce lets fosite judge a request and writes what follows from it. It fails
// with errLost if that would contradict what somebody else has written.
func (p *Provider) grantOnce(r *http.Request, form url.Values, shown *proof) ([]byte, error) {
	w := &work{p: p, proof: shown, tokens: true}
	ctx := withWork(r.Context(), w)
	response, scopes, err := p.respond(ctx, w, r, form)
	if err != nil {
		// What a refusal means for the grant is written although, or rather
		// before, the answer is an error.
		if translated := p.known(err); translated == nil || translated.status >= 500 {
			return nil, err
		}
		if failed := w.commit(ctx); failed != nil {
			return nil, failed
		}
		return nil, err
	}
	if err := w.commit(ctx); err != nil {
		return nil, err
	}
	extra := func(name string) string {
		s, _ := response.GetExtra(name).(string)
		return s
	}
	kind, refresh := "Bearer", extra("refresh_token")
	if w.proof != nil {
		kind = "DPoP"
	}
	if w.rotate && w.stays() {
		refresh = "" // the client goes on with the one it has
	}
	return json.Marshal(struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int64  `json:"expires_in"`
		Scope        string `json:"scope"`
		RefreshToken string `json:"refresh_token,omitzero"`
		IDToken      string `json:"id_token,omitzero"`
	}{response.GetAccessToken(), kind, int64(p.o.Lifetime.Seconds()), strings.Join(scopes, " "), refresh, extra("id_token")})
}

// respond lets fosite check a request and make its tokens.
func (p *Provider) respond(ctx context.Context, w *work, r *http.Request, form url.Values) (fosite.AccessResponder, []string, error) {
	request, err := p.engine.NewAccessRequest(ctx, r, newSession(nil))
	if err != nil {
		if request != nil {
			w.refused(request.GetClient().GetID())
		}
		return nil, nil, err
	}
	scopes := request.GetGrantedScopes()
	switch form.Get("grant_type") {
	case grantClientCredentials:
		// The engine has checked that the client may have what it asks for. Whoever
		// asks for nothing in particular gets all that (RFC 6749 section 3.3).
		if scopes = request.GetRequestedScopes(); len(scopes) == 0 {
			scopes = request.GetClient().GetScopes()
		}
		for _, s := range scopes {
			request.GrantScope(s)
		}
	case grantCode:
		scopes = w.grant.scopes
	case grantRefresh:
		if scopes, err = fewer(w.grant.scopes, form.Get("scope")); err != nil {
			return nil, nil, err
		}
		w.scopes = scopes
	}
	response, err := p.engine.NewAccessResponse(ctx, request)
	return response, scopes, err
}

// fewer returns the scopes that a refresh asks for, which must be some of those that
// were granted (RFC 6749 section 6), or all of them if it does not say.
func fewer(granted []string, scope string) ([]string, error) {
	asked := strings.Fields(scope)
	if len(asked) == 0 {
		return granted, nil
	}
	for _, s := range asked {
		if !slices.Contains(granted, s) {
			return nil, errScope
		}
	}
	return asked, nil
}

// readForm reads a form by RFC 6749 section 3.2: parameters come in the body and
// once at most, and those without a value count as left out.
func readForm(w http.ResponseWriter, r *http.Request, most int64) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalid("the content type must be application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, invalid("parameters belong in the body")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		var limit *http.MaxBytesError
		if errors.As(err, &limit) {
			return nil, errBody
		}
		return nil, invalid("the body could not be read")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalid("the body is not a form")
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, invalid("a parameter appears twice")
		}
		if values[0] == "" {
			delete(form, name)
		}
	}
	return form, nil
}

// checkGrant tells an unknown grant type from a malformed request, which fosite
// does not, and one without what it is about from one with something wrong.
func (p *Provider) checkGrant(kind string, form url.Values) error {
	needs := ""
	switch {
	case kind == "":
		return invalid("grant_type is missing")
	case kind == grantClientCredentials:
		return nil
	case kind == grantCode && p.pages != nil:
		needs = "code"
	case kind == grantRefresh && p.pages != nil:
		needs = "refresh_token"
	default:
		return errGrant
	}
	if form.Get(needs) == "" {
		return invalid(needs + " is missing")
	}
	return nil
}

// refuse writes err in the form of RFC 6749 section 5.2 and counts it.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) {
	answer := p.translate(r.Context(), err)
	p.metrics.refusals.WithLabelValues(answer.code).Inc()
	switch answer.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="signet", charset="UTF-8"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{answer.code, answer.description})
	if err != nil { // only descriptions of ours stand in it
		body = []byte(`{"error":"server_error"}`)
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(body)
}

// translate finds the answer for an error. Descriptions are ours alone: fosite's
// repeat what was sent. An error that nobody foresaw is logged, and shown as a
// reference number.
func (p *Provider) translate(ctx context.Context, err error) *refusal {
	if known := p.known(err); known != nil {
		return known
	}
	if fault.KindOf(err) == fault.Unavailable || errors.Is(err, context.DeadlineExceeded) {
		p.log.WarnContext(ctx, "token request unavailable", slog.Any("cause", err))
		return &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "try again in a moment"}
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "the client went away"}
	}
	p.log.ErrorContext(ctx, "token request", slog.Any("cause", err))
	return &refusal{http.StatusInternalServerError, "server_error", fmt.Sprintf("internal error, reference %s", obs.RequestID(ctx))}
}

// known returns the refusal that an error stands for, nil if it is no refusal.
func (p *Provider) known(err error) *refusal {
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	engine, ok := errors.AsType[*fosite.RFC6749Error](err)
	if !ok || engine.CodeField >= 500 {
		return nil
	}
	switch {
	case errors.Is(engine, fosite.ErrInvalidGrant):
		return errSpent
	case errors.Is(engine, fosite.ErrInvalidScope):
		return errScope
	case errors.Is(engine, fosite.ErrInvalidClient):
		return errClient
	case errors.Is(engine, fosite.ErrUnauthorizedClient):
		return &refusal{http.StatusBadRequest, "unauthorized_client", "the client may not use this grant type"}
	default:
		return invalid("the request is malformed")
	}
}
