package oidc

import (
	"encoding/json/v2"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// metadata is the document of RFC 8414 section 2 and OpenID Connect Discovery. It
// names what there is.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint,omitzero"`
	Token         string   `json:"token_endpoint"`
	Userinfo      string   `json:"userinfo_endpoint,omitzero"`
	Revocation    string   `json:"revocation_endpoint,omitzero"`
	Introspection string   `json:"introspection_endpoint"`
	Push          string   `json:"pushed_authorization_request_endpoint,omitzero"` // RFC 9126 section 5
	Logout        string   `json:"end_session_endpoint,omitzero"`
	JWKS          string   `json:"jwks_uri"`
	Scopes        []string `json:"scopes_supported,omitempty"`
	ResponseTypes []string `json:"response_types_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`

	AuthAlgs          []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	ProofAlgs         []string `json:"dpop_signing_alg_values_supported"` // RFC 9449 section 5.1
	RevocationAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	ACRs              []string `json:"acr_values_supported,omitempty"`
	IDTokenKeyAlgs    []string `json:"id_token_encryption_alg_values_supported,omitempty"`
	IDTokenEncs       []string `json:"id_token_encryption_enc_values_supported,omitempty"`
	UserinfoKeyAlgs   []string `json:"userinfo_encryption_alg_values_supported,omitempty"`
	UserinfoEncs      []string `json:"userinfo_encryption_enc_values_supported,omitempty"`
	MustPush          *bool    `json:"require_pushed_authorization_requests,omitempty"` // per client: those of the profile fapi2 must

	RevocationAuth  []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	ResponseModes   []string `json:"response_modes_supported,omitempty"`
	SubjectTypes    []string `json:"subject_types_supported,omitempty"`
	IDTokenAlgs     []string `json:"id_token_signing_alg_values_supported,omitempty"`
	Claims          []string `json:"claims_supported,omitempty"`
	ClaimTypes      []string `json:"claim_types_supported,omitempty"`
	Challenges      []string `json:"code_challenge_methods_supported,omitempty"`
	Prompts         []string `json:"prompt_values_supported,omitempty"`
	Locales         []string `json:"ui_locales_supported,omitempty"`
	IssInResponse   *bool    `json:"authorization_response_iss_parameter_supported,omitempty"`
	ClaimsParameter *bool    `json:"claims_parameter_supported,omitempty"`
	RequestObject   *bool    `json:"request_parameter_supported,omitempty"`
	RequestURI      *bool    `json:"request_uri_parameter_supported,omitempty"` // true if absent
	Backchannel     *bool    `json:"backchannel_logout_supported,omitempty"`
	BackchannelSID  *bool    `json:"backchannel_logout_session_supported,omitempty"`
}

func (p *Provider) newMetadata() ([]byte, error) {
	o := p.o
	methods := []string{AuthSecret, AuthKey}
	var algs []string
	for _, alg := range clientAlgs {
		algs = append(algs, string(alg))
	}
	if o.ClientSecretPost {
		methods = append(methods, "client_secret_post")
	}
	m := metadata{Issuer: o.Issuer, Token: o.Issuer + "/oidc/token", JWKS: o.Issuer + "/oidc/jwks", Scopes: o.Scopes,
		Introspection: o.Issuer + introspectPath, GrantTypes: []string{grantClientCredentials}, AuthMethods: methods, AuthAlgs: algs,
		IntrospectionAuth: methods, IntrospectionAlgs: algs, ProofAlgs: algs}
	if p.pages != nil {
		yes, no := true, false
		m.Authorization, m.Userinfo, m.Revocation = o.Issuer+"/oidc/authorize", p.userinfoURL(), o.Issuer+"/oidc/revoke"
		m.Scopes = slices.Concat(peopleScopes, o.Scopes)
		m.ResponseTypes, m.ResponseModes = []string{responseCode}, []string{"query"}
		m.GrantTypes, m.RevocationAuth = []string{grantCode, grantRefresh, grantClientCredentials}, methods
		m.SubjectTypes, m.IDTokenAlgs = []string{"pairwise"}, []string{string(jose.ES256), string(jose.EdDSA), string(jose.RS256)}
		m.Claims = []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
			"name", "firm_uscc", "firm_name", "document_kind", "document_number"}
		m.ClaimTypes, m.Challenges = []string{"normal"}, []string{methodS256}
		m.Prompts, m.Locales = []string{promptNone, promptLogin, promptConsent}, []string{"zh", "en"}
		m.Push, m.MustPush, m.RevocationAlgs, m.ACRs = o.Issuer+pushPath, &no, algs, p.levels()
		m.IssInResponse, m.ClaimsParameter, m.RequestObject, m.RequestURI = &yes, &yes, &no, &no
		m.IDTokenKeyAlgs, m.IDTokenEncs, m.UserinfoKeyAlgs, m.UserinfoEncs = keyAlgs, contentEncs, keyAlgs, contentEncs
		if o.SignOut != nil {
			m.Logout = o.Issuer + logoutPath
		}
		if o.Queue != nil {
			m.Backchannel, m.BackchannelSID = &yes, &yes
		}
	}
	return json.Marshal(m)
}

func (p *Provider) serveMetadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(p.metadata)
	return nil
}
