package oidc

import (
	"context"
	"encoding/json/v2"

	"github.com/go-jose/go-jose/v4"
)

var errHint = reject("invalid_request", "id_token_hint is no ID token for this client")

// checkHint returns the sub of an ID token that was once made for the client. It may
// have expired (OpenID Connect Core section 3.1.2.1).
func (p *Provider) checkHint(ctx context.Context, hint, client string) (sub string, err error) {
	payload, err := p.verify(ctx, hint, idTokenType)
	if err != nil {
		return "", err
	}
	var c idClaims
	if payload == nil || json.Unmarshal(payload, &c, json.RejectUnknownMembers(true)) != nil ||
		c.Issuer != p.o.Issuer || c.Audience != client || c.Subject == "" {
		return "", errHint
	}
	return c.Subject, nil
}

// verify returns the payload of a token of that type that was signed with one of our
// keys, nil for any other text.
func (p *Provider) verify(ctx context.Context, token, kind string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, nil
	}
	algs := []jose.SignatureAlgorithm{jose.ES256}
	if kind == idTokenType {
		algs = tokenAlgs
	}
	signature, kid, err := parseToken(token, kind, algs...)
	if err != nil {
		return nil, nil
	}
	public, err := p.tokenKey(ctx, kid)
	if err != nil || public == nil {
		return nil, err
	}
	payload, err := signature.Verify(public)
	if err != nil {
		return nil, nil
	}
	return payload, nil
}
