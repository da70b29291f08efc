package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	maxAnswer   = 16 << 20 // bytes of an answer
	maxMetadata = 1 << 20
	callTimeout = 45 * time.Second
	headerKey   = "Idempotency-Key"
)

// api is one city's API, used by one client.
type api struct {
	account
	scope string
	http  *http.Client

	token string
	until time.Time // when to ask for another
}

// connect returns the API as the flags say, for calls that need the scope. It
// sends nothing yet.
func (f *apiFlags) connect(e *env, scope string) (*api, error) {
	a, err := f.account(e)
	if err != nil {
		return nil, err
	}
	return newAPI(a, scope), nil
}

// newAPI returns the API for what is known of a city and a client of it.
func newAPI(a account, scope string) *api {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       &tls.Config{RootCAs: a.roots},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		ForceAttemptHTTP2:     true,
	}
	return &api{account: a, scope: scope, http: &http.Client{
		Transport: transport,
		Timeout:   callTimeout,
		// A redirect would carry the token, or the body, somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// request is one call.
type request struct {
	method, path string
	body         []byte // JSON, nil for none
	kind         string // of the body, "" for JSON
	key          string // idempotency key, "" for none
}

// call makes a call and returns the body of its answer. A refusal is an error of
// type *apiError.
func (a *api) call(ctx context.Context, r request) ([]byte, error) {
	resp, err := a.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return readBody(resp, maxAnswer)
}

// send makes a call; the answer is a success and its body is not read yet.
func (a *api) send(ctx context.Context, r request) (*http.Response, error) {
	if err := a.authorize(ctx); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, a.server+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if r.kind == "" {
		r.kind = "application/json"
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.kind)
	}
	if r.key != "" {
		req.Header.Set(headerKey, r.key)
	}
	return a.do(req)
}

// do sends a request and turns an answer that is no success into an error.
func (a *api) do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "signet")
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call server: %w", reachable(err))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer func() { _ = resp.Body.Close() }()
		return nil, refusal(resp)
	}
	return resp, nil
}

// reachable adds what to do where the server could not be reached or believed.
func reachable(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return withHint(err, "name the city's root certificate with --ca-file")
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return withHint(err, "is the city being served there?")
	}
	return err
}

// authorize makes sure that there is a token. One is enough for most commands; a
// long import needs another now and then.
func (a *api) authorize(ctx context.Context) error {
	if a.token != "" && time.Now().Before(a.until) {
		return nil
	}
	endpoint, err := a.discover(ctx)
	if err != nil {
		return fmt.Errorf("discover token endpoint: %w", err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {a.scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("fetch token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(a.id), url.QueryEscape(a.secret)) // RFC 6749 section 2.3.1
	var token struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := a.fetch(req, &token); err != nil {
		return fmt.Errorf("fetch token: %w", err)
	}
	if token.AccessToken == "" || !strings.EqualFold(token.TokenType, "bearer") {
		return errors.New("fetch token: the answer holds no bearer token")
	}
	a.token, a.until = token.AccessToken, time.Now().Add(time.Duration(token.ExpiresIn)*time.Second*3/4)
	return nil
}

// discover returns the token endpoint (RFC 8414). It is the server's own: the
// secret goes nowhere else.
func (a *api) discover(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+"/.well-known/oauth-authorization-server", nil)
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := a.fetch(req, &metadata); err != nil {
		return "", err
	}
	if metadata.Issuer != a.server {
		err := fmt.Errorf("the server calls itself %q", metadata.Issuer)
		return "", withHint(err, "give --server exactly as the city's issuer is written")
	}
	if !strings.HasPrefix(metadata.TokenEndpoint, a.server+"/") {
		return "", fmt.Errorf("the token endpoint %q is on another server", metadata.TokenEndpoint)
	}
	return metadata.TokenEndpoint, nil
}

// fetch sends a request and decodes the answer, ignoring members that it does not
// know.
func (a *api) fetch(req *http.Request, v any) error {
	resp, err := a.do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := readBody(resp, maxMetadata)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return errors.New("the answer is not the JSON that was expected")
	}
	return nil
}

// readBody reads an answer of at most limit bytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("read answer: larger than %d bytes", limit)
	}
	return bytes.TrimRight(b, "\n"), nil
}

// apiError is a refusal by the server.
type apiError struct {
	status    int
	after     time.Duration // when to ask again, 0 where the server does not say
	Kind      string        `json:"error"`
	Message   string        `json:"message"`
	Problems  []problem     `json:"problems"`
	Reference string        `json:"reference"`

	Description string `json:"error_description"` // of the token endpoint (RFC 6749 section 5.2)
}

// problem is one thing that is wrong with what was sent.
type problem struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// refusal reads an answer that is no success.
func refusal(resp *http.Response) error {
	e := &apiError{status: resp.StatusCode, after: retryAfter(resp.Header, time.Now())}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	b, err := readBody(resp, maxMetadata)
	if err != nil || kind != "application/json" || json.Unmarshal(b, e) != nil || e.Kind == "" {
		return &apiError{status: resp.StatusCode, after: e.after, Kind: http.StatusText(resp.StatusCode),
			Message: fmt.Sprintf("the server answered with status %d", resp.StatusCode)}
	}
	return e
}

// Error returns the message, then a line for each problem, then the reference.
func (e *apiError) Error() string {
	var b strings.Builder
	if e.Message == "" {
		e.Message = e.Description
	}
	fmt.Fprintf(&b, "%s (%s)", e.Message, e.Kind)
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %s: %s", p.Path, p.Message)
	}
	if e.Reference != "" {
		fmt.Fprintf(&b, "\n  reference: %s", e.Reference)
	}
	return b.String()
}

// unanswered says whether nobody can tell from err if the call was carried out.
func unanswered(err error) bool {
	refused, ok := errors.AsType[*apiError](err)
	return !ok || refused.status >= 500
}

// keyed makes a call with an idempotency key, its own or one of an earlier run. If
// it fails, the person learns how to repeat it without doing it twice.
func (a *api) keyed(ctx context.Context, r request) ([]byte, error) {
	if r.key == "" {
		r.key = rand.Text()
	}
	if err := a.authorize(ctx); err != nil {
		return nil, err // nothing was asked for yet
	}
	b, err := a.call(ctx, r)
	if err != nil && unanswered(err) {
		return nil, withHint(err, "it may have been done: repeat the command with --idempotency-key %s, and it is done once", r.key)
	}
	return b, err
}

// post sends v as JSON, in a call that is harmless when repeated.
func (a *api) post(ctx context.Context, path string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	return a.call(ctx, request{method: http.MethodPost, path: path, body: body})
}

// pool reads the certificates of a PEM file.
func pool(b []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return p, nil
}
