package city

import (
	"context"
	"fmt"

	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/oidc"
)

// tokenSpec describes the next token key of an owner. The city's own are for ES256; those
// for clients that want EdDSA or RS256 are kept in the file backend.
func (c *City) tokenSpec(of, actor string) keys.Spec {
	s := keys.Spec{Purpose: keys.PurposeToken, Owner: of, Alg: keys.ES256, Backend: c.backend, Actor: actor}
	for alg, name := range map[string]string{"EdDSA": keys.Ed25519, "RS256": keys.RS256} {
		if of == oidc.KeyOwnerFor(owner, alg) {
			s.Alg, s.Backend = name, keys.BackendFile
		}
	}
	return s
}

// makeTokenKeys makes the first keys of an owner that has none: one in use and the next,
// both in the first key set that names either. Whoever needs them comes after it, so
// nobody can hold a key set without them that still matters. Repeating it completes what
// is missing.
func (c *City) makeTokenKeys(ctx context.Context, of, actor string) error {
	c.rotating.Lock()
	defer c.rotating.Unlock()
	active, err := c.inUse(ctx, keys.PurposeToken, of)
	if err != nil {
		return fmt.Errorf("make token keys: %w", err)
	}
	if active == nil {
		if err := c.ensureNextToken(ctx, of, actor); err != nil {
			return fmt.Errorf("make token keys: %w", err)
		}
		if _, _, err := c.Ring.Promote(ctx, keys.PurposeToken, of, actor); err != nil {
			return fmt.Errorf("make token keys: %w", err)
		}
	}
	if err := c.ensureNextToken(ctx, of, actor); err != nil {
		return fmt.Errorf("make token keys: %w", err)
	}
	return nil
}
