package oidc

import (
	"context"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// encrypt wraps a JWT that is signed already for the client that it is meant for
// (OpenID Connect Core section 10.2), to the first of the client's keys that is for
// the algorithm. It fails with kind Unavailable while the client publishes none.
func (p *Provider) encrypt(ctx context.Context, c *client, alg, enc, token string) (string, error) {
	keys, err := p.keysOf(ctx, c, jwksFresh)
	if err != nil {
		return "", err
	}
	k := encryptionKey(keys, alg)
	if k == nil {
		return "", errNoKeys
	}
	e, err := jose.NewEncrypter(jose.ContentEncryption(enc), jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: k.Key, KeyID: k.KeyID},
		(&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	sealed, err := e.Encrypt([]byte(token))
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	text, err := sealed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	return text, nil
}
