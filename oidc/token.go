package oidc

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json/v2"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/signet-city/signet/internal/keys"
)

// tokenType is the media type of RFC 9068 section 2.1, compared exactly.
const tokenType = "at+jwt"

// claims are those of RFC 9068 section 2.2, and the client's agency.
type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"` // the client itself: nobody else is involved
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Agency   string `json:"agency,omitzero"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
}

// signToken makes an access token for c, for this service itself.
func (p *Provider) signToken(ctx context.Context, c *client, scopes []string) (string, error) {
	key, signer, err := p.o.Keys.Active(ctx, keys.PurposeToken, p.o.KeyOwner)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	now := p.o.Now().Unix()
	payload, err := json.Marshal(claims{
		Issuer: p.o.Issuer, Audience: p.o.Issuer, Subject: c.ID, ClientID: c.ID,
		Scope: strings.Join(scopes, " "), Agency: c.Agency,
		IssuedAt: now, Expires: now + int64(p.o.Lifetime.Seconds()), ID: rand.Text(),
	})
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	token, err := signJWT(key.ID, signer, payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// signJWT signs with ES256. It fails for a key that is not on P-256.
func signJWT(kid string, key crypto.Signer, payload []byte) (string, error) {
	options := (&jose.SignerOptions{}).WithType(tokenType).WithHeader("kid", kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
