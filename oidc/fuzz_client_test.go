package oidc_test

import (
	"encoding/json/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc"
)

// A key set that is accepted holds public keys alone, and is accepted again as we would
// write it.
func FuzzJWKS(f *testing.F) {
	key := newP256(f)
	for _, seed := range []string{string(jwks(f, public(key, "k"))), string(jwks(f, jose.JSONWebKey{Key: key})), `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AA"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := oidc.ParseJWKS(b)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > 16 {
			t.Fatalf("%d keys", len(keys))
		}
		for _, k := range keys {
			if !k.IsPublic() || !k.Valid() {
				t.Fatal("a key that is not public, or not valid")
			}
		}
		again, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		check(t, err)
		if repeated, err := oidc.ParseJWKS(again); err != nil || len(repeated) != len(keys) {
			t.Fatalf("%d keys and then %d, %v", len(keys), len(repeated), err)
		}
	})
}

// What is read of a client's JWS is what the library reads of it.
func FuzzClientJWS(f *testing.F) {
	key := newP256(f)
	f.Add(signAs(f, jose.ES256, key, nil, map[string]any{"a": 1}))
	f.Add(signAs(f, jose.ES256, key, map[jose.HeaderKey]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: &key.PublicKey}}, nil))
	for _, header := range []string{`{"alg":"none"}`, `{"alg":"ES256","alg":"none"}`, `{"alg":"ES256","crit":["x"],"x":1}`, `{"alg":"HS256"}`} {
		f.Add(unsigned(f, header, nil, "AA"))
	}
	f.Fuzz(func(t *testing.T, token string) {
		alg, typ, payload, err := oidc.ParseClientJWS(token)
		if err != nil {
			return
		}
		s, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		h := s.Signatures[0].Protected
		if named, _ := h.ExtraHeaders["typ"].(string); h.Algorithm != alg || named != typ || !slices.Equal(s.UnsafePayloadWithoutVerification(), payload) {
			t.Fatalf("%s, %s and %q; the library reads %s, %s", alg, typ, payload, h.Algorithm, named)
		}
	})
}

// Addresses that are the same are so either way, and never in another host.
func FuzzSameAddress(f *testing.F) {
	for _, a := range []string{"https://a.example/x", "HTTPS://A.EXAMPLE:443/x?y#z", "https://a.example", "https://a.example:8443/x", "https://u@a.example/x", "/x", "http://[::1]:80/", "%zz"} {
		f.Add(a, "https://a.example/x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !oidc.SameAddress(a, b) {
			return
		}
		x, errX := url.Parse(a)
		y, errY := url.Parse(b)
		if errX != nil || errY != nil || !oidc.SameAddress(b, a) || !strings.EqualFold(x.Hostname(), y.Hostname()) || x.User != nil || y.User != nil {
			t.Fatalf("%q and %q are the same", a, b)
		}
	})
}

// Whatever a client sends beside a request is answered by it, not with 500.
func FuzzPush(f *testing.F) {
	c := newTown(f, testkit.SQLite(f))
	s := c.newSite(f, "strict")
	s.push(f, nil)
	f.Add(s.assertion(f, nil), s.proof(f, "POST", issuer+"/oidc/par", "", nil), `{"id_token":{"acr":{"essential":true,"values":["a"]}}}`, "1 2")
	f.Add("x", "x", "{}", acr)
	f.Add(s.assertion(f, nil), "", `{"userinfo":{"name":null,"sub":{"value":"x"}}}`, "")
	f.Fuzz(func(t *testing.T, assertion, proof, claims, levels string) {
		form := s.request(url.Values{"claims": {claims}, "acr_values": {levels}, "client_assertion": {assertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
		r := httptest.NewRequest(http.MethodPost, "/oidc/par", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("DPoP", proof)
		w := c.do(r)
		answer := decode(t, w.Body.Bytes())
		if w.Code >= 500 || (w.Code == http.StatusCreated) != (answer["request_uri"] != nil) || w.Code != http.StatusCreated && answer["error"] == nil {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}
