package e2e_test

import (
	"bufio"
	"context"
	"encoding/json/v2"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/cmd/visitor"
	"github.com/signet-city/signet/oidc/login"
)

// stranger is a visitor who never reaches a relying party: the tests are it.
func stranger(site city.DemoSite) *visitor.Visitor {
	return visitor.New(func(to *url.URL) bool { return !strings.HasPrefix(to.String(), site.URL+"/") })
}

// arrive opens an address of the provider, signs in and agrees where it asks, and
// returns the address at which the relying party would see the visitor again.
func arrive(t *testing.T, v *visitor.Visitor, address string, u city.DemoUser) string {
	t.Helper()
	p, err := v.Open(t.Context(), address)
	if err == nil && p.Has("otp") {
		var code string
		if code, err = login.Code(u.TOTP, time.Now()); err == nil {
			p, err = v.Press(t.Context(), p, "sign-in", map[string]string{"username": u.Username, "password": u.Password, "otp": code})
		}
	}
	if err == nil && p.HasButton("allow") {
		p, err = v.Press(t.Context(), p, "allow", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if p.Location == "" {
		t.Fatalf("no way back from %s: %s", p.At, p.Text("h1"))
	}
	return p.Location
}

// TestOpenIDClientFromNPM signs in with npm's openid-client, at a site of each profile.
func TestOpenIDClientFromNPM(t *testing.T) {
	for i, profile := range []string{"basic", "fapi2"} {
		t.Run(profile, func(t *testing.T) { openIDClient(t, i, profile) })
	}
}

func openIDClient(t *testing.T, at int, profile string) {
	node := tool(t, "node")
	if _, err := os.Stat("../web/node_modules/openid-client"); err != nil {
		t.Skipf("openid-client is not installed: %v", err)
	}
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	site, u := s.Clients[at], s.Citizens[2]
	if site.Profile != profile {
		t.Fatalf("the site is of profile %s", site.Profile)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "openid-client.mjs")
	cmd.Dir, cmd.Stderr = "../web", os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	tell := func(line string) {
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	first, err := json.Marshal(map[string]any{"issuer": s.Issuer, "client_id": site.ID, "client_secret": site.Secret, "private_jwk": site.PrivateJWK, "redirect_uri": site.RedirectURIs[0]})
	if err != nil {
		t.Fatal(err)
	}
	tell(string(first))
	if !lines.Scan() {
		t.Fatal("openid-client did not accept the discovery document")
	}
	tell(arrive(t, stranger(site), lines.Text(), u))
	if !lines.Scan() {
		t.Fatal("openid-client did not accept the tokens")
	}
	var got struct {
		Claims    map[string]any `json:"claims"`
		Userinfo  map[string]any `json:"userinfo"`
		Refreshed bool           `json:"refreshed"`
		Replay    string         `json:"replay"`
		Type      string         `json:"type"`
		Rotated   bool           `json:"rotated"`
	}
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, lines.Text())
	}
	if got.Claims["iss"] != s.Issuer || got.Claims["acr"] != login.ACRVerified || got.Userinfo["name"] != u.Name || got.Userinfo["sub"] != got.Claims["sub"] {
		t.Errorf("claims %v, userinfo %v", got.Claims, got.Userinfo)
	}
	if fapi := profile == "fapi2"; strings.EqualFold(got.Type, "dpop") != fapi || got.Rotated == fapi {
		t.Errorf("token of type %s, refresh token rotated: %v", got.Type, got.Rotated)
	}
	if !got.Refreshed || got.Replay != "invalid_grant" {
		t.Errorf("refreshed %v; the code a second time: %s", got.Refreshed, got.Replay)
	}
}

// TestGoOIDCFromOutside signs in with coreos/go-oidc, which knows the issuer alone.
func TestGoOIDCFromOutside(t *testing.T) {
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	site, u := s.Clients[0], s.Citizens[3]
	provider, err := oidc.NewProvider(t.Context(), s.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{ClientID: site.ID, ClientSecret: site.Secret, Endpoint: provider.Endpoint(), RedirectURL: site.RedirectURIs[0], Scopes: []string{"openid", "profile"}}
	verifier := oauth2.GenerateVerifier()
	back, err := url.Parse(arrive(t, stranger(site), config.AuthCodeURL("the state", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier)), u))
	if err != nil {
		t.Fatal(err)
	}
	if q := back.Query(); q.Get("state") != "the state" || q.Get("iss") != s.Issuer {
		t.Errorf("came back with %v", q)
	}
	token, err := config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: site.ID}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil || id.Nonce != "the nonce" {
		t.Errorf("nonce %q, access token: %v", id.Nonce, err)
	}
	info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != id.Subject {
		t.Errorf("userinfo %v, %v", info, err)
	}
}

// TestReplicasRedeemOnce runs two programs on one PostgreSQL database and has both
// offered every code by many callers at once.
func TestReplicasRedeemOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "city")
	database := postgresURL(t)
	s := demo(t, dir, append(on(database), anyPort...)...)
	second := s.replica(t, dir, database)
	site, u := s.Clients[0], s.Citizens[0]
	config := oauth2.Config{ClientID: site.ID, RedirectURL: site.RedirectURIs[0], Scopes: []string{"openid"}, Endpoint: oauth2.Endpoint{AuthURL: s.Issuer + "/oidc/authorize"}}
	v := stranger(site)
	const codes, callers = 12, 16
	for range codes {
		verifier := oauth2.GenerateVerifier()
		back, err := url.Parse(arrive(t, v, config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), u))
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {site.RedirectURIs[0]}, "code_verifier": {verifier}}
		statuses := make([]int, callers)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				statuses[i] = redeem(t, []string{s.Issuer, second}[i%2]+"/oidc/token", site, form)
			})
		}
		wg.Wait()
		count := map[int]int{}
		for _, status := range statuses {
			count[status]++
		}
		if count[http.StatusOK] != 1 || count[http.StatusBadRequest] != callers-1 {
			t.Fatalf("answers of %d callers by status: %v", callers, count)
		}
	}
	s.stop(t)
}

func redeem(t *testing.T, address string, site city.DemoSite, form url.Values) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(site.ID, site.Secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// replica serves the same city from a second process until the test ends, and
// returns the address of its plain listener.
func (s *served) replica(t *testing.T, dir, database string) string {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(signet, "serve", "--data", dir, "--database", database, "--issuer", s.Issuer, "--listen", "127.0.0.1:0",
		"--listen-http", "127.0.0.1:"+port, "--listen-mtls", "127.0.0.1:0", "--listen-debug", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	address := "http://localhost:" + port
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(address + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return address
			}
		}
		if time.Since(start) > time.Minute {
			t.Fatal("the second replica is not ready after a minute")
		}
	}
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
