package demoapp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"
)

// strict is what a relying party of the FAPI 2.0 Security Profile does beyond the
// plain code flow: it pushes its requests (RFC 9126), proves itself by an assertion
// (RFC 7523), and has code and tokens bound to a key of this process (RFC 9449).
type strict struct {
	key   *key // registered with the provider
	bound *key // proved with every use
	nonce atomic.Pointer[string]
}

func newStrict(privateJWK []byte) (*strict, error) {
	registered, err := parseKey(privateJWK)
	if err != nil {
		return nil, err
	}
	bound, err := newKey()
	if err != nil {
		return nil, err
	}
	return &strict{key: registered, bound: bound}, nil
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertion proves the client to the issuer.
func (p *provider) assertion() (string, error) {
	now := p.o.Now().Unix()
	return p.strict.key.sign(map[string]any{"kid": p.strict.key.id}, map[string]any{"iss": p.o.ClientID, "sub": p.o.ClientID, "aud": p.o.Issuer,
		"iat": now, "exp": now + 60, "jti": rand.Text()})
}

// proof proves the key for one request, with the newest nonce.
func (p *provider) proof(method, address, token string) (string, error) {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": p.o.Now().Unix()}
	if nonce := p.strict.nonce.Load(); nonce != nil {
		claims["nonce"] = *nonce
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = b64.EncodeToString(sum[:])
	}
	return p.strict.bound.sign(map[string]any{"typ": "dpop+jwt", "jwk": p.strict.bound.public}, claims)
}

// send makes a request with a proof and reads the answer. When the provider wants
// another nonce it is asked once more.
func (p *provider) send(ctx context.Context, method, address, token string, form func() (url.Values, error), into any) error {
	for try := 0; ; try++ {
		response, err := p.sendOnce(ctx, method, address, token, form)
		if err != nil {
			return err
		}
		if nonce := response.Header.Get("DPoP-Nonce"); nonce != "" && len(nonce) <= 256 {
			p.strict.nonce.Store(&nonce)
		}
		var failed struct {
			Code string `json:"error"`
		}
		ok := response.StatusCode/100 == 2
		if ok {
			err = json.UnmarshalRead(response.Body, into)
		} else {
			_ = json.UnmarshalRead(response.Body, &failed)
		}
		_ = response.Body.Close()
		again := failed.Code == "use_dpop_nonce" || strings.Contains(response.Header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`)
		switch {
		case ok && err != nil:
			return errors.New("read answer: it is not the JSON that was expected")
		case ok:
			return nil
		case !again || try > 0:
			return &refused{known(failed.Code)}
		}
	}
}

func (p *provider) sendOnce(ctx context.Context, method, address, token string, form func() (url.Values, error)) (*http.Response, error) {
	body := ""
	if form != nil {
		values, err := form()
		if err != nil {
			return nil, err
		}
		body = values.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	proof, err := p.proof(method, address, token)
	if err != nil {
		return nil, err
	}
	r.Header.Set("DPoP", proof)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "DPoP "+token)
	}
	return p.client.Do(r)
}

// signed adds a fresh assertion to a form.
func (p *provider) signed(form url.Values) func() (url.Values, error) {
	return func() (url.Values, error) {
		assertion, err := p.assertion()
		form.Set("client_assertion", assertion)
		form.Set("client_assertion_type", assertionType)
		return form, err
	}
}

// push hands a request to the provider and returns where the visitor is sent.
func (p *provider) push(ctx context.Context, d *discovered, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if err := p.send(ctx, http.MethodPost, d.pushURL, "", p.signed(u.Query()), &answer); err != nil {
		return "", fmt.Errorf("push request: %w", err)
	}
	if answer.RequestURI == "" {
		return "", errors.New("push request: the answer names none")
	}
	u.RawQuery = url.Values{"client_id": {p.o.ClientID}, "request_uri": {answer.RequestURI}}.Encode()
	return u.String(), nil
}

// exchange redeems a code.
func (p *provider) exchange(ctx context.Context, d *discovered, code, verifier string) (*oauth2.Token, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		Type        string `json:"token_type"`
		IDToken     string `json:"id_token"`
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {d.oauth.RedirectURL}, "code_verifier": {verifier}}
	if err := p.send(ctx, http.MethodPost, d.Endpoint().TokenURL, "", p.signed(form), &answer); err != nil {
		return nil, err
	}
	if !strings.EqualFold(answer.Type, "DPoP") {
		return nil, errors.New("the token is not bound to a key")
	}
	token := &oauth2.Token{AccessToken: answer.AccessToken, TokenType: answer.Type}
	return token.WithExtra(map[string]any{"id_token": answer.IDToken}), nil
}

// userinfo asks about the visitor.
func (p *provider) userinfo(ctx context.Context, d *discovered, token string) (sub string, c claims, err error) {
	var raw map[string]any
	if err := p.send(ctx, http.MethodGet, d.UserInfoEndpoint(), token, nil, &raw); err != nil {
		return "", c, err
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return "", c, err
	}
	err = c.read(func(v any) error { return json.Unmarshal(text, v) })
	return c.Subject, c, err
}
