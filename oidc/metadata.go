package oidc

import (
	"encoding/json/v2"
	"net/http"
)

// newMetadata writes the document of RFC 8414 section 2 and OpenID Connect
// Discovery. It names what there is; the members that both call required but that
// belong to an authorization endpoint are absent with it.
func newMetadata(o Options) ([]byte, error) {
	methods := []string{"client_secret_basic"}
	if o.ClientSecretPost {
		methods = append(methods, "client_secret_post")
	}
	return json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		TokenEndpoint string   `json:"token_endpoint"`
		JWKSURI       string   `json:"jwks_uri"`
		Scopes        []string `json:"scopes_supported,omitempty"`
		ResponseTypes []string `json:"response_types_supported"`
		GrantTypes    []string `json:"grant_types_supported"`
		AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	}{o.Issuer, o.Issuer + "/oidc/token", o.Issuer + "/oidc/jwks", o.Scopes, nil, []string{grantClientCredentials}, methods})
}

func (p *Provider) serveMetadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(p.metadata)
	return nil
}
