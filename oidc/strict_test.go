package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/oidc"
)

// site is a client of the profile fapi2 as an honest developer writes one.
type site struct {
	*town
	id    string
	key   any // signs assertions
	alg   jose.SignatureAlgorithm
	dpop  any // signs proofs
	jkt   string
	nonce string
	at    http.Handler // where requests go
}

func (c *town) newSite(t testing.TB, id string) *site {
	t.Helper()
	key := newP256(t)
	_, _, err := c.provider.AddClient(t.Context(), actor, strict(t, id, key))
	check(t, err)
	s := &site{town: c, id: id, key: key, alg: jose.ES256, at: c.mux}
	s.setKey(t, newP256(t))
	return s
}

func (s *site) setKey(t testing.TB, k *ecdsa.PrivateKey) {
	s.dpop = k
	sum, err := (&jose.JSONWebKey{Key: &k.PublicKey}).Thumbprint(crypto.SHA256)
	check(t, err)
	s.jkt = base64.RawURLEncoding.EncodeToString(sum)
}

// signAs makes a JWS of anything with any header.
func signAs(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: header}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	check(t, err)
	b, err := json.Marshal(claims)
	check(t, err)
	signed, err := signer.Sign(b)
	check(t, err)
	text, err := signed.CompactSerialize()
	check(t, err)
	return text
}

// with returns claims with changes; nil takes one away.
func with(claims, change map[string]any) map[string]any {
	claims = maps.Clone(claims)
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// assertion is a client assertion, with changes.
func (s *site) assertion(t testing.TB, change map[string]any) string {
	now := s.clock.now.Unix()
	return signAs(t, s.alg, s.key, nil, with(map[string]any{"iss": s.id, "sub": s.id, "aud": issuer, "iat": now, "exp": now + 60, "jti": rand.Text()}, change))
}

// proof is a proof for a request, with changes.
func (s *site) proof(t testing.TB, method, address, token string, change map[string]any) string {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": s.clock.now.Unix(), "nonce": s.nonce}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	key := s.dpop.(*ecdsa.PrivateKey)
	return signAs(t, jose.ES256, key, map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: &key.PublicKey}}, with(claims, change))
}

// post sends a form with an assertion and, unless proof is "-", a proof. It learns the
// nonce, and asks again when that was all that was wrong.
func (s *site) post(t testing.TB, path string, form url.Values, proof string) *httptest.ResponseRecorder {
	t.Helper()
	for try := 0; ; try++ {
		form := maps.Clone(form)
		if !form.Has("client_assertion") {
			form.Set("client_assertion", s.assertion(t, nil))
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		}
		r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		switch proof {
		case "-":
		case "":
			r.Header.Set("DPoP", s.proof(t, "POST", issuer+path, "", nil))
		default:
			r.Header.Set("DPoP", proof)
		}
		w := httptest.NewRecorder()
		s.at.ServeHTTP(w, r)
		if nonce := w.Header().Get("DPoP-Nonce"); nonce != "" {
			s.nonce = nonce
		}
		if proof == "" && try == 0 && w.Code == 400 && decode(t, w.Body.Bytes())["error"] == "use_dpop_nonce" {
			continue
		}
		return w
	}
}

// want expects a status and returns the answer.
func want(t testing.TB, w *httptest.ResponseRecorder, status int) map[string]any {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if w.Body.Len() == 0 {
		return nil
	}
	return decode(t, w.Body.Bytes())
}

// wantError expects an OAuth error.
func wantError(t testing.TB, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if answer := decode(t, w.Body.Bytes()); w.Code != status || answer["error"] != code || answer["error_description"] == "" {
		t.Errorf("status %d, want %d %s: %s", w.Code, status, code, w.Body)
	}
}

// request is an honest authorization request.
func (s *site) request(change url.Values) url.Values {
	v := authorization(url.Values{"client_id": {s.id}})
	maps.Copy(v, change)
	maps.DeleteFunc(v, func(_ string, l []string) bool { return len(l) == 1 && l[0] == "" })
	return v
}

// push returns a request_uri.
func (s *site) push(t testing.TB, change url.Values) string {
	t.Helper()
	return want(t, s.post(t, "/oidc/par", s.request(change), ""), 201)["request_uri"].(string)
}

// address is where the browser is sent.
func (s *site) address(uri string) string {
	return "/oidc/authorize?" + url.Values{"client_id": {s.id}, "request_uri": {uri}}.Encode()
}

