package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/fault"
)

// What may be encrypted for a client, and with what. Key agreement with A192KW and
// CBC are left out: one of each kind is enough.
var (
	keyAlgs     = []string{string(jose.ECDH_ES_A128KW), string(jose.ECDH_ES_A256KW), string(jose.RSA_OAEP_256)}
	contentEncs = []string{string(jose.A128GCM), string(jose.A256GCM)}
)

// fill sets what a profile implies and what was left out.
func (c *Client) fill() {
	if c.Profile == ProfileFAPI2 {
		c.DPoP = true
	}
	if c.AuthMethod == "" {
		c.AuthMethod = AuthSecret
		if c.Profile == ProfileFAPI2 {
			c.AuthMethod = AuthKey
		}
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = string(jose.ES256)
	}
	if c.IDTokenKeyAlg != "" && c.IDTokenEnc == "" {
		c.IDTokenEnc = string(jose.A256GCM)
	}
	if c.UserinfoKeyAlg != "" && c.UserinfoEnc == "" {
		c.UserinfoEnc = string(jose.A256GCM)
	}
	if len(c.JWKS) > 0 && string(c.JWKS) != "null" {
		compact := c.JWKS.Clone()
		if compact.Compact() == nil {
			c.JWKS = compact
		}
	} else {
		c.JWKS = nil
	}
}

// problems collects what is wrong with a client.
type problems []fault.Problem

func (p *problems) add(wrong bool, path, message string) {
	if wrong {
		*p = append(*p, fault.Problem{Path: path, Message: message})
	}
}

// checkClient fails with everything that is wrong with a client, as kind Invalid.
func (p *Provider) checkClient(ctx context.Context, c Client) error {
	bad, err := p.wrongs(ctx, c)
	if err == nil && len(bad) > 0 {
		err = fault.InvalidInput("the client is not as it should be", bad...)
	}
	return err
}

// wrongs returns everything that is wrong with a client.
func (p *Provider) wrongs(ctx context.Context, c Client) (bad problems, err error) {
	bad.add(c.ID != "" && !isClientID(c.ID), "/id", "must be 1 to 64 lowercase letters, digits and hyphens")
	bad.add(c.ID == deskClientID, "/id", "is the id under which officers' desks act")
	bad.add(!isName(c.Name), "/name", "must be 1 to 120 visible characters")
	switch c.Profile {
	case ProfileService:
		bad.add(!p.serviceScopes(c.Scopes), "/scopes", "must be 1 to 32 different scopes for programs that this service knows")
		bad.service(c)
	case ProfileBasic, ProfileFAPI2:
		p.checkSite(&bad, c)
	default:
		bad.add(true, "/profile", `must be "service", "fapi2" or "basic"`)
	}
	bad.keys(c, p.o.Fetcher != nil)
	bad.add(!c.Created.IsZero() || !c.Disabled.IsZero(), "/created", "is set by the service")
	bad.add(c.Sandbox || !c.Expires.IsZero(), "/sandbox", "is set by the service")
	bad.add(len(c.Contacts) > 8 || repeats(c.Contacts), "/contacts", "must be at most 8 different mail addresses")
	for i, contact := range c.Contacts {
		bad.add(!isMail(contact), fmt.Sprintf("/contacts/%d", i), "must be a mail address alone")
	}
	if c.Agency != "" {
		_, err := p.o.Agencies.FindAgency(ctx, c.Agency)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, fmt.Errorf("check client: %w", err)
		}
		bad.add(err != nil, "/agency", "is no agency")
	}
	return bad, nil
}

// service checks that a program has nothing that is for sites.
func (bad *problems) service(c Client) {
	for _, k := range []struct {
		path string
		has  bool
	}{
		{"/redirect_uris", len(c.RedirectURIs) > 0}, {"/id_token_encrypted_response_alg", c.IDTokenKeyAlg != ""},
		{"/userinfo_encrypted_response_alg", c.UserinfoKeyAlg != ""}, {"/default_acr", c.DefaultACR != ""}, {"/sector_identifier", c.SectorIdentifier != ""},
		{"/post_logout_redirect_uris", len(c.PostLogoutRedirectURIs) > 0}, {"/backchannel_logout_uri", c.BackchannelLogoutURI != ""},
	} {
		bad.add(k.has, k.path, "is for clients that sign people in")
	}
}

// checkSite checks what only clients that sign people in have.
func (p *Provider) checkSite(bad *problems, c Client) {
	bad.add(!areScopes(c.Scopes) || !slices.Contains(c.Scopes, scopeOpenID) || slices.ContainsFunc(c.Scopes, isNotForPeople),
		"/scopes", "must be openid and any of "+strings.Join(peopleScopes[1:], ", "))
	bad.addresses("/redirect_uris", c.RedirectURIs, 1)
	bad.addresses("/post_logout_redirect_uris", c.PostLogoutRedirectURIs, 0)
	bad.add(c.BackchannelLogoutURI != "" && checkRedirect(c.BackchannelLogoutURI) != nil, "/backchannel_logout_uri", "must be an https address, or http on localhost or 127.0.0.1")
	bad.add(c.BackchannelLogoutSessionRequired && c.BackchannelLogoutURI == "", "/backchannel_logout_session_required", "needs a backchannel_logout_uri")
	bad.add(c.SectorIdentifier != "" && !isHost(c.SectorIdentifier), "/sector_identifier", "must be a host name in lowercase")
	bad.add(c.DefaultACR != "" && !slices.Contains(p.levels(), c.DefaultACR), "/default_acr", "must be one of acr_values_supported")
	bad.add(!slices.Contains(tokenAlgs, jose.SignatureAlgorithm(c.IDTokenAlg)), "/id_token_signed_response_alg", "must be ES256, EdDSA or, for clients of the profile basic, RS256")
	bad.add(c.IDTokenAlg == string(jose.RS256) && c.Profile != ProfileBasic, "/id_token_signed_response_alg", "may be RS256 for clients of the profile basic alone")
	bad.encryption("id_token", c.IDTokenKeyAlg, c.IDTokenEnc, c)
	bad.encryption("userinfo", c.UserinfoKeyAlg, c.UserinfoEnc, c)
}

