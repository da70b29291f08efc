package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/oidc/login"
)

// visitor is a citizen's browser, and the relying party that it visits.
type visitor struct {
	rig    *rig
	client *http.Client
	site   city.DemoSite
}

// newVisitor signs the citizen in and consents once.
func newVisitor(ctx context.Context, r *rig) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{rig: r, site: r.demo.Clients[0], client: &http.Client{Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	user := r.demo.Citizens[0]
	code, err := login.Code(user.TOTP, time.Now())
	if err != nil {
		return nil, err
	}
	base := r.bases[0]
	if _, _, err := v.post(ctx, base+"/login", url.Values{"username": {user.Username}, "password": {user.Password}, "otp": {code}}); err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	to, _, err := v.get(ctx, base+v.address(challenge(rand.Text())))
	if err != nil || !strings.HasPrefix(to, "/oidc/interaction/") {
		return nil, fmt.Errorf("ask for consent: to %.60q, %w", to, err)
	}
	_, page, err := v.get(ctx, base+to)
	if err != nil {
		return nil, err
	}
	key := regexp.MustCompile(`name="key" value="([^"]+)"`).FindStringSubmatch(page)
	if key == nil {
		return nil, fmt.Errorf("the consent page has no key")
	}
	_, _, err = v.post(ctx, base+to, url.Values{"allow": {"1"}, "key": {key[1]}})
	return v, err
}

// signIn is one authorization code flow. It returns the ID token.
func (v *visitor) signIn(ctx context.Context, base string) (string, error) {
	verifier := rand.Text() + rand.Text()
	to, _, err := v.get(ctx, base+v.address(challenge(verifier)))
	if err != nil {
		return "", err
	}
	back, err := url.Parse(to)
	if err != nil || back.Query().Get("code") == "" {
		return "", fmt.Errorf("authorize: no code in %.80q", to)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {v.site.RedirectURIs[0]}, "code_verifier": {verifier}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/oidc/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(v.site.ID, v.site.Secret)
	var answer struct {
		IDToken string `json:"id_token"`
	}
	return answer.IDToken, v.rig.send(req, http.StatusOK, &answer, func() string { return answer.IDToken })
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

func (v *visitor) get(ctx context.Context, address string) (location, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", "", err
	}
	return v.do(req)
}

func (v *visitor) post(ctx context.Context, address string, form url.Values) (location, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(req)
}

func (v *visitor) do(req *http.Request) (location, body string, err error) {
	resp, err := v.client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSeeOther && resp.StatusCode != http.StatusFound {
		err = fmt.Errorf("%s %s: status %d", req.Method, req.URL.Path, resp.StatusCode)
	}
	return resp.Header.Get("Location"), string(b), err
}