// code returns a code of a person, with consent where it is asked for.
func (s *site) code(t testing.TB, b *browser, change url.Values) string {
	t.Helper()
	w := b.get(s.address(s.push(t, change)))
	if strings.HasPrefix(w.Header().Get("Location"), "/oidc/interaction/") {
		w = b.consent(w, allow)
	}
	code := back(t, w).Get("code")
	if code == "" {
		t.Fatalf("no code: %s", w.Header().Get("Location"))
	}
	return code
}

// userinfoWith asks with a token and a proof.
func (s *site) userinfoWith(t testing.TB, scheme, token, proof string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", "/oidc/userinfo", nil)
	r.Header.Set("Authorization", scheme+" "+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	w := httptest.NewRecorder()
	s.at.ServeHTTP(w, r)
	if nonce := w.Header().Get("DPoP-Nonce"); nonce != "" {
		s.nonce = nonce
	}
	return w
}

const userinfoAddress = issuer + "/oidc/userinfo"

// The whole of it, as an honest site and person do it.
func TestStrictFlow(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s, b := c.newSite(t, "strict"), c.signIn(t, "s1", c.wang)
		pushed := want(t, s.post(t, "/oidc/par", s.request(nil), ""), 201)
		if n := pushed["expires_in"].(float64); n < 5 || n >= 600 {
			t.Errorf("expires in %v", n)
		}
		code := s.code(t, b, url.Values{"scope": {"openid profile offline_access"}})
		answer := want(t, s.post(t, "/oidc/token", codeForm(code), ""), 200)
		access := answer["access_token"].(string)
		if claims := payload(t, access); answer["token_type"] != "DPoP" || claims["cnf"].(map[string]any)["jkt"] != s.jkt {
			t.Errorf("answered %v, %v", answer, claims)
		}
		told := want(t, s.userinfoWith(t, "DPoP", access, s.proof(t, "GET", userinfoAddress, access, nil)), 200)
		if told["name"] != "王晓岚" || told["sub"] != payload(t, answer["id_token"])["sub"] {
			t.Errorf("told %v", told)
		}
		// Refresh tokens are not rotated, and go with any key of the client's.
		refresh := refreshForm(answer["refresh_token"].(string))
		for range 3 {
			s.setKey(t, newP256(t))
			again := want(t, s.post(t, "/oidc/token", refresh, ""), 200)
			if again["refresh_token"] != nil || payload(t, again["access_token"])["cnf"].(map[string]any)["jkt"] != s.jkt {
				t.Errorf("answered %v", again)
			}
			token := again["access_token"].(string)
			want(t, s.userinfoWith(t, "DPoP", token, s.proof(t, "GET", userinfoAddress, token, nil)), 200)
			c.clock.now = c.clock.now.Add(time.Minute)
		}
		if n := c.count(t, "oidc_refresh_tokens"); n != 1 {
			t.Errorf("%d refresh tokens", n)
		}
		want(t, s.post(t, "/oidc/revoke", url.Values{"token": {answer["refresh_token"].(string)}}, "-"), 200)
		wantError(t, s.post(t, "/oidc/token", refresh, ""), 400, "invalid_grant")
	})
}

// What a request_uri stands for is used once, by its own client, in time.
func TestPushed(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s, b := c.newSite(t, "strict"), c.signIn(t, "s1", c.wang)
		s.code(t, b, nil) // consents
		expectPage := func(name, target string) {
			t.Helper()
			if w := b.get(target); w.Code != 400 || w.Header().Get("Location") != "" || !strings.Contains(text(w), "已使用或已过期") {
				t.Errorf("%s: status %d to %q", name, w.Code, w.Header().Get("Location"))
			}
		}
		uri := s.push(t, nil)
		expectPage("another client's", strings.Replace(s.address(uri), "strict", "permits", 1))
		expectPage("a guess", s.address(uri[:len(uri)-43]+strings.Repeat("A", 43)))
		expectPage("nothing", s.address("urn:ietf:params:oauth:request_uri:"))
		expectPage("NUL", s.address("urn:ietf:params:oauth:request_uri:"+strings.Repeat("\x00", 43)))
		if w := b.get("/oidc/authorize?" + url.Values{"request_uri": {uri}}.Encode()); w.Code != 400 {
			t.Errorf("no client: status %d", w.Code)
		}
		// Whatever stands beside it in the address does not count.
		got := back(t, b.get(s.address(uri)+"&scope=openid+resident&state=other&redirect_uri=https://evil.example/&nonce=x&prompt=none"))
		if got.Get("state") != "s-1" || !got.Has("code") {
			t.Errorf("sent back with %v", got)
		}
		expectPage("used", s.address(uri))
		want(t, s.post(t, "/oidc/token", codeForm(got.Get("code")), ""), 200)

		late := s.push(t, nil)
		c.clock.now = c.clock.now.Add(2 * time.Minute)
		expectPage("late", s.address(late))

		// An error uses it up as well.
		wrong := s.push(t, url.Values{"prompt": {"none"}, "scope": {"openid resident"}})
		if got := back(t, b.get(s.address(wrong))); got.Get("error") != "consent_required" {
			t.Errorf("sent back with %v", got)
		}
		expectPage("used for an error", s.address(wrong))

		// The browser that a request waits in may load its address again; no other may.
		waiting := s.push(t, url.Values{"prompt": {"consent"}})
		first := b.get(s.address(waiting)).Header().Get("Location")
		c.clock.now = c.clock.now.Add(9 * time.Minute)
		check(t, c.provider.Sweep(t.Context()))
		if again := b.get(s.address(waiting)).Header().Get("Location"); again != first || first == "" {
			t.Errorf("sent to %q, then to %q", first, again)
		}
		if w := c.signIn(t, "s2", c.li).get(s.address(waiting)); w.Code != 400 {
			t.Errorf("another browser: status %d", w.Code)
		}
		back(t, b.post(first, url.Values{"allow": {"1"}, "key": {keyOf(t, b.get(first))}}))
	})
}

