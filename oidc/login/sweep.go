package login

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/db"
)

const (
	sweepEvery = time.Minute
	sweepStep  = 500 // rows per transaction, so that sign-ins get between
)

// sweeps delete what has expired, by an index each.
var sweeps = []struct{ what, query string }{
	{"challenges", `DELETE FROM login_challenges WHERE hash IN (SELECT hash FROM login_challenges WHERE expires <= $1 ORDER BY expires LIMIT $2)`},
	{"sessions", `DELETE FROM login_sessions WHERE id IN (SELECT id FROM login_sessions WHERE expires <= $1 ORDER BY expires LIMIT $2)`},
	{"tries", `DELETE FROM login_tries WHERE hash IN (SELECT hash FROM login_tries WHERE expires <= $1 ORDER BY expires LIMIT $2)`},
	{"recoveries", `DELETE FROM login_recoveries WHERE id IN (SELECT id FROM login_recoveries WHERE expires <= $1 ORDER BY expires LIMIT $2)`},
	{"reproofs", `DELETE FROM login_reproofs WHERE id IN (SELECT id FROM login_reproofs WHERE expires <= $1 ORDER BY expires LIMIT $2)`},
	{"idle", `DELETE FROM login_sessions WHERE id IN (SELECT id FROM login_sessions WHERE seen <= $1 ORDER BY seen LIMIT $2)`},
}

// Run deletes expired sessions and challenges in bounded steps until ctx ends.
// Several replicas may run it.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "sweep expired sign-ins", slog.Any("cause", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sweep deletes everything that has expired.
func (s *Service) sweep(ctx context.Context) error {
	now := s.o.Now()
	for _, q := range sweeps {
		before := now
		if q.what == "idle" {
			before = now.Add(-idle)
		}
		for n := int64(sweepStep); n == sweepStep; {
			err := s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
				n, err = db.Affected(tx.ExecContext(ctx, q.query, db.Micros(before), sweepStep))
				return err
			})
			if err != nil {
				return fmt.Errorf("sweep %s: %w", q.what, err)
			}
			s.metrics.swept.WithLabelValues(q.what).Add(float64(n))
		}
	}
	return nil
}
