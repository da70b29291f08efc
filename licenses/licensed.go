package licenses

import (
	"context"
	"time"

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

// Ended says that a firm lost its business licence for good.
type Ended struct {
	Firm    string    // USCC
	License string    // id of the licence that was revoked
	At      time.Time // when that was
}

const endedQuery = `SELECT l.holder, l.id, l.changed_at FROM licenses l
	WHERE l.type = $1 AND l.status = 'revoked' AND l.changed_at >= $2 AND (l.changed_at > $2 OR l.id > $3) AND l.holder_kind = $4 AND NOT ` + wasReplaced + `
	AND NOT EXISTS (SELECT 1 FROM licenses n WHERE n.holder = l.holder AND n.holder_kind = l.holder_kind AND n.type = l.type
	AND (n.id > l.id OR n.status IN ($5, $6, $7) AND n.not_after > $8))
	ORDER BY l.changed_at, l.id LIMIT $9`

// EndedTx returns, in the caller's transaction, firms whose newest licence of FirmType
// was revoked and that hold no other one that is in force, being signed or suspended, in
// the order in which that happened: at most limit of those behind after, of which License
// may be "". One that was replaced is no revoked one, and one that is past its end, none
// that was lost.
func (s *Service) EndedTx(ctx context.Context, tx db.Tx, after Ended, limit int) (list []Ended, err error) {
	rows, err := tx.QueryContext(ctx, endedQuery,
		FirmType, db.Micros(after.At), after.License, HolderFirm, string(Issued), string(Suspended), replacing, db.Micros(s.now()), limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e Ended
		var at int64
		if err := rows.Scan(&e.Firm, &e.License, &at); err != nil {
			return nil, err
		}
		e.At = db.Time(at)
		list = append(list, e)
	}
	return list, rows.Err()
}
