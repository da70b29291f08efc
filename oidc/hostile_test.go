package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/oidc"
)

// unsigned makes a JWT of a header and claims with any third part.
func unsigned(t testing.TB, header string, claims map[string]any, signature string) string {
	t.Helper()
	b, err := json.Marshal(claims)
	check(t, err)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(b) + "." + signature
}

// Whoever is not the client, and whatever it would be foolish to take, is refused with
// invalid_client and a challenge; nothing of it is used up.
func TestAssertions(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s := c.newSite(t, "strict")
		other := c.newSite(t, "other")
		claims := func(change map[string]any) map[string]any {
			now := c.clock.now.Unix()
			return with(map[string]any{"iss": "strict", "sub": "strict", "aud": issuer, "iat": now, "exp": now + 60, "jti": rand.Text()}, change)
		}
		key := s.key.(*ecdsa.PrivateKey)
		point, err := key.PublicKey.Bytes()
		check(t, err)
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		check(t, err)
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
		p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		check(t, err)
		now := c.clock.now.Unix()
		good := s.assertion(t, nil)
		parts := strings.Split(good, ".")
		for name, assertion := range map[string]string{
			"empty parts":            "..",
			"no JWT":                 "x",
			"alg none":               unsigned(t, `{"alg":"none"}`, claims(nil), ""),
			"alg None":               unsigned(t, `{"alg":"None"}`, claims(nil), "AA"),
			"alg none, signed":       unsigned(t, `{"alg":"none"}`, claims(nil), parts[2]),
			"no alg":                 unsigned(t, `{}`, claims(nil), parts[2]),
			"alg twice":              unsigned(t, `{"alg":"ES256","alg":"none"}`, claims(nil), parts[2]),
			"HS256 with the point":   signAs(t, jose.HS256, point, nil, claims(nil)),
			"HS256 with the key":     signAs(t, jose.HS256, der, nil, claims(nil)),
			"RS256":                  signAs(t, jose.RS256, rsaKey, nil, claims(nil)),
			"PS256 of nobody":        signAs(t, jose.PS256, rsaKey, nil, claims(nil)),
			"ES384":                  signAs(t, jose.ES384, p384, nil, claims(nil)),
			"another client's key":   signAs(t, jose.ES256, other.key, nil, claims(nil)),
			"its own key in it":      signAs(t, jose.ES256, other.key, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: &other.key.(*ecdsa.PrivateKey).PublicKey}}, claims(nil)),
			"crit":                   signAs(t, jose.ES256, key, map[jose.HeaderKey]any{"crit": []string{"b64"}, "b64": true}, claims(nil)),
			"a proof":                signAs(t, jose.ES256, key, map[jose.HeaderKey]any{"typ": "dpop+jwt"}, claims(nil)),
			"an access token":        signAs(t, jose.ES256, key, map[jose.HeaderKey]any{"typ": "at+jwt"}, claims(nil)),
			"another kid":            signAs(t, jose.ES256, key, map[jose.HeaderKey]any{"kid": "k2"}, claims(nil)),
			"changed":                parts[0] + "." + strings.Split(s.assertion(t, nil), ".")[1] + "." + parts[2],
			"padded":                 good + "=",
			"a space":                good + " ",
			"another issuer":         s.assertion(t, map[string]any{"iss": "other"}),
			"another subject":        s.assertion(t, map[string]any{"sub": "other"}),
			"both another":           s.assertion(t, map[string]any{"iss": "other", "sub": "other"}),
			"nobody":                 s.assertion(t, map[string]any{"iss": "nobody", "sub": "nobody"}),
			"a client with a secret": s.assertion(t, map[string]any{"iss": "permits", "sub": "permits"}),
			"no subject":             s.assertion(t, map[string]any{"sub": nil}),
			"no audience":            s.assertion(t, map[string]any{"aud": nil}),
			"a list of audiences":    s.assertion(t, map[string]any{"aud": []string{issuer}}),
			"two audiences":          s.assertion(t, map[string]any{"aud": []string{issuer, "https://evil.example"}}),
			"the token endpoint":     s.assertion(t, map[string]any{"aud": issuer + "/oidc/token"}),
			"the issuer and a slash": s.assertion(t, map[string]any{"aud": issuer + "/"}),
			"another server":         s.assertion(t, map[string]any{"aud": "https://evil.example"}),
			"no expiry":              s.assertion(t, map[string]any{"exp": nil}),
			"expired":                s.assertion(t, map[string]any{"exp": now}),
			"for an hour":            s.assertion(t, map[string]any{"exp": now + 3600}),
			"for ever":               s.assertion(t, map[string]any{"exp": 1e300}),
			"an expiry in words":     s.assertion(t, map[string]any{"exp": "now"}),
			"a negative expiry":      s.assertion(t, map[string]any{"exp": -1}),
			"from the future":        s.assertion(t, map[string]any{"iat": now + 61}),
			"not yet":                s.assertion(t, map[string]any{"nbf": now + 61}),
			"no jti":                 s.assertion(t, map[string]any{"jti": nil}),
			"an empty jti":           s.assertion(t, map[string]any{"jti": ""}),
			"a long jti":             s.assertion(t, map[string]any{"jti": strings.Repeat("j", 257)}),
			"a number for a jti":     s.assertion(t, map[string]any{"jti": 1}),
		} {
			t.Run(name, func(t *testing.T) {
				form := url.Values{"token": {"x"}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
				w := s.post(t, "/oidc/revoke", form, "-")
				if wantError(t, w, 401, "invalid_client"); w.Header().Get("WWW-Authenticate") == "" {
					t.Error("no challenge")
				}
			})
		}
		if n := c.count(t, "oidc_once"); n != 0 {
			t.Errorf("%d were used up", n)
		}
		for name, change := range map[string]map[string]any{"a clock 10 s ahead": {"iat": now + 10, "nbf": now + 10}, "no iat": {"iat": nil}, "a fraction": {"exp": float64(now) + 59.5},
			"ten minutes": {"exp": now + 600}, "more claims": {"x": "y"}} {
			form := url.Values{"token": {"x"}, "client_assertion": {s.assertion(t, change)}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_id": {"strict"}}
			if w := s.post(t, "/oidc/revoke", form, "-"); w.Code != 200 {
				t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
			}
			if w := s.post(t, "/oidc/introspect", form, "-"); w.Code != 401 {
				t.Errorf("%s again: status %d: %s", name, w.Code, w.Body)
			}
		}
		ok := url.Values{"token": {"x"}, "client_assertion": {good}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
		for name, change := range map[string]url.Values{"another client's id": {"client_id": {"other"}}, "a secret beside it": {"client_secret": {"x"}}, "twice": {"client_assertion": {good, good}}} {
			form := url.Values{}
			for _, v := range []url.Values{ok, change} {
				for k, l := range v {
					form[k] = l
				}
			}
			wantErrorNamed(t, name, s.post(t, "/oidc/revoke", form, "-"), 400, "invalid_request")
		}
		r := httptest.NewRequest("POST", "/oidc/revoke", strings.NewReader(ok.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("strict", "x")
		wantError(t, c.do(r), 400, "invalid_request")
		r = httptest.NewRequest("POST", "/oidc/revoke", strings.NewReader("token=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("strict", "x")
		wantError(t, c.do(r), 401, "invalid_client")
		wantErrorNamed(t, "another kind", s.post(t, "/oidc/revoke", url.Values{"token": {"x"}, "client_assertion": {good},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}}, "-"), 401, "invalid_client")
		want(t, s.post(t, "/oidc/revoke", ok, "-"), 200)
		wantError(t, s.post(t, "/oidc/revoke", ok, "-"), 401, "invalid_client")
	})
}

// A proof that is not one for this request, this key and this moment is refused, and
// what the request is about stays as it was.
func TestProofs(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s, b := c.newSite(t, "strict"), c.signIn(t, "s1", c.wang)
		code := s.code(t, b, nil)
		form := codeForm(code)
		address, now := issuer+"/oidc/token", c.clock.now.Unix()
		key := s.dpop.(*ecdsa.PrivateKey)
		stale := s.nonce
		head := func(change map[jose.HeaderKey]any) map[jose.HeaderKey]any {
			h := map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: &key.PublicKey}}
			for k, v := range change {
				if h[k] = v; v == nil {
					delete(h, k)
				}
			}
			return h
		}
		claims := func() map[string]any {
			return map[string]any{"jti": rand.Text(), "htm": "POST", "htu": address, "iat": now, "nonce": s.nonce}
		}
		for name, proof := range map[string]string{
			"no JWT":            "x",
			"alg none":          unsigned(t, `{"alg":"none","typ":"dpop+jwt"}`, claims(), ""),
			"no type":           signAs(t, jose.ES256, key, head(map[jose.HeaderKey]any{"typ": nil}), claims()),
			"type JWT":          signAs(t, jose.ES256, key, head(map[jose.HeaderKey]any{"typ": "JWT"}), claims()),
			"no key":            signAs(t, jose.ES256, key, head(map[jose.HeaderKey]any{"jwk": nil}), claims()),
			"another key":       signAs(t, jose.ES256, newP256(t), head(nil), claims()),
			"the private key":   signAs(t, jose.ES256, key, head(map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: key}}), claims()),
			"HS256":             signAs(t, jose.HS256, []byte("0123456789abcdef0123456789abcdef"), head(nil), claims()),
			"a symmetric key":   signAs(t, jose.HS256, []byte("0123456789abcdef0123456789abcdef"), head(map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: []byte("x")}}), claims()),
			"GET":               s.proof(t, "GET", address, "", nil),
			"post":              s.proof(t, "post", address, "", nil),
			"no htm":            s.proof(t, "POST", address, "", map[string]any{"htm": nil}),
			"another address":   s.proof(t, "POST", issuer+"/oidc/par", "", nil),
			"another host":      s.proof(t, "POST", "https://evil.example/oidc/token", "", nil),
			"another scheme":    s.proof(t, "POST", strings.Replace(address, "http:", "https:", 1), "", nil),
			"a user":            s.proof(t, "POST", strings.Replace(address, "localhost", "me@localhost", 1), "", nil),
			"a path alone":      s.proof(t, "POST", "/oidc/token", "", nil),
			"a slash more":      s.proof(t, "POST", address+"/", "", nil),
			"no htu":            s.proof(t, "POST", address, "", map[string]any{"htu": nil}),
			"no iat":            s.proof(t, "POST", address, "", map[string]any{"iat": nil}),
			"from the past":     s.proof(t, "POST", address, "", map[string]any{"iat": now - 301}),
			"from the future":   s.proof(t, "POST", address, "", map[string]any{"iat": now + 61}),
			"an endless iat":    s.proof(t, "POST", address, "", map[string]any{"iat": 1e300}),
			"no jti":            s.proof(t, "POST", address, "", map[string]any{"jti": nil}),
			"a long jti":        s.proof(t, "POST", address, "", map[string]any{"jti": strings.Repeat("x", 257)}),
			"too large":         s.proof(t, "POST", address, "", map[string]any{"x": strings.Repeat("x", 4<<10)}),
			"a list for a jti":  s.proof(t, "POST", address, "", map[string]any{"jti": []string{"a"}}),
			"a client's own":    s.assertion(t, nil),
			"an empty text":     " ",
			"an answer to code": code,
		} {
			wantErrorNamed(t, name, s.post(t, "/oidc/token", form, proof), 400, "invalid_dpop_proof")
		}
		wantErrorNamed(t, "none", s.post(t, "/oidc/token", form, "-"), 400, "invalid_dpop_proof")
		for name, nonce := range map[string]any{"no nonce": nil, "another nonce": "x", "a forged nonce": forged(t, stale), "an empty nonce": ""} {
			w := s.post(t, "/oidc/token", form, s.proof(t, "POST", address, "", map[string]any{"nonce": nonce}))
			if wantErrorNamed(t, name, w, 400, "use_dpop_nonce"); w.Header().Get("DPoP-Nonce") == "" {
				t.Error("no nonce is given")
			}
		}
		r := httptest.NewRequest("POST", "/oidc/token", strings.NewReader("grant_type=client_credentials"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for range 2 {
			r.Header.Add("DPoP", s.proof(t, "POST", address, "", nil))
		}
		wantErrorNamed(t, "two", c.do(r), 400, "invalid_dpop_proof")
		// Nothing of this was for nothing: code and nonce are good still, in another
		// spelling of the address, with a query and a fragment.
		proof := s.proof(t, "POST", "HTTP://LOCALHOST:8080/oidc/token?x#y", "", map[string]any{"iat": now + 10})
		want(t, s.post(t, "/oidc/token", form, proof), 200)
		wantError(t, s.post(t, "/oidc/token", codeForm(s.code(t, b, nil)), proof), 400, "invalid_dpop_proof")

		// A nonce runs out, and the next is given in time.
		c.clock.now = c.clock.now.Add(4 * time.Minute)
		s.nonce = stale
		want(t, s.post(t, "/oidc/par", s.request(nil), s.proof(t, "POST", issuer+"/oidc/par", "", nil)), 201)
		if s.nonce == stale {
			t.Error("no other nonce was given")
		}
		c.clock.now = c.clock.now.Add(2 * time.Minute)
		wantError(t, s.post(t, "/oidc/par", s.request(nil), s.proof(t, "POST", issuer+"/oidc/par", "", map[string]any{"nonce": stale})), 400, "use_dpop_nonce")
	})
}

