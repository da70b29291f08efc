package oidc_test

import (
	"context"
	"encoding/json/v2"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/oidc"
)

// The first client that wants EdDSA has keys made for it; its ID tokens are signed with
// them, access tokens and everybody else's are not.
func TestEdDSA(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		client := oidc.Client{ID: "modern", Name: "x", Agency: "donghu-amr", Scopes: []string{"openid", "profile"}, Profile: oidc.ProfileBasic,
			RedirectURIs: []string{callback}, IDTokenAlg: "EdDSA"}
		_, _, err := c.provider.AddClient(t.Context(), actor, client)
		if p := fault.Problems(err); len(p) != 1 || p[0].Path != "/id_token_signed_response_alg" {
			t.Fatalf("without keys: %v", err)
		}
		made := 0
		c.options.MakeKeys = func(ctx context.Context, of, by string) error {
			made++
			if of != owner+"-eddsa" || by != actor {
				t.Errorf("keys for %s by %s", of, by)
			}
			key, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposeToken, Owner: of, Alg: keys.Ed25519, Backend: "file", Actor: by})
			check(t, err)
			check(t, c.ring.Move(ctx, key.ID, keys.Published, by, "test"))
			_, _, err = c.ring.Promote(ctx, keys.PurposeToken, of, by)
			return err
		}
		c.provider = c.replica(t, nil)
		c.mux = newMux(c.provider)
		c.add(t, client)
		client.ID = "second"
		c.add(t, client)
		if made != 1 {
			t.Errorf("keys were made %d times", made)
		}
		b := c.signIn(t, "s1", c.wang)
		answer := c.redeem(t, "modern", codeForm(b.code(url.Values{"client_id": {"modern"}})), 200)
		id, access := answer["id_token"].(string), answer["access_token"].(string)
		if !strings.Contains(header(t, id), `"EdDSA"`) || !strings.Contains(header(t, access), `"ES256"`) {
			t.Errorf("headers %s and %s", header(t, id), header(t, access))
		}
		var set jose.JSONWebKeySet
		w := c.do(httptest.NewRequest("GET", "/oidc/jwks", nil))
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || len(set.Keys) != 2 {
			t.Fatalf("%v: %s", err, w.Body)
		}
		s, err := jose.ParseSignedCompact(id, []jose.SignatureAlgorithm{jose.EdDSA})
		check(t, err)
		key := set.Key(s.Signatures[0].Protected.KeyID)
		if len(key) != 1 || key[0].Algorithm != "EdDSA" {
			t.Fatalf("keys %v", key)
		}
		if _, err := s.Verify(key[0].Key); err != nil {
			t.Error(err)
		}
		if !back(t, b.authorize(url.Values{"client_id": {"modern"}, "id_token_hint": {id}, "prompt": {"none"}})).Has("code") {
			t.Error("its own ID token is no hint")
		}
		if !strings.Contains(header(t, c.tokens(t, b, nil)["id_token"].(string)), `"ES256"`) {
			t.Error("another client's ID token has changed")
		}
		// An access token is signed with ES256, whoever's key it is.
		_, signer, err := c.ring.Active(t.Context(), keys.PurposeToken, owner+"-eddsa")
		check(t, err)
		now := c.clock.now.Unix()
		forged := signAs(t, jose.EdDSA, cryptosigner.Opaque(signer), map[jose.HeaderKey]any{"typ": "at+jwt", "kid": s.Signatures[0].Protected.KeyID},
			map[string]any{"iss": issuer, "aud": issuer, "sub": "console", "client_id": "console", "scope": "clients", "iat": now, "exp": now + 60, "jti": "x"})
		if _, err := c.provider.CheckToken(t.Context(), forged); fault.KindOf(err) != fault.Denied {
			t.Errorf("an access token with EdDSA: %v", err)
		}
		// Token keys of another owner are nobody's here.
		other, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposeToken, Owner: "stranger", Alg: keys.ES256, Backend: "file", Actor: actor})
		check(t, err)
		check(t, c.ring.Move(t.Context(), other.ID, keys.Published, actor, "test"))
		w = httptest.NewRecorder()
		newMux(c.replica(t, nil)).ServeHTTP(w, httptest.NewRequest("GET", "/oidc/jwks", nil))
		set = jose.JSONWebKeySet{}
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || slices.ContainsFunc(set.Keys, func(k jose.JSONWebKey) bool { return k.KeyID == other.ID }) {
			t.Errorf("a stranger's key is published: %s", w.Body)
		}
	})
}

// TestRS256: a client of the profile basic may want RS256, no other may, and its ID
// tokens alone are signed so.
func TestRS256(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		c.options.MakeKeys = func(ctx context.Context, of, by string) error {
			key, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposeToken, Owner: of, Alg: keys.RS256, Backend: "file", Actor: by})
			check(t, err)
			check(t, c.ring.Move(ctx, key.ID, keys.Published, by, "test"))
			_, _, err = c.ring.Promote(ctx, keys.PurposeToken, of, by)
			return err
		}
		c.provider = c.replica(t, nil)
		c.mux = newMux(c.provider)
		client := oidc.Client{ID: "older", Name: "x", Agency: "donghu-amr", Scopes: []string{"openid", "profile"}, Profile: oidc.ProfileFAPI2,
			RedirectURIs: []string{callback}, IDTokenAlg: "RS256"}
		_, _, err := c.provider.AddClient(t.Context(), actor, client)
		if p := fault.Problems(err); !slices.ContainsFunc(p, func(p fault.Problem) bool { return p.Path == "/id_token_signed_response_alg" }) {
			t.Fatalf("for fapi2: %v", err)
		}
		client.Profile = oidc.ProfileBasic
		c.add(t, client)
		b := c.signIn(t, "s1", c.wang)
		answer := c.redeem(t, "older", codeForm(b.code(url.Values{"client_id": {"older"}})), 200)
		id, access := answer["id_token"].(string), answer["access_token"].(string)
		if !strings.Contains(header(t, id), `"RS256"`) || !strings.Contains(header(t, access), `"ES256"`) {
			t.Errorf("headers %s and %s", header(t, id), header(t, access))
		}
		var set jose.JSONWebKeySet
		check(t, json.Unmarshal(c.do(httptest.NewRequest("GET", "/oidc/jwks", nil)).Body.Bytes(), &set))
		s, err := jose.ParseSignedCompact(id, []jose.SignatureAlgorithm{jose.RS256})
		check(t, err)
		key := set.Key(s.Signatures[0].Protected.KeyID)
		if len(key) != 1 || key[0].Algorithm != "RS256" {
			t.Fatalf("keys %v", key)
		}
		_, err = s.Verify(key[0].Key)
		check(t, err)
		if !back(t, b.authorize(url.Values{"client_id": {"older"}, "id_token_hint": {id}, "prompt": {"none"}})).Has("code") {
			t.Error("its own ID token is no hint")
		}
		_, signer, err := c.ring.Active(t.Context(), keys.PurposeToken, owner+"-rs256")
		check(t, err)
		now := c.clock.now.Unix()
		forged := signAs(t, jose.RS256, cryptosigner.Opaque(signer), map[jose.HeaderKey]any{"typ": "at+jwt", "kid": s.Signatures[0].Protected.KeyID},
			map[string]any{"iss": issuer, "aud": issuer, "sub": "console", "client_id": "console", "scope": "clients", "iat": now, "exp": now + 60, "jti": "x"})
		if _, err := c.provider.CheckToken(t.Context(), forged); fault.KindOf(err) != fault.Denied {
			t.Errorf("an access token with RS256: %v", err)
		}
	})
}
