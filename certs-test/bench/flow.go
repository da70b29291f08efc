package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/signet-city/signet/cmd/city"
)

// flow measures a whole authorization code flow with a session present and consent
// remembered, in the handlers without sockets: the request, the code, its redemption
// for an access token and an ID token, and the log sealed. Signing in and consenting
// happen once before.
func (m *measured) flow() error {
	name := "flow.code" + m.engine.suffix
	if !m.pick.MatchString(name) {
		return nil
	}
	v, err := m.newVisitor()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return m.flows(name, v.once)
}

// flows measures flows, and the log sealed after a batch of them.
func (m *measured) flows(name string, one func() error) error {
	return m.perCore(name, "p256.sign", m.engine.postmaster, func(n int) error {
		for range n {
			if err := one(); err != nil {
				return err
			}
		}
		_, err := m.city.Log.Seal(m.ctx)
		return err
	})
}

// visitor is a person's browser and a site that signs them in.
type visitor struct {
	*measured
	mux     *http.ServeMux
	site    city.DemoSite
	cookies map[string]string
}

func (m *measured) newVisitor() (*visitor, error) {
	var v *visitor
	return m.newVisitorOf(0, func(challenge string) (string, error) { return v.address(challenge), nil }, func(ready *visitor) { v = ready })
}

// newVisitorOf returns a visitor of a site who has signed in and consented. Request
// says where the browser is sent for a challenge; it is called after ready.
func (m *measured) newVisitorOf(site int, request func(challenge string) (string, error), ready func(*visitor)) (*visitor, error) {
	if len(m.demo.Clients) <= site || len(m.demo.Citizens) <= site {
		return nil, errors.New("the demo city has no sites or citizens")
	}
	v := &visitor{measured: m, mux: http.NewServeMux(), site: m.demo.Clients[site], cookies: map[string]string{}}
	ready(v)
	m.city.OIDC.Mount(v.mux)
	m.city.Login.Mount(v.mux)
	user := m.demo.Citizens[site] // a one-time code works once
	code, err := totp(user.TOTP, time.Now())
	if err != nil {
		return nil, err
	}
	w := v.post("/login", url.Values{"username": {user.Username}, "password": {user.Password}, "otp": {code}})
	if w.Code != http.StatusSeeOther {
		return nil, fmt.Errorf("sign in: status %d", w.Code)
	}
	address, err := request(challenge(rand.Text() + rand.Text()))
	if err != nil {
		return nil, err
	}
	w = v.do(httptest.NewRequestWithContext(m.ctx, http.MethodGet, address, nil))
	to := w.Header().Get("Location")
	if !strings.HasPrefix(to, "/oidc/interaction/") {
		return nil, fmt.Errorf("ask for consent: status %d", w.Code)
	}
	page := v.do(httptest.NewRequestWithContext(m.ctx, http.MethodGet, to, nil))
	key := regexp.MustCompile(`name="key" value="([^"]+)"`).FindStringSubmatch(page.Body.String())
	if key == nil {
		return nil, fmt.Errorf("consent page: status %d", page.Code)
	}
	if w := v.post(to, url.Values{"allow": {"1"}, "key": {key[1]}}); w.Code != http.StatusSeeOther {
		return nil, fmt.Errorf("consent: status %d", w.Code)
	}
	return v, nil
}

// once is one flow.
func (v *visitor) once() error {
	verifier := rand.Text() + rand.Text()
	w := v.do(httptest.NewRequestWithContext(v.ctx, http.MethodGet, v.address(challenge(verifier)), nil))
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		return fmt.Errorf("authorize: status %d", w.Code)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {v.site.RedirectURIs[0]}, "code_verifier": {verifier}}
	r := httptest.NewRequestWithContext(v.ctx, http.MethodPost, "/oidc/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(v.site.ID, v.site.Secret)
	answer := httptest.NewRecorder()
	v.mux.ServeHTTP(answer, r)
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &tokens); err != nil || tokens.IDToken == "" {
		return fmt.Errorf("token: status %d", answer.Code)
	}
	return nil
}

func (v *visitor) address(challenge string) string {
	return "/oidc/authorize?" + url.Values{"client_id": {v.site.ID}, "redirect_uri": {v.site.RedirectURIs[0]}, "response_type": {"code"},
		"scope": {"openid profile"}, "state": {rand.Text()}, "nonce": {rand.Text()}, "code_challenge": {challenge},
		"code_challenge_method": {"S256"}}.Encode()
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// do sends a request with the browser's cookies and keeps those it is given.
func (v *visitor) do(r *http.Request) *httptest.ResponseRecorder {
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	v.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.cookies[c.Name] = c.Value
	}
	return w
}

func (v *visitor) post(target string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(v.ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(r)
}

// totp returns the code of RFC 6238 for a secret in base32.
func totp(secret string, at time.Time) (string, error) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return "", errors.New("the secret is not base32")
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, at.Unix()/30)
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&(1<<31-1)%1e6), nil
}