// forged is a nonce of another minute with the hash of this one.
func forged(t testing.TB, nonce string) string {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	check(t, err)
	b[7]++
	return base64.RawURLEncoding.EncodeToString(b)
}

// A code that is bound to a key is redeemed with that key alone.
func TestBoundCode(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s, b := c.newSite(t, "strict"), c.signIn(t, "s1", c.wang)
		code := s.code(t, b, nil) // a proof came with the request
		s.setKey(t, newP256(t))
		wantError(t, s.post(t, "/oidc/token", codeForm(code), ""), 400, "invalid_grant")
		s.setKey(t, newP256(t))
		uri := want(t, s.post(t, "/oidc/par", s.request(url.Values{"dpop_jkt": {s.jkt}}), "-"), 201)["request_uri"].(string)
		bound := back(t, b.get(s.address(uri))).Get("code")
		want(t, s.post(t, "/oidc/token", codeForm(bound), ""), 200)
		// One that is not bound is redeemed with any.
		uri = want(t, s.post(t, "/oidc/par", s.request(nil), "-"), 201)["request_uri"].(string)
		loose := back(t, b.get(s.address(uri))).Get("code")
		s.setKey(t, newP256(t))
		want(t, s.post(t, "/oidc/token", codeForm(loose), ""), 200)
		// A site of the profile basic may bind its code in the browser.
		bound = b.code(url.Values{"dpop_jkt": {s.jkt}})
		c.refused(t, "permits", codeForm(bound), "invalid_grant")
		if got := back(t, b.authorize(url.Values{"dpop_jkt": {"x"}})); got.Get("error") != "invalid_request" {
			t.Errorf("sent back with %v", got)
		}
	})
}

