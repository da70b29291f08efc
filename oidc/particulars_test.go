package oidc_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/oidc"
)

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return k
}

// jwks is a key set of public halves, or of what is given.
func jwks(t testing.TB, keys ...jose.JSONWebKey) jsontext.Value {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	check(t, err)
	return b
}

func public(k *ecdsa.PrivateKey, kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &k.PublicKey, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

// strict is a client of the profile fapi2 whose keys are k's.
func strict(t testing.TB, id string, k *ecdsa.PrivateKey) oidc.Client {
	return oidc.Client{ID: id, Name: "食品经营许可", Agency: "donghu-amr", Profile: oidc.ProfileFAPI2, RedirectURIs: []string{callback}, JWKS: jwks(t, public(k, "k1")),
		Scopes: []string{"openid", "profile", "firm", "resident", "offline_access"}}
}

func TestParticulars(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		ctx := t.Context()
		client := strict(t, "strict", newP256(t))
		client.PostLogoutRedirectURIs, client.BackchannelLogoutURI = []string{"https://rp.example/bye"}, "https://rp.example/logout"
		client.BackchannelLogoutSessionRequired, client.Contacts = true, []string{"dev@rp.example"}
		client.UserinfoKeyAlg, client.SectorIdentifier, client.DefaultACR = "ECDH-ES+A128KW", "rp.example", acr
		enc := jose.JSONWebKey{Key: &newP256(t).PublicKey, KeyID: "e1", Use: "enc"}
		client.JWKS = jwks(t, public(newP256(t), "k1"), enc)
		made, secret, err := c.provider.AddClient(ctx, actor, client)
		check(t, err)
		if secret != "" || made.AuthMethod != oidc.AuthKey || !made.DPoP || made.UserinfoEnc != "A256GCM" || made.IDTokenAlg != "ES256" {
			t.Errorf("secret %q, made %+v", secret, made)
		}
		found, err := c.provider.FindClient(ctx, "strict")
		check(t, err)
		if diff := cmp.Diff(made, found); diff != "" {
			t.Error(diff)
		}
		found.Name, found.JWKS, found.UserinfoKeyAlg, found.UserinfoEnc = "另一个名称", jwks(t, public(newP256(t), "k2")), "", ""
		found.PostLogoutRedirectURIs = nil
		updated, err := c.provider.UpdateClient(ctx, actor, found)
		check(t, err)
		again, err := c.provider.FindClient(ctx, "strict")
		check(t, err)
		if diff := cmp.Diff(updated, again); diff != "" || again.Name != "另一个名称" || again.PostLogoutRedirectURIs != nil {
			t.Error(diff)
		}
		if events := c.events(t, "oidc.client.update"); len(events) != 1 || events[0].Data["keys"] == c.events(t, "oidc.client.add")[5].Data["keys"] {
			t.Errorf("events %v", events)
		}
		for name, change := range map[string]func(c *oidc.Client){
			"/profile": func(c *oidc.Client) { c.Profile = oidc.ProfileBasic }, "/agency": func(c *oidc.Client) { c.Agency = "" },
			"/sector_identifier": func(c *oidc.Client) { c.SectorIdentifier = "other.example" }, "/disabled": func(c *oidc.Client) { c.Disabled = time.Now() },
			"/token_endpoint_auth_method": func(c *oidc.Client) { c.AuthMethod = oidc.AuthSecret }, "/jwks": func(c *oidc.Client) { c.JWKS = nil },
		} {
			bad := again
			change(&bad)
			_, err := c.provider.UpdateClient(ctx, actor, bad)
			if !slices.ContainsFunc(fault.Problems(err), func(p fault.Problem) bool { return p.Path == name }) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, id := range []string{"nobody", "", "\x00"} {
			bad := again
			bad.ID = id
			if _, err := c.provider.UpdateClient(ctx, actor, bad); !errors.Is(err, oidc.ErrClient) {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}

// Every problem is told at once, each at its path.
func TestParticularsRefused(t *testing.T) {
	c := newTown(t, testSQLite(t))
	key := newP256(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Logf("no weak RSA key to try: %v", err)
	}
	_, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	many := make([]jose.JSONWebKey, 17)
	for i := range many {
		many[i] = public(key, "k")
	}
	cases := []struct {
		name   string
		change func(c *oidc.Client)
		paths  []string
	}{
		{"no keys", func(c *oidc.Client) { c.JWKS = nil }, []string{"/jwks"}},
		{"null", func(c *oidc.Client) { c.JWKS = jsontext.Value("null") }, []string{"/jwks"}},
		{"not a set", func(c *oidc.Client) { c.JWKS = jsontext.Value("[]") }, []string{"/jwks"}},
		{"an empty set", func(c *oidc.Client) { c.JWKS = jsontext.Value(`{"keys":[]}`) }, []string{"/jwks"}},
		{"a repeated member", func(c *oidc.Client) {
			c.JWKS = jsontext.Value(strings.Replace(string(c.JWKS), `"kty"`, `"kty":"EC","kty"`, 1))
		}, []string{"/jwks"}},
		{"a private key", func(c *oidc.Client) { c.JWKS = jwks(t, jose.JSONWebKey{Key: key, KeyID: "k"}) }, []string{"/jwks"}},
		{"a private key beside a good one", func(c *oidc.Client) { c.JWKS = jwks(t, public(key, "k"), jose.JSONWebKey{Key: edPrivate}) }, []string{"/jwks"}},
		{"a symmetric key", func(c *oidc.Client) { c.JWKS = jwks(t, jose.JSONWebKey{Key: []byte("secret")}) }, []string{"/jwks"}},
		{"P-384", func(c *oidc.Client) { c.JWKS = jwks(t, jose.JSONWebKey{Key: &p384.PublicKey}) }, []string{"/jwks"}},
		{"off the curve", func(c *oidc.Client) {
			c.JWKS = jsontext.Value(`{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}]}`)
		}, []string{"/jwks"}},
		{"only for encryption", func(c *oidc.Client) { c.JWKS = jwks(t, jose.JSONWebKey{Key: &key.PublicKey, Use: "enc"}) }, []string{"/jwks"}},
		{"17 keys", func(c *oidc.Client) { c.JWKS = jwks(t, many...) }, []string{"/jwks"}},
		{"too large", func(c *oidc.Client) { c.JWKS = jsontext.Value(`{"keys":[],"x":"` + strings.Repeat("x", 64<<10) + `"}`) }, []string{"/jwks"}},
		{"keys twice", func(c *oidc.Client) { c.JWKSURI = "https://rp.example/jwks" }, []string{"/jwks_uri"}},
		{"keys by http", func(c *oidc.Client) { c.JWKS, c.JWKSURI = nil, "http://localhost:1/jwks" }, []string{"/jwks_uri"}},
		{"a secret", func(c *oidc.Client) { c.AuthMethod = oidc.AuthSecret }, []string{"/token_endpoint_auth_method"}},
		{"another method", func(c *oidc.Client) { c.AuthMethod = "none" }, []string{"/token_endpoint_auth_method"}},
		{"RS256", func(c *oidc.Client) { c.IDTokenAlg = "RS256" }, []string{"/id_token_signed_response_alg"}},
		{"none", func(c *oidc.Client) { c.IDTokenAlg = "none" }, []string{"/id_token_signed_response_alg"}},
		{"RSA1_5", func(c *oidc.Client) { c.IDTokenKeyAlg = "RSA1_5" }, []string{"/id_token_encrypted_response_alg"}},
		{"no key for it", func(c *oidc.Client) { c.IDTokenKeyAlg = "ECDH-ES+A128KW" }, []string{"/id_token_encrypted_response_alg"}},
		{"enc alone", func(c *oidc.Client) { c.UserinfoEnc = "A128GCM" }, []string{"/userinfo_encrypted_response_enc"}},
		{"an unknown level", func(c *oidc.Client) { c.DefaultACR = "urn:mace:gold" }, []string{"/default_acr"}},
		{"a sector with a path", func(c *oidc.Client) { c.SectorIdentifier = "rp.example/a" }, []string{"/sector_identifier"}},
		{"no mail", func(c *oidc.Client) { c.Contacts = []string{"Dev <dev@rp.example>", "x"} }, []string{"/contacts/0", "/contacts/1"}},
		{"logout over http", func(c *oidc.Client) { c.BackchannelLogoutURI = "http://rp.example/out" }, []string{"/backchannel_logout_uri"}},
		{"a session without address", func(c *oidc.Client) { c.BackchannelLogoutSessionRequired = true }, []string{"/backchannel_logout_session_required"}},
		{"everything", func(c *oidc.Client) { c.Name, c.Scopes, c.RedirectURIs, c.JWKS = "", nil, nil, nil }, []string{"/name", "/scopes", "/redirect_uris", "/jwks"}},
		{"a program with an address", func(c *oidc.Client) { c.Profile, c.Scopes = oidc.ProfileService, []string{"licenses"} }, []string{"/redirect_uris"}},
	}
	if weak != nil {
		cases = append(cases, cases[0])
		cases[len(cases)-1].name, cases[len(cases)-1].change = "1024 bits", func(c *oidc.Client) { c.JWKS = jwks(t, jose.JSONWebKey{Key: &weak.PublicKey}) }
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			client := strict(t, "", key)
			k.change(&client)
			_, secret, err := c.provider.AddClient(t.Context(), actor, client)
			var paths []string
			for _, p := range fault.Problems(err) {
				paths = append(paths, p.Path)
			}
			if fault.KindOf(err) != fault.Invalid || secret != "" || cmp.Diff(k.paths, slices.Compact(paths)) != "" {
				t.Errorf("problems %v, %v", paths, err)
			}
		})
	}
}

func TestClientAPIUpdates(t *testing.T) {
	c := newCity(t, testSQLite(t))
	call := func(method, path, body string, want int) map[string]any {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+c.token(t, "console"))
		r.Header.Set("Content-Type", "application/json")
		w := c.do(r)
		if w.Code != want {
			t.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, want, w.Body)
		}
		return decode(t, w.Body.Bytes())
	}
	keys := string(jwks(t, public(newP256(t), "k1")))
	added := call("POST", "/oidc/v1/clients", `{"id":"strict","name":"x","scopes":["openid"],"profile":"fapi2","redirect_uris":["`+callback+`"],"jwks":`+keys+`}`, 201)
	if _, has := added["client_secret"]; has || added["token_endpoint_auth_method"] != "private_key_jwt" {
		t.Errorf("added %v", added)
	}
	found := call("GET", "/oidc/v1/clients/strict", "", 200)
	if diff := cmp.Diff(added, found); diff != "" {
		t.Error(diff)
	}
	found["name"] = "y"
	b, err := json.Marshal(found)
	check(t, err)
	if call("PUT", "/oidc/v1/clients/strict", string(b), 200)["name"] != "y" || call("GET", "/oidc/v1/clients/strict", "", 200)["name"] != "y" {
		t.Error("not updated")
	}
	call("PUT", "/oidc/v1/clients/nobody", strings.Replace(string(b), `"strict"`, `"nobody"`, 1), 404)
	call("PUT", "/oidc/v1/clients/console", string(b), 400)
	call("PUT", "/oidc/v1/clients/strict", `{}`, 400)
	call("GET", "/oidc/v1/clients/nobody", "", 404)
}
