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
	"strings"

	"github.com/ory/fosite"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
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
	errClient = &refusal{http.StatusUnauthorized, "invalid_client", "the client could not be authenticated"}
	errGrant  = &refusal{http.StatusBadRequest, "unsupported_grant_type", "this server does not know the grant type"}
	errScope  = &refusal{http.StatusBadRequest, "invalid_scope", "the client may not ask for this scope"}
	errBody   = &refusal{http.StatusRequestEntityTooLarge, "invalid_request", "the body is too large"}
)

func invalid(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", description}
}

// serveToken is the token endpoint.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	answer, err := p.grant(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.metrics.tokens.WithLabelValues(grantClientCredentials).Inc()
	_, _ = w.Write(answer)
}

// grant reads the request, lets fosite judge it and returns the answer's body.
func (p *Provider) grant(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	if err := checkGrant(form); err != nil {
		return nil, err
	}
	r.Form, r.PostForm = form, form // what fosite reads, instead of parsing on its own
	ctx := r.Context()
	request, err := p.engine.NewAccessRequest(ctx, r, session{})
	if err != nil {
		return nil, err
	}
	// The engine has checked that the client may have what it asks for. Whoever
	// asks for nothing in particular gets all that (RFC 6749 section 3.3).
	scopes := request.GetRequestedScopes()
	if len(scopes) == 0 {
		scopes = request.GetClient().GetScopes()
	}
	for _, s := range scopes {
		request.GrantScope(s)
	}
	response, err := p.engine.NewAccessResponse(ctx, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Scope       string `json:"scope"`
	}{response.GetAccessToken(), "Bearer", int64(p.o.Lifetime.Seconds()), strings.Join(request.GetGrantedScopes(), " ")})
}

// readForm reads a form by RFC 6749 section 3.2: parameters come in the body and
// once at most, and those without a value count as left out.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalid("the content type must be application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, invalid("parameters belong in the body")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
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
// does not.
func checkGrant(form url.Values) error {
	switch form.Get("grant_type") {
	case grantClientCredentials:
	case "":
		return invalid("grant_type is missing")
	default:
		return errGrant
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
	var known *refusal
	if errors.As(err, &known) {
		return known
	}
	var engine *fosite.RFC6749Error
	if errors.As(err, &engine) && engine.CodeField < 500 {
		switch {
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