// What a client pushes is refused at once, in the form of RFC 9126 section 2.3.
func TestPushRefuses(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s := c.newSite(t, "strict")
		s.push(t, nil)
		for _, k := range []struct {
			name   string
			change url.Values
			want   string
		}{
			{"a request_uri", url.Values{"request_uri": {"urn:ietf:params:oauth:request_uri:x"}}, "invalid_request"},
			{"a request object", url.Values{"request": {"eyJhbGciOiJub25lIn0.e30."}}, "request_not_supported"},
			{"another redirect", url.Values{"redirect_uri": {"https://evil.example/"}}, "invalid_request"},
			{"no redirect", url.Values{"redirect_uri": {""}}, "invalid_request"},
			{"no challenge", url.Values{"code_challenge": {""}}, "invalid_request"},
			{"plain", url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
			{"token", url.Values{"response_type": {"token"}}, "unsupported_response_type"},
			{"code token", url.Values{"response_type": {"code id_token"}}, "unsupported_response_type"},
			{"a scope too many", url.Values{"scope": {"openid licenses"}}, "invalid_scope"},
			{"client twice", url.Values{"client_id": {"strict", "strict"}}, "invalid_request"},
			{"another client", url.Values{"client_id": {"permits"}}, "invalid_request"},
			{"another key", url.Values{"dpop_jkt": {strings.Repeat("A", 43)}}, "invalid_dpop_proof"},
			{"a broken thumbprint", url.Values{"dpop_jkt": {"x"}}, "invalid_dpop_proof"},
			{"a hint of nobody", url.Values{"id_token_hint": {"x.y.z"}}, "invalid_request"},
		} {
			wantErrorNamed(t, k.name, s.post(t, "/oidc/par", s.request(k.change), ""), 400, k.want)
		}
		wantError(t, s.post(t, "/oidc/par", s.request(url.Values{"dpop_jkt": {"x"}}), "-"), 400, "invalid_request")
		wantError(t, s.post(t, "/oidc/par", s.request(url.Values{"x": {strings.Repeat("x", 17<<10)}}), ""), 413, "invalid_request")
		wantError(t, s.post(t, "/oidc/par", s.request(url.Values{"client_assertion": {"x"}, "client_assertion_type": {"y"}}), ""), 401, "invalid_client")
		if n := c.count(t, "oidc_pushed"); n != 1 {
			t.Errorf("%d requests are kept", n)
		}
		// What a client of this profile sends through the browser is refused.
		b := c.signIn(t, "s1", c.wang)
		if got := back(t, b.get("/oidc/authorize?"+s.request(nil).Encode())); got.Get("error") != "invalid_request" {
			t.Errorf("sent back with %v", got)
		}
		// A site of the profile basic may push, and a program may not.
		r := httptest.NewRequest("POST", "/oidc/par", strings.NewReader(authorization(nil).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("permits", c.secrets["permits"])
		want(t, c.do(r), 201)
		r = httptest.NewRequest("POST", "/oidc/par", strings.NewReader(authorization(url.Values{"client_id": {"donghu-api"}}).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("donghu-api", c.secrets["donghu-api"])
		wantError(t, c.do(r), 400, "unauthorized_client")
	})
}

func wantErrorNamed(t *testing.T, name string, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	t.Run(name, func(t *testing.T) { wantError(t, w, status, code) })
}

// An introspected token is told of to the client that it was made for, and to nobody
// else (RFC 7662).
func TestIntrospect(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s, b := c.newSite(t, "strict"), c.signIn(t, "s1", c.wang)
		answer := want(t, s.post(t, "/oidc/token", codeForm(s.code(t, b, url.Values{"scope": {"openid offline_access"}})), ""), 200)
		access := answer["access_token"].(string)
		ask := func(client, token string) map[string]any {
			t.Helper()
			form := url.Values{"token": {token}}
			if client == s.id {
				return want(t, s.post(t, "/oidc/introspect", form, "-"), 200)
			}
			r := c.request(client, form.Encode())
			r.URL.Path = "/oidc/introspect"
			return want(t, c.do(r), 200)
		}
		told := ask("strict", access)
		if claims := payload(t, access); told["active"] != true || told["sub"] != claims["sub"] || told["exp"] != claims["exp"] || told["token_type"] != "DPoP" ||
			told["client_id"] != "strict" || told["scope"] != "openid offline_access" || told["cnf"].(map[string]any)["jkt"] != s.jkt {
			t.Errorf("told %v", told)
		}
		program := c.token(t, "donghu-api")
		if told := ask("donghu-api", program); told["active"] != true || told["token_type"] != "Bearer" {
			t.Errorf("told %v", told)
		}
		for name, told := range map[string]map[string]any{"another site's": ask("permits", access), "a program's": ask("strict", program),
			"an ID token": ask("strict", answer["id_token"].(string)), "a refresh token": ask("strict", answer["refresh_token"].(string)), "nothing": ask("strict", "x")} {
			if len(told) != 1 || told["active"] != false {
				t.Errorf("%s: told %v", name, told)
			}
		}
		c.sessions.end("s1")
		if told := ask("strict", access); told["active"] != false {
			t.Errorf("after the session: %v", told)
		}
		r := c.request("nobody", "token="+access)
		r.URL.Path = "/oidc/introspect"
		w := c.do(r)
		if wantError(t, w, 401, "invalid_client"); w.Header().Get("WWW-Authenticate") == "" {
			t.Error("no challenge")
		}
	})
}

// A program may prove itself by a key, too, and have its tokens bound.
func TestProgramWithKey(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		key := newP256(t)
		_, _, err := c.provider.AddClient(t.Context(), actor, oidc.Client{ID: "machine", Name: "x", Scopes: []string{"registry", "clients"}, Profile: oidc.ProfileService,
			AuthMethod: oidc.AuthKey, DPoP: true, JWKS: jwks(t, public(key, "k1"))})
		check(t, err)
		s := &site{town: c, id: "machine", key: key, alg: jose.ES256, at: c.mux}
		s.setKey(t, newP256(t))
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"clients"}}
		wantError(t, s.post(t, "/oidc/token", form, "-"), 400, "invalid_dpop_proof")
		token := want(t, s.post(t, "/oidc/token", form, ""), 200)["access_token"].(string)
		call := func(scheme, proof string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/oidc/v1/clients?x=1", nil)
			r.Header.Set("Authorization", scheme+" "+token)
			if proof != "" {
				r.Header.Set("DPoP", proof)
			}
			return c.do(r)
		}
		address := issuer + "/oidc/v1/clients"
		good := s.proof(t, "GET", address, token, nil)
		want(t, call("DPoP", good), 200)
		for name, w := range map[string]*httptest.ResponseRecorder{"again": call("DPoP", good), "as a bearer": call("Bearer", ""), "as a bearer with a proof": call("Bearer", s.proof(t, "GET", address, token, nil)),
			"no proof": call("DPoP", ""), "another address": call("DPoP", s.proof(t, "GET", address+"/x", token, nil)), "no ath": call("DPoP", s.proof(t, "GET", address, "", nil)),
			"another token's": call("DPoP", s.proof(t, "GET", address, token+"x", nil)), "no nonce": call("DPoP", s.proof(t, "GET", address, token, map[string]any{"nonce": nil}))} {
			if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: status %d, %v", name, w.Code, w.Header())
			}
		}
		w := call("DPoP", s.proof(t, "GET", address, token, map[string]any{"nonce": "x"}))
		if h := w.Header(); !strings.Contains(h.Get("WWW-Authenticate"), `DPoP realm="signet", error="use_dpop_nonce"`) || h.Get("DPoP-Nonce") == "" {
			t.Errorf("headers %v", h)
		}
		s.setKey(t, newP256(t))
		if w := call("DPoP", s.proof(t, "GET", address, token, nil)); w.Code != 401 {
			t.Errorf("another key: status %d", w.Code)
		}
		bearer := c.token(t, "console")
		token = bearer
		if w := call("DPoP", s.proof(t, "GET", address, token, nil)); w.Code != 401 {
			t.Errorf("a bearer token with a proof: status %d", w.Code)
		}
	})
}
