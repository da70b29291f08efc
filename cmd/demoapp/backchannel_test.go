package demoapp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const backchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutToken makes one as OpenID Connect Back-Channel Logout 1.0 section 2.4 has it,
// with changes to its header and claims.
func (i *issuer) logoutToken(header, claims map[string]any, sign func(string) []byte) string {
	i.t.Helper()
	now := time.Now()
	h, err := json.Marshal(over(map[string]any{"alg": "ES256", "kid": "one", "typ": "logout+jwt"}, header))
	if err != nil {
		i.t.Fatal(err)
	}
	c, err := json.Marshal(over(map[string]any{"iss": i.URL, "aud": clientID, "sub": "pair-1", "sid": "s-1", "jti": rand.Text(), "iat": now.Unix(),
		"exp": now.Add(2 * time.Minute).Unix(), "events": map[string]any{backchannelEvent: map[string]any{}}}, claims))
	if err != nil {
		i.t.Fatal(err)
	}
	signed := b64(h) + "." + b64(c)
	return signed + "." + b64(sign(signed))
}

func (s *site) tell(form url.Values) int {
	s.t.Helper()
	r, err := http.PostForm(s.URL+"/backchannel", form)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// TestBackchannel: what the provider ended is over here, by session or by person, and
// nothing else.
func TestBackchannel(t *testing.T) {
	for name, k := range map[string]struct {
		claims map[string]any
		ends   bool
	}{
		"this session":    {nil, true},
		"no person":       {map[string]any{"sub": nil}, true},
		"the whole of it": {map[string]any{"sid": nil}, true},
		"another session": {map[string]any{"sid": "s-2"}, false},
		"another person":  {map[string]any{"sid": nil, "sub": "pair-2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			s, b := newSite(t, i.URL, clientID), newBrowser(t)
			b.do("GET", i.agree(b.ask(s, "self")).String(), nil)
			if !b.signedIn(s) {
				t.Fatal("not signed in")
			}
			form := url.Values{"logout_token": {i.logoutToken(nil, k.claims, i.es256(i.key))}}
			for range 2 { // it may come twice
				if status := s.tell(form); status != 200 {
					t.Fatalf("status %d", status)
				}
			}
			if b.signedIn(s) == k.ends {
				t.Errorf("signed in: %v", !k.ends)
			}
		})
	}
}

func TestBackchannelRefuses(t *testing.T) {
	i := newIssuer(t)
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	b.do("GET", i.agree(b.ask(s, "self")).String(), nil)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := i.es256(i.key)
	none := func(string) []byte { return nil }
	for name, token := range map[string]string{
		"nothing":            "",
		"no token":           "a.b.c",
		"a stranger's key":   i.logoutToken(nil, nil, i.es256(stranger)),
		"no signature":       i.logoutToken(map[string]any{"alg": "none"}, nil, none),
		"symmetric":          i.logoutToken(map[string]any{"alg": "HS256"}, nil, hs256([]byte(secret))),
		"an ID token's type": i.logoutToken(map[string]any{"typ": "JWT"}, nil, right),
		"no type":            i.logoutToken(map[string]any{"typ": nil}, nil, right),
		"an access token's":  i.logoutToken(map[string]any{"typ": "at+jwt"}, nil, right),
		"another issuer":     i.logoutToken(nil, map[string]any{"iss": "https://evil.example"}, right),
		"another site":       i.logoutToken(nil, map[string]any{"aud": "another-site"}, right),
		"too old":            i.logoutToken(nil, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, right),
		"without an end":     i.logoutToken(nil, map[string]any{"exp": nil}, right),
		"a nonce":            i.logoutToken(nil, map[string]any{"nonce": ""}, right),
		"no event":           i.logoutToken(nil, map[string]any{"events": nil}, right),
		"another event":      i.logoutToken(nil, map[string]any{"events": map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}}, right),
		"an event of a kind": i.logoutToken(nil, map[string]any{"events": map[string]any{backchannelEvent: "x"}}, right),
		"about nobody":       i.logoutToken(nil, map[string]any{"sub": nil, "sid": nil}, right),
		"no id":              i.logoutToken(nil, map[string]any{"jti": nil}, right),
		"endless":            i.logoutToken(nil, map[string]any{"pad": strings.Repeat("x", 9000)}, right),
	} {
		t.Run(name, func(t *testing.T) {
			if status := s.tell(url.Values{"logout_token": {token}}); status != 400 {
				t.Errorf("status %d", status)
			}
			if !b.signedIn(s) {
				t.Error("signed out")
			}
		})
	}
	good := i.logoutToken(nil, nil, right)
	if status := s.tell(url.Values{"logout_token": {good, good}}); status != 400 {
		t.Errorf("twice: status %d", status)
	}
	if status := s.tell(url.Values{}); status != 400 || !b.signedIn(s) {
		t.Errorf("none: status %d", status)
	}
}
