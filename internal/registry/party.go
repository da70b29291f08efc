package registry

import (
	"context"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// ActedFor reports whether the person is the firm's legal representative, or held a
// delegation for it at any moment from since until now, both included, in the
// caller's transaction. It is false for unknown people and firms.
func (r *Registry) ActedFor(ctx context.Context, tx db.Tx, person, uscc string, since, now time.Time) (bool, error) {
	if now.Before(since) {
		since = now // clocks of two replicas
	}
	var n int64
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM registry_firms f WHERE f.uscc = $1 AND (f.legal_rep = $2 OR EXISTS
		(SELECT 1 FROM registry_delegations d WHERE d.firm = f.uscc AND d.person = $3 AND d.starts <= $4 AND (d.ends IS NULL OR d.ends > $5)
		AND (d.withdrawn IS NULL OR d.withdrawn > $6 AND d.withdrawn > d.starts)))`,
		uscc, person, person, db.Micros(now), db.Micros(since), db.Micros(since)).Scan(&n)
	return n > 0, wrap("check who acts for firm", err)
}