// Tokens that are bound are worth nothing without their key.
func TestBoundToken(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s, b := c.newSite(t, "strict"), c.signIn(t, "s1", c.wang)
		access := want(t, s.post(t, "/oidc/token", codeForm(s.code(t, b, nil)), ""), 200)["access_token"].(string)
		good := s.proof(t, "GET", userinfoAddress, access, nil)
		want(t, s.userinfoWith(t, "DPoP", access, good), 200)
		for _, k := range []struct{ name, scheme, proof string }{
			{"again", "DPoP", good}, {"a bearer", "Bearer", ""}, {"a bearer with a proof", "Bearer", s.proof(t, "GET", userinfoAddress, access, nil)},
			{"no proof", "DPoP", ""}, {"a proof of POST", "DPoP", s.proof(t, "POST", userinfoAddress, access, nil)},
			{"a proof of another token", "DPoP", s.proof(t, "GET", userinfoAddress, access[1:], nil)},
			{"a proof of no token", "DPoP", s.proof(t, "GET", userinfoAddress, "", nil)},
		} {
			if w := s.userinfoWith(t, k.scheme, access, k.proof); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: status %d, %v", k.name, w.Code, w.Header())
			}
		}
		w := s.userinfoWith(t, "DPoP", access, s.proof(t, "GET", userinfoAddress, access, map[string]any{"nonce": nil}))
		if h := w.Header(); w.Code != 401 || !strings.Contains(h.Get("WWW-Authenticate"), "use_dpop_nonce") || h.Get("DPoP-Nonce") == "" {
			t.Errorf("status %d, %v", w.Code, h)
		}
		s.setKey(t, newP256(t))
		if w := s.userinfoWith(t, "DPoP", access, s.proof(t, "GET", userinfoAddress, access, nil)); w.Code != 401 {
			t.Errorf("another key: status %d", w.Code)
		}
	})
}

