package oidc_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// Only tokens that were issued are accepted, and everything else is the sender's
// fault.
func FuzzCheckToken(f *testing.F) {
	c := newCity(f, testkit.SQLite(f))
	issued := map[string]bool{}
	for _, client := range []string{"console", "donghu-api"} {
		token := c.token(f, client)
		issued[token] = true
		f.Add(token)
	}
	for _, token := range forgeries(f, c) {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		caller, err := c.provider.CheckToken(t.Context(), token)
		if (err == nil) != issued[token] {
			t.Fatalf("caller %v, error %v", caller, err)
		}
		if err != nil && fault.KindOf(err) != fault.Denied {
			t.Fatalf("kind %v: %v", fault.KindOf(err), err)
		}
	})
}

// Nothing that is sent to the token endpoint is answered with 500, or with a
// token unless it is a well-formed request with the right secret.
func FuzzToken(f *testing.F) {
	c := newCity(f, testkit.SQLite(f))
	secret := c.secrets["console"]
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("console:"+secret))
	const form = "application/x-www-form-urlencoded"
	for _, body := range []string{"grant_type=client_credentials", "grant_type=client_credentials&scope=registry+clients", "grant_type=password&a=%zz",
		"grant_type=client_credentials&scope=a&scope=b", "", "a;b=c", strings.Repeat("a=b&", 3000), "grant_type=client_credentials&client_id=console&client_secret=x"} {
		f.Add(form, basic, body)
		f.Add(form, "Basic Og==", body)
		f.Add("multipart/form-data; boundary=a", basic, body)
	}
	f.Fuzz(func(t *testing.T, contentType, authorization, body string) {
		r := httptest.NewRequest(http.MethodPost, "/oidc/token", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", authorization)
		w := c.do(r)
		answer := decode(t, w.Body.Bytes())
		switch w.Code {
		case http.StatusOK:
			values, err := url.ParseQuery(body)
			user, password, ok := r.BasicAuth()
			if err != nil || values.Get("grant_type") != "client_credentials" || !ok || user != "console" || password != secret {
				t.Fatalf("a token for %q with %q", body, authorization)
			}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge:
			if answer["error"] == nil || answer["access_token"] != nil || strings.Contains(w.Body.String(), secret) {
				t.Fatalf("answered %s", w.Body)
			}
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}

// Whatever the authorization endpoint is sent, it answers with a page, with the next
// step or by a registered redirect URI that carries a code or an error, our name and
// the state; and a code only if every rule was kept.
func FuzzAuthorize(f *testing.F) {
	c := newTown(f, testkit.SQLite(f))
	b := c.signIn(f, "s1", c.wang)
	b.code(nil)
	for _, change := range []url.Values{nil, {"prompt": {"none"}}, {"prompt": {"login consent"}, "max_age": {"0"}}, {"scope": {"openid firm"}},
		{"redirect_uri": {"https://permits.example/cb?from=signet"}}, {"redirect_uri": {callback + "#"}}, {"state": {"a", "b"}},
		{"request": {"x"}}, {"request_uri": {"urn:x"}}, {"response_mode": {"form_post"}}, {"id_token_hint": {"a.b.c"}}, {"ui_locales": {"en zh"}},
		{"code_challenge_method": {"plain"}}, {"client_id": {"nobody"}}, {"nonce": {"\x00"}}, {"lang": {"en"}}} {
		f.Add(authorization(change).Encode())
	}
	f.Add("a=%zz&;=")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/oidc/authorize", nil)
		r.URL.RawQuery = query
		r.AddCookie(&http.Cookie{Name: "who", Value: "s1"})
		w := c.do(r)
		values, err := url.ParseQuery(query)
		to := w.Header().Get("Location")
		switch {
		case w.Code == http.StatusBadRequest && to == "":
		case w.Code == http.StatusSeeOther && (strings.HasPrefix(to, "/login?") || strings.HasPrefix(to, "/oidc/interaction/")):
			if err != nil || values.Get("prompt") == "none" {
				t.Fatalf("sent to %s", to)
			}
		case w.Code == http.StatusSeeOther && strings.HasPrefix(to, "/oidc/authorize"): // a look was chosen
		case w.Code == http.StatusSeeOther && (strings.HasPrefix(to, callback+"?") || strings.HasPrefix(to, "https://permits.example/cb?from=signet&")):
			u, parseErr := url.Parse(to)
			if parseErr != nil || err != nil || u.Query().Get("iss") != issuer || u.Query().Has("code") == u.Query().Has("error") {
				t.Fatalf("sent to %s", to)
			}
			if !u.Query().Has("code") {
				return
			}
			if values.Get("response_type") != "code" || values.Get("code_challenge_method") != "S256" || len(values.Get("code_challenge")) != 43 ||
				values.Get("state") != u.Query().Get("state") || len(values["redirect_uri"]) != 1 || values.Get("request") != "" ||
				!strings.Contains(values.Get("scope"), "openid") {
				t.Fatalf("a code for %q", query)
			}
		default:
			t.Fatalf("status %d to %q: %s", w.Code, to, w.Body)
		}
	})
}

// Nothing that is sent as a code or a refresh token is answered with anything but an
// error, unless it is one.
func FuzzGrants(f *testing.F) {
	c := newTown(f, testkit.SQLite(f))
	b := c.signIn(f, "s1", c.wang)
	answer := c.tokens(f, b, url.Values{"scope": {"openid profile offline_access"}})
	token := answer["refresh_token"].(string)
	for _, guess := range []string{token, token[:26], token[:27] + strings.Repeat("A", 43), "", ".", "a.b", strings.Repeat("x", 5000)} {
		f.Add(guess, verifier)
	}
	f.Fuzz(func(t *testing.T, guess, verifier string) {
		if guess == token {
			return
		}
		code := codeForm(guess)
		code.Set("code_verifier", verifier)
		for _, form := range []url.Values{code, refreshForm(guess)} {
			if w := c.do(c.request("permits", form.Encode())); w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
		}
	})
}