func (bad *problems) addresses(path string, list []string, least int) {
	bad.add(len(list) < least || len(list) > 16 || repeats(list), path, fmt.Sprintf("must be %d to 16 different addresses", least))
	for i, uri := range list {
		err := checkRedirect(uri)
		bad.add(err != nil, fmt.Sprintf("%s/%d", path, i), fmt.Sprint(err))
	}
}

// encryption checks how something is encrypted for the client, which must have a key
// for it.
func (bad *problems) encryption(what, alg, enc string, c Client) {
	path := "/" + what + "_encrypted_response_"
	if alg == "" {
		bad.add(enc != "", path+"enc", "needs "+what+"_encrypted_response_alg")
		return
	}
	bad.add(!slices.Contains(keyAlgs, alg), path+"alg", "must be one of "+strings.Join(keyAlgs, ", "))
	bad.add(!slices.Contains(contentEncs, enc), path+"enc", "must be one of "+strings.Join(contentEncs, ", "))
	keys, err := parseJWKS(c.JWKS)
	bad.add(len(c.JWKS) > 0 && err == nil && encryptionKey(keys, alg) == nil, path+"alg", "needs a key for it among jwks")
	bad.add(len(c.JWKS) == 0 && c.JWKSURI == "", path+"alg", "needs jwks or jwks_uri")
}

// encryptionKey returns the first key of a set that something can be encrypted to,
// nil if there is none.
func encryptionKey(keys []jose.JSONWebKey, alg string) *jose.JSONWebKey {
	for i := range keys {
		k := &keys[i]
		if k.Use != "enc" && k.Use != "" || k.Algorithm != "" && k.Algorithm != alg {
			continue
		}
		_, elliptic := k.Key.(*ecdsa.PublicKey)
		_, factors := k.Key.(*rsa.PublicKey)
		if elliptic && alg != string(jose.RSA_OAEP_256) || factors && alg == string(jose.RSA_OAEP_256) {
			return k
		}
	}
	return nil
}

// keys checks how a client proves itself. Keys by address need somebody who fetches
// them.
func (bad *problems) keys(c Client, fetched bool) {
	bad.add(c.AuthMethod != AuthSecret && c.AuthMethod != AuthKey, "/token_endpoint_auth_method", "must be client_secret_basic or private_key_jwt")
	bad.add(c.Profile == ProfileFAPI2 && c.AuthMethod == AuthSecret, "/token_endpoint_auth_method", "must be private_key_jwt for the profile fapi2")
	inline, byAddress := len(c.JWKS) > 0, c.JWKSURI != ""
	bad.add(inline && byAddress, "/jwks_uri", "must not stand beside jwks")
	bad.add(c.AuthMethod == AuthKey && !inline && !byAddress, "/jwks", "or jwks_uri must be there: the client proves itself with a key")
	bad.add(byAddress && !fetched, "/jwks_uri", "cannot be fetched here: give jwks")
	if byAddress {
		u, err := url.Parse(c.JWKSURI)
		bad.add(err != nil || u.Scheme != "https" || checkRedirect(c.JWKSURI) != nil, "/jwks_uri", "must be an https address")
	}
	if !inline {
		return
	}
	keys, err := parseJWKS(c.JWKS)
	bad.add(err != nil, "/jwks", fmt.Sprint(err))
	bad.add(err == nil && c.AuthMethod == AuthKey && !slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool {
		return slices.ContainsFunc(clientAlgs, func(alg jose.SignatureAlgorithm) bool { return fits(&k, alg) })
	}), "/jwks", "must have a key that signs with ES256, PS256 or EdDSA")
}

func isMail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254 && isVisible(s) && !strings.Contains(s, " ")
}

func isHost(s string) bool {
	return len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && strings.Trim(s, "-.") == s && !strings.Contains(s, "..")
}

// serviceScopes reports whether a program may be given these scopes. Those for
// people are never among them.
func (p *Provider) serviceScopes(scopes []string) bool {
	return areScopes(scopes) && !slices.ContainsFunc(scopes, func(s string) bool {
		return !isNotForPeople(s) || p.o.Scopes != nil && !slices.Contains(p.o.Scopes, s)
	})
}

func areScopes(scopes []string) bool {
	return len(scopes) >= 1 && len(scopes) <= 32 && !repeats(scopes) && !slices.ContainsFunc(scopes, func(s string) bool { return !isScope(s) })
}

func repeats(list []string) bool {
	for i, s := range list {
		if slices.Contains(list[:i], s) {
			return true
		}
	}
	return false
}

func isClientID(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func isName(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= 120 && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// isScope reports whether s is a scope-token of RFC 6749 section 3.3, and short.
func isScope(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
