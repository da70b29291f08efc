package keys

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/signet-city/signet/internal/db"
)

// HoldsTx reports, in the caller's transaction, whether the ring has, or ever had, the
// key with this public half, of whatever purpose and state. It fails for kinds of keys
// that have no encoding.
func (r *Ring) HoldsTx(ctx context.Context, tx db.Tx, public crypto.PublicKey) (held bool, err error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err == nil {
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM keys WHERE public_key = $1)`, der).Scan(&held)
	}
	if err != nil {
		return false, fmt.Errorf("look for key: %w", err)
	}
	return held, nil
}
