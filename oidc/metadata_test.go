package oidc_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/oidc"
)

// The metadata name what there is, and everything they name is there.
func TestMetadata(t *testing.T) {
	c := newTown(t, testSQLite(t))
	document := decode(t, c.do(httptest.NewRequest("GET", "/.well-known/openid-configuration", nil)).Body.Bytes())
	methods, algs := []any{"client_secret_basic", "private_key_jwt"}, []any{"ES256", "PS256", "EdDSA"}
	keyAlgs, encs := []any{"ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP-256"}, []any{"A128GCM", "A256GCM"}
	want := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/oidc/authorize", "token_endpoint": issuer + "/oidc/token",
		"userinfo_endpoint": issuer + "/oidc/userinfo", "revocation_endpoint": issuer + "/oidc/revoke", "jwks_uri": issuer + "/oidc/jwks",
		"scopes_supported":         []any{"openid", "profile", "firm", "resident", "offline_access", "licenses", "registry", "clients"},
		"response_types_supported": []any{"code"}, "response_modes_supported": []any{"query"},
		"grant_types_supported":                 []any{"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_methods_supported": methods, "token_endpoint_auth_signing_alg_values_supported": algs,
		"revocation_endpoint_auth_methods_supported": methods, "revocation_endpoint_auth_signing_alg_values_supported": algs,
		"introspection_endpoint_auth_methods_supported": methods, "introspection_endpoint_auth_signing_alg_values_supported": algs,
		"introspection_endpoint": issuer + "/oidc/introspect", "pushed_authorization_request_endpoint": issuer + "/oidc/par",
		"require_pushed_authorization_requests": false, "dpop_signing_alg_values_supported": algs,
		"id_token_encryption_alg_values_supported": keyAlgs, "userinfo_encryption_alg_values_supported": keyAlgs,
		"id_token_encryption_enc_values_supported": encs, "userinfo_encryption_enc_values_supported": encs,
		"acr_values_supported":                           []any{"urn:signet:acr:declared", "urn:signet:acr:verified", acr},
		"subject_types_supported":                        []any{"pairwise"},
		"id_token_signing_alg_values_supported":          []any{"ES256", "EdDSA", "RS256"},
		"claim_types_supported":                          []any{"normal"},
		"code_challenge_methods_supported":               []any{"S256"},
		"prompt_values_supported":                        []any{"none", "login", "consent"},
		"ui_locales_supported":                           []any{"zh", "en"},
		"authorization_response_iss_parameter_supported": true,
		"claims_parameter_supported":                     true, "request_parameter_supported": false, "request_uri_parameter_supported": false,
		"claims_supported": []any{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
			"name", "firm_uscc", "firm_name", "document_kind", "document_number"},
	}
	if diff := cmp.Diff(want, document); diff != "" {
		t.Error(diff)
	}
	for name, value := range document {
		if address, ok := value.(string); ok && name != "issuer" {
			method := map[bool]string{true: "GET", false: "POST"}[name == "jwks_uri" || name == "authorization_endpoint" || name == "userinfo_endpoint"]
			if w := c.do(httptest.NewRequest(method, strings.TrimPrefix(address, issuer), nil)); w.Code == 404 || w.Code == 405 {
				t.Errorf("%s: status %d", name, w.Code)
			}
		}
	}
}

// Without a site nobody signs in.
func TestProgramsOnly(t *testing.T) {
	c := newCity(t, testSQLite(t))
	c.add(t, oidc.Client{ID: "site", Name: "site", Scopes: []string{"openid"}, Profile: oidc.ProfileBasic, RedirectURIs: []string{callback}})
	for _, kind := range []string{"authorization_code", "refresh_token"} {
		c.refused(t, "site", map[string][]string{"grant_type": {kind}, "code": {"x"}, "refresh_token": {"x"}}, "unsupported_grant_type")
	}
	c.refused(t, "site", map[string][]string{"grant_type": {"client_credentials"}}, "unauthorized_client")
	for _, path := range []string{"/oidc/authorize", "/oidc/userinfo"} {
		if w := c.do(httptest.NewRequest("GET", path, nil)); w.Code != 404 {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

// A client for people has scopes for people, and a program has others.
func TestProfiles(t *testing.T) {
	c := newTown(t, testSQLite(t))
	for name, client := range map[string]oidc.Client{
		"program with openid":       {Scopes: []string{"openid"}, Profile: oidc.ProfileService},
		"program with both":         {Scopes: []string{"licenses", "profile"}, Profile: oidc.ProfileService},
		"program with redirects":    {Scopes: []string{"licenses"}, Profile: oidc.ProfileService, RedirectURIs: []string{callback}},
		"site with licenses":        {Scopes: []string{"openid", "licenses"}, Profile: oidc.ProfileBasic, RedirectURIs: []string{callback}},
		"site without openid":       {Scopes: []string{"profile"}, Profile: oidc.ProfileBasic, RedirectURIs: []string{callback}},
		"site without redirects":    {Scopes: []string{"openid"}, Profile: oidc.ProfileBasic},
		"a profile that is not yet": {Scopes: []string{"openid"}, Profile: "fapi3", RedirectURIs: []string{callback}},
	} {
		client.Name = "x"
		if _, _, err := c.provider.AddClient(t.Context(), actor, client); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	list, err := c.provider.ListClients(t.Context())
	check(t, err)
	i := slices.IndexFunc(list, func(l oidc.Client) bool { return l.ID == "permits" })
	if diff := cmp.Diff([]string{callback, "https://permits.example/cb?from=signet"}, list[i].RedirectURIs); diff != "" {
		t.Error(diff)
	}
	r := httptest.NewRequest("POST", "/oidc/v1/clients", strings.NewReader(
		`{"id":"tax","name":"税务","scopes":["openid"],"profile":"basic","redirect_uris":["https://tax.example/cb"]}`))
	r.Header.Set("Authorization", "Bearer "+c.token(t, "console"))
	r.Header.Set("Content-Type", "application/json")
	w := c.do(r)
	if added := decode(t, w.Body.Bytes()); w.Code != 201 || added["profile"] != "basic" || added["redirect_uris"].([]any)[0] != "https://tax.example/cb" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// Every label of a metric is one of ours, whatever was sent.
func TestMetricsAreBounded(t *testing.T) {
	c := newTown(t, testSQLite(t))
	b := c.signIn(t, "s1", c.wang)
	answer := c.offline(t, b)
	c.redeem(t, "permits", refreshForm(answer["refresh_token"].(string)), 200)
	for _, scope := range []string{"a", "b", "c"} {
		b.authorize(map[string][]string{"scope": {scope}})
		c.do(c.request("permits", "grant_type="+scope))
	}
	families, err := c.metrics.Gather()
	check(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if len(l.GetValue()) <= 1 {
					t.Errorf("%s has label %s=%s", family.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
}
