package oidc

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/signet-city/signet/internal/keys"
)

// The media types of tokens: that of RFC 9068 section 2.1, compared exactly, and
// that of ID tokens.
const (
	tokenType   = "at+jwt"
	idTokenType = "JWT"
)

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

	Key *confirmation `json:"cnf,omitzero"`
}

// confirmation names the key that a token is bound to (RFC 9449 section 6.1).
type confirmation struct {
	JKT string `json:"jkt"`
}

// confirm names a key, nil for "".
func confirm(jkt string) *confirmation {
	if jkt == "" {
		return nil
	}
	return &confirmation{jkt}
}

// is reports whether a token that is bound to c is shown with a proof of the key jkt,
// or one that is not bound with none.
func (c *confirmation) is(jkt string) bool {
	if c == nil {
		return jkt == ""
	}
	return jkt != "" && c.JKT == jkt
}

// personClaims are those of an access token for what a person let a client have.
// Their audience is userinfo alone, so no such token is one for a service, whatever
// its scopes.
type personClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Grant    string `json:"grant"`
	ACR      string `json:"acr"`
	AuthTime int64  `json:"auth_time"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
	Sandbox  bool   `json:"sandbox,omitzero"` // the person is invented

	Key *confirmation `json:"cnf,omitzero"`
}

// idClaims are those of an ID token (OpenID Connect Core section 2).
type idClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	AuthTime int64    `json:"auth_time"`
	Nonce    string   `json:"nonce,omitzero"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	Hash     string   `json:"at_hash"`
	Session  string   `json:"sid"`
	Firm     string   `json:"firm_uscc,omitzero"`
	FirmName string   `json:"firm_name,omitzero"`
	Name     string   `json:"name,omitzero"` // when asked for by claims
	Sandbox  bool     `json:"sandbox,omitzero"`
}

func (p *Provider) userinfoURL() string { return p.o.Issuer + "/oidc/userinfo" }

// signPersonToken makes an access token of a grant.
func (p *Provider) signPersonToken(ctx context.Context, g *grant, scopes []string, jkt string) (string, error) {
	now := p.o.Now().Unix()
	return p.sign(ctx, jose.ES256, tokenType, personClaims{
		Issuer: p.o.Issuer, Audience: p.userinfoURL(), Subject: g.sub, ClientID: g.client, Scope: strings.Join(scopes, " "), Grant: g.id,
		ACR: g.acr, AuthTime: g.authTime.Unix(), IssuedAt: now, Expires: now + int64(p.o.Lifetime.Seconds()), ID: rand.Text(),
		Sandbox: g.isPersona(), Key: confirm(jkt),
	})
}

// signIDToken makes an ID token of a grant. One that comes with refreshed tokens
// has no nonce (OpenID Connect Core section 12.2). It is encrypted for a client that
// wants that.
func (p *Provider) signIDToken(ctx context.Context, client *client, g *grant, accessHash string, refreshed bool) (string, error) {
	now := p.o.Now().Unix()
	c := idClaims{
		Issuer: p.o.Issuer, Subject: g.sub, Audience: g.client, IssuedAt: now, Expires: now + int64(p.o.Lifetime.Seconds()),
		AuthTime: g.authTime.Unix(), Nonce: g.nonce, ACR: g.acr, AMR: g.amr, Hash: accessHash, Session: sid(g), Firm: g.firm, FirmName: g.firmName,
		Sandbox: g.isPersona(),
	}
	if refreshed {
		c.Nonce = ""
	}
	if slices.Contains(g.idClaims, "name") {
		person, err := p.personOf(ctx, g)
		if err != nil {
			return "", fmt.Errorf("find person: %w", err)
		}
		c.Name = person.Name
	}
	token, err := p.sign(ctx, jose.SignatureAlgorithm(client.IDTokenAlg), idTokenType, c)
	if err != nil || client.IDTokenKeyAlg == "" {
		return token, err
	}
	return p.encrypt(ctx, client, client.IDTokenKeyAlg, client.IDTokenEnc, token)
}

// sid names the session to one client, and to no other: agencies that compare what
// they know must not find the same person by it.
func sid(g *grant) string {
	sum := sha256.Sum256([]byte("sid\x00" + g.session + "\x00" + g.client))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// signToken makes an access token for c, for this service itself.
func (p *Provider) signToken(ctx context.Context, c *client, scopes []string, jkt string) (string, error) {
	now := p.o.Now().Unix()
	return p.sign(ctx, jose.ES256, tokenType, claims{
		Issuer: p.o.Issuer, Audience: p.o.Issuer, Subject: c.ID, ClientID: c.ID,
		Scope: strings.Join(scopes, " "), Agency: c.Agency,
		IssuedAt: now, Expires: now + int64(p.o.Lifetime.Seconds()), ID: rand.Text(),
		Key: confirm(jkt),
	})
}

// sign makes a JWT of claims with the active key for alg.
func (p *Provider) sign(ctx context.Context, alg jose.SignatureAlgorithm, kind string, claims any) (string, error) {
	key, signer, err := p.o.Keys.Active(ctx, keys.PurposeToken, KeyOwnerFor(p.o.KeyOwner, string(alg)))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	token, err := signJWT(kind, key.ID, signer, payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// signJWT signs with what the key is for.
func signJWT(kind, kid string, key crypto.Signer, payload []byte) (string, error) {
	alg, err := algOf(key.Public())
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(kind)).WithHeader("kid", kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
