package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/signet-city/signet/internal/web"
)

// proofOf returns the proof that must have come with a token of the scheme DPoP to an
// address of this service. Errors are those of RFC 9449 section 7.1.
func (p *Provider) proofOf(r *http.Request, token string) (*proof, error) {
	ctx := r.Context()
	shown, err := p.readProof(ctx, r, p.o.Issuer+r.URL.EscapedPath(), token)
	if err == nil && shown == nil {
		err = errProofNeeded
	}
	if err != nil {
		return nil, p.challenge(ctx, err)
	}
	return shown, nil
}

// challenge makes of a refused proof what resources answer, and leaves other errors
// as they are.
func (p *Provider) challenge(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	nonce, err := p.nonce(ctx)
	if err != nil {
		return fmt.Errorf("refuse proof: %w", err)
	}
	return web.UnauthorizedProof(refused.code, nonce, refused)
}
