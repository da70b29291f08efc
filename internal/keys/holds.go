package keys

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/signet-city/signet/internal/db"
)

// Holds reports whether the ring has, or ever had, the key with this public half, of
// whatever purpose and state. It fails for kinds of keys that have no encoding.
func (r *Ring) Holds(ctx context.Context, public crypto.PublicKey) (bool, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return false, fmt.Errorf("encode public key: %w", err)
	}
	var n int64
	err = r.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM keys WHERE public_key = $1`, der).Scan(&n)
	})
	if err != nil {
		return false, fmt.Errorf("look for key: %w", err)
	}
	return n > 0, nil
}
