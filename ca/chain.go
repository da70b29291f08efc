package ca

import (
	"context"
	"crypto/x509"
	"fmt"
)

// Chain returns the certificates above one of this CA, its issuer's first, without the
// root's. It fails with ErrNotFound for an unknown serial number.
func (c *CA) Chain(ctx context.Context, serial string) ([]*x509.Certificate, error) {
	row, err := c.Find(ctx, serial)
	if err != nil {
		return nil, err
	}
	if row.Issuer == Root {
		return nil, nil
	}
	issuer, err := c.issuerOfRow(ctx, row)
	if err != nil {
		return nil, fmt.Errorf("find chain: %w", err)
	}
	return []*x509.Certificate{issuer}, nil
}
