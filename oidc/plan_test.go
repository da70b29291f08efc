package oidc_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What the OpenID Foundation's plan for the FAPI 2.0 Security Profile tries besides what
// the other tests do; certs-test/conformance names them all.
func TestStrictVariants(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s, other, b := c.newSite(t, "strict"), c.newSite(t, "other"), c.signIn(t, "s1", c.wang)
		s.code(t, b, nil) // consents
		for name, state := range map[string]string{"no state": "", "a long state": strings.Repeat("s", 1024)} {
			got := back(t, b.get(s.address(s.push(t, url.Values{"state": {state}}))))
			if !got.Has("code") || got.Get("state") != state {
				t.Errorf("%s: sent back with %v", name, got)
			}
			want(t, s.post(t, "/oidc/token", codeForm(got.Get("code")), ""), 200)
		}
		without := want(t, s.post(t, "/oidc/token", codeForm(s.code(t, b, url.Values{"nonce": {""}})), ""), 200)
		if claims := payload(t, without["id_token"]); claims["nonce"] != nil {
			t.Errorf("a nonce out of nothing: %v", claims)
		}
		// A state in the address alone is nobody's.
		if got := back(t, b.get(s.address(s.push(t, url.Values{"state": {""}}))+"&state=outside")); got.Has("state") {
			t.Errorf("sent back with %v", got)
		}
		// Only POST pushes.
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if w := c.do(httptest.NewRequest(method, "/oidc/par", nil)); w.Code != 405 {
				t.Errorf("%s: status %d", method, w.Code)
			}
		}
		// Dates beyond iat are for other kinds of JWT; a clock may be slow or fast.
		now := c.clock.now.Unix()
		for name, change := range map[string]map[string]any{"nbf and exp": {"nbf": now - 1, "exp": now + 1}, "10 s before": {"iat": now - 10}, "10 s after": {"iat": now + 10}} {
			if w := s.post(t, "/oidc/par", s.request(nil), s.proof(t, "POST", issuer+"/oidc/par", "", change)); w.Code != 201 {
				t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
			}
		}
		// The schemes of RFC 9449 and RFC 6750 go by name, in any case.
		answer := want(t, s.post(t, "/oidc/token", codeForm(s.code(t, b, nil)), ""), 200)
		access := answer["access_token"].(string)
		for _, scheme := range []string{"dpop", "DPOP", "dPoP"} {
			want(t, s.userinfoWith(t, scheme, access, s.proof(t, "GET", userinfoAddress, access, nil)), 200)
		}
		// A code without its verifier, with another, of another client.
		for name, try := range map[string]func(code string) *httptest.ResponseRecorder{
			"no verifier": func(code string) *httptest.ResponseRecorder {
				form := codeForm(code)
				form.Del("code_verifier")
				return s.post(t, "/oidc/token", form, "")
			},
			"another verifier": func(code string) *httptest.ResponseRecorder {
				form := codeForm(code)
				form.Set("code_verifier", otherVerifier)
				return s.post(t, "/oidc/token", form, "")
			},
			"another client": func(code string) *httptest.ResponseRecorder { return other.post(t, "/oidc/token", codeForm(code), "") },
		} {
			code := s.code(t, b, nil)
			if w := try(code); w.Code != 400 {
				t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
			}
			wantErrorNamed(t, name, s.post(t, "/oidc/token", codeForm(code), ""), 400, "invalid_grant")
		}
		// The person says no.
		page := b.get(s.address(s.push(t, url.Values{"prompt": {"consent"}}))).Header().Get("Location")
		if got := back(t, b.post(page, url.Values{"deny": {"1"}, "key": {keyOf(t, b.get(page))}})); got.Get("error") != "access_denied" || got.Get("iss") != issuer {
			t.Errorf("sent back with %v", got)
		}
	})
}