// publisher serves a client's keys, as a test sets them.
type publisher struct {
	body  []byte
	err   error
	times atomic.Int32
}

func (p *publisher) Fetch(_ context.Context, url string, most int64) ([]byte, error) {
	p.times.Add(1)
	if url != "https://rp.example/jwks" || most != 64<<10 {
		return nil, errors.New("another address or bound")
	}
	return p.body, p.err
}

// Keys by address: kept for minutes, fetched again for a key that is not there, at most
// once a minute, and good for an hour when they cannot be had.
func TestPublishedKeys(t *testing.T) {
	c := newTown(t, testSQLite(t))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	first := newP256(t)
	from := &publisher{body: jwks(t, public(first, "k1"), jose.JSONWebKey{Key: &rsaKey.PublicKey, KeyID: "r1"}, jose.JSONWebKey{Key: edKey.Public(), KeyID: "e1"})}
	provider := c.replica(t, func(o *oidc.Options) { o.Fetcher = from })
	client := strict(t, "away", first)
	client.JWKS, client.JWKSURI = nil, "https://rp.example/jwks"
	_, _, err = provider.AddClient(t.Context(), actor, client)
	check(t, err)
	s := &site{town: c, id: "away", at: newMux(provider)}
	try := func(alg jose.SignatureAlgorithm, key any, kid string) int {
		form := url.Values{"token": {"x"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
		now := c.clock.now.Unix()
		form.Set("client_assertion", signAs(t, alg, key, map[jose.HeaderKey]any{"kid": kid}, map[string]any{"iss": "away", "sub": "away", "aud": issuer, "exp": now + 60, "jti": rand.Text()}))
		return s.post(t, "/oidc/revoke", form, "-").Code
	}
	if codes := []int{try(jose.ES256, first, "k1"), try(jose.PS256, rsaKey, "r1"), try(jose.EdDSA, edKey, "e1"), try(jose.RS256, rsaKey, "r1")}; !slices.Equal(codes, []int{200, 200, 200, 401}) {
		t.Errorf("statuses %v", codes)
	}
	next := newP256(t)
	for range 5 {
		if code := try(jose.ES256, next, "k2"); code != 401 {
			t.Errorf("an unknown key: status %d", code)
		}
	}
	if n := from.times.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	from.body = jwks(t, public(next, "k2"))
	c.clock.now = c.clock.now.Add(61 * time.Second)
	if codes := []int{try(jose.ES256, next, "k2"), try(jose.ES256, first, "k1")}; !slices.Equal(codes, []int{200, 401}) || from.times.Load() != 2 {
		t.Errorf("statuses %v, fetched %d times", codes, from.times.Load())
	}
	from.err = errors.New("away")
	for _, k := range []struct {
		after time.Duration
		want  int
	}{{11 * time.Minute, 200}, {45 * time.Minute, 200}, {10 * time.Minute, 503}} {
		c.clock.now = c.clock.now.Add(k.after)
		if code := try(jose.ES256, next, "k2"); code != k.want {
			t.Errorf("after %v: status %d, want %d", k.after, code, k.want)
		}
	}
	from.err = nil
	for name, body := range map[string]string{"a private key": string(jwks(t, jose.JSONWebKey{Key: next, KeyID: "k2"})), "no JSON": "<html>", "too large": strings.Repeat(" ", 65<<10)} {
		c.clock.now = c.clock.now.Add(2 * time.Minute)
		from.body = []byte(body)
		if code := try(jose.ES256, next, "k2"); code != 503 {
			t.Errorf("%s: status %d", name, code)
		}
	}
	if from.times.Load() > 9 {
		t.Errorf("fetched %d times", from.times.Load())
	}
}

// A client that proves itself with a key has no way in with a secret, whatever stands in
// its row.
func TestNoSecretBesideKey(t *testing.T) {
	c := newTown(t, testSQLite(t))
	c.newSite(t, "strict")
	check(t, c.db.Update(t.Context(), func(tx dbTx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE oidc_clients SET secret_hash = (SELECT secret_hash FROM oidc_clients WHERE id = 'permits') WHERE id = 'strict'`)
		return err
	}))
	for client, status := range map[string]int{"permits": 200, "strict": 401} {
		r := httptest.NewRequest("POST", "/oidc/revoke", strings.NewReader("token=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(client, c.secrets["permits"])
		if w := c.do(r); w.Code != status {
			t.Errorf("%s: status %d: %s", client, w.Code, w.Body)
		}
	}
}
