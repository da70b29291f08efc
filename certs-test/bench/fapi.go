package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/cmd/city"
)

// fapi measures a whole flow of the FAPI 2.0 Security Profile with a session present
// and consent remembered: the pushed request with a proof, the code, its redemption
// with another proof, and the log sealed. What the client signs is in it, too: two
// assertions and two proofs.
func (m *measured) fapi() error {
	name := "flow.fapi" + m.engine.suffix
	if !m.pick.MatchString(name) {
		return nil
	}
	v, err := m.newStrictVisitor()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return m.flows(name, v.flow)
}

// strictVisitor is a visitor of a site of the profile fapi2, and the site.
type strictVisitor struct {
	*visitor
	issuer     string
	assertions jose.Signer
	proofs     jose.Signer
	nonce      string
}

func (m *measured) newStrictVisitor() (*strictVisitor, error) {
	i := slices.IndexFunc(m.demo.Clients, func(s city.DemoSite) bool { return s.Profile == "fapi2" })
	if i < 0 {
		return nil, errors.New("the demo city has no site of the profile fapi2")
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(m.demo.Clients[i].PrivateJWK); err != nil {
		return nil, errors.New("the site's key is none")
	}
	assertions, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		return nil, err
	}
	bound, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	proofs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: bound},
		(&jose.SignerOptions{}).WithType("dpop+jwt").WithHeader("jwk", jose.JSONWebKey{Key: &bound.PublicKey}))
	if err != nil {
		return nil, err
	}
	v := &strictVisitor{issuer: m.demo.Issuer, assertions: assertions, proofs: proofs}
	v.visitor, err = m.newVisitorOf(i, func(challenge string) (string, error) { return v.push(challenge) }, func(ready *visitor) { v.visitor = ready })
	return v, err
}

func jws(signer jose.Signer, claims map[string]any) (string, error) {
	b, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	s, err := signer.Sign(b)
	if err != nil {
		return "", err
	}
	return s.CompactSerialize()
}

// post sends a form with an assertion and a proof, again when only the nonce was old.
func (v *strictVisitor) post(path string, form url.Values, into any) error {
	for range 2 {
		now := time.Now().Unix()
		assertion, err := jws(v.assertions, map[string]any{"iss": v.site.ID, "sub": v.site.ID, "aud": v.issuer, "exp": now + 60, "jti": rand.Text()})
		if err != nil {
			return err
		}
		proof, err := jws(v.proofs, map[string]any{"jti": rand.Text(), "htm": "POST", "htu": v.issuer + path, "iat": now, "nonce": v.nonce})
		if err != nil {
			return err
		}
		form.Set("client_assertion", assertion)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		r := httptest.NewRequestWithContext(v.ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		v.mux.ServeHTTP(w, r)
		v.nonce = w.Header().Get("DPoP-Nonce")
		switch {
		case w.Code < 300:
			return json.Unmarshal(w.Body.Bytes(), into)
		case !strings.Contains(w.Body.String(), "use_dpop_nonce"):
			return fmt.Errorf("%s: status %d", path, w.Code)
		}
	}
	return errors.New(path + ": no nonce was good enough")
}

// push returns where the browser is sent.
func (v *strictVisitor) push(challenge string) (string, error) {
	var pushed struct {
		URI string `json:"request_uri"`
	}
	u, err := url.Parse(v.address(challenge))
	if err != nil {
		return "", err
	}
	if err := v.post("/oidc/par", u.Query(), &pushed); err != nil {
		return "", err
	}
	return "/oidc/authorize?" + url.Values{"client_id": {v.site.ID}, "request_uri": {pushed.URI}}.Encode(), nil
}

// flow is one flow.
func (v *strictVisitor) flow() error {
	verifier := rand.Text() + rand.Text()
	address, err := v.push(challenge(verifier))
	if err != nil {
		return err
	}
	w := v.do(httptest.NewRequestWithContext(v.ctx, http.MethodGet, address, nil))
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		return fmt.Errorf("authorize: status %d", w.Code)
	}
	var tokens struct {
		IDToken string `json:"id_token"`
		Type    string `json:"token_type"`
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {v.site.RedirectURIs[0]}, "code_verifier": {verifier}}
	if err := v.post("/oidc/token", form, &tokens); err != nil {
		return err
	}
	if tokens.IDToken == "" || tokens.Type != "DPoP" {
		return errors.New("token: the answer holds none that is bound")
	}
	return nil
}
