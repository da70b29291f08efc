package licenses

import (
	"context"

	"github.com/signet-city/signet/internal/db"
)

// LicensedTx reports, in the caller's transaction, whether the firm with this USCC holds
// a licence of FirmType that is in force now: one that is suspended, revoked or past its
// end is not. One that is being signed is, also where it replaces another.
func (s *Service) LicensedTx(ctx context.Context, tx db.Tx, firm string) (bool, error) {
	var n int64
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM licenses WHERE holder = $1 AND holder_kind = $2 AND type = $3 AND status IN ($4, $5) AND not_after > $6`,
		firm, HolderFirm, FirmType, string(Issued), replacing, db.Micros(s.now())).Scan(&n)
	return n > 0, err
}
