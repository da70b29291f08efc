package demoapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	patience  = 10 * time.Second // with one request to the provider
	answerMax = 1 << 20          // bytes of one answer
	retry     = time.Second      // between attempts to discover the provider
)

// provider is the issuer, discovered when it is first needed.
type provider struct {
	o      Options
	client *http.Client
	strict *strict // nil for a client with a secret

	mu     sync.Mutex // held while the provider is discovered
	found  *discovered
	err    error // of the last attempt
	failed time.Time
}

// discovered is what the issuer says of itself.
type discovered struct {
	*oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	saysIss  bool // RFC 9207 section 3: its answers name it
	pushURL  string
}

func newProvider(o Options) *provider {
	return &provider{o: o, client: &http.Client{Timeout: patience, Transport: limited{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the provider redirects") }}}
}

// context returns a context in which both libraries use our client.
func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

// discover returns the provider. After a failure it does not ask again for a
// second, so that a crowd of visitors does not.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if p.err != nil && p.o.Now().Sub(p.failed) < retry {
		return nil, p.err
	}
	p.found, p.err = p.ask(ctx)
	p.failed = p.o.Now()
	return p.found, p.err
}

func (p *provider) ask(ctx context.Context) (*discovered, error) {
	found, err := oidc.NewProvider(p.context(ctx), p.o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discover provider: %w", err)
	}
	var more struct {
		SaysIss bool     `json:"authorization_response_iss_parameter_supported"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		PushURL string   `json:"pushed_authorization_request_endpoint"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, fmt.Errorf("discover provider: %w", err)
	}
	d := &discovered{Provider: found, saysIss: more.SaysIss, pushURL: more.PushURL}
	if p.strict != nil && d.pushURL == "" {
		return nil, errors.New("discover provider: it takes no pushed requests")
	}
	endpoint := found.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	d.oauth = oauth2.Config{ClientID: p.o.ClientID, ClientSecret: p.o.ClientSecret, Endpoint: endpoint, RedirectURL: p.o.Self + "/callback"}
	// go-oidc knows asymmetric algorithms only; ours are those that the city may use.
	d.verifier = found.Verifier(&oidc.Config{ClientID: p.o.ClientID, SupportedSigningAlgs: []string{oidc.ES256, oidc.EdDSA, oidc.PS256}, Now: p.o.Now})
	return d, nil
}

// limited bounds every answer.
type limited struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, answerMax), resp.Body}
	return resp, nil
}
