package licenses

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/db"
)

const (
	sweepEvery = 5 * time.Second
	sweepGrace = 15 * time.Second // an issue under way is left alone that long
	sweepMost  = 64               // licences of one agency in one sweep
)

// Sweep completes licences that have been in signing for longer than an issue
// takes, and returns how many. An agency whose key does not sign holds up no other;
// the error says which those are.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	return s.sweep(ctx, s.now().Add(-sweepGrace))
}

func (s *Service) sweep(ctx context.Context, before time.Time) (int, error) {
	agencies, waiting, err := s.waiting(ctx, before)
	if err != nil {
		return 0, fmt.Errorf("complete licences: %w", err)
	}
	s.metrics.signing.Set(float64(waiting))
	completed := 0
	var failed []error
	for _, agency := range agencies {
		n, err := s.sweepAgency(ctx, agency, before)
		completed += n
		if err != nil {
			failed = append(failed, fmt.Errorf("complete licences of %s: %w", agency, err))
		}
	}
	if completed > 0 {
		s.metrics.swept.Add(float64(completed))
		s.log.InfoContext(ctx, "licences completed", slog.Int("count", completed))
	}
	return completed, errors.Join(failed...)
}

// waiting returns the agencies that have licences to complete, and how many these are.
func (s *Service) waiting(ctx context.Context, before time.Time) (agencies []string, licenses int, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		agencies, licenses = nil, 0
		rows, err := tx.QueryContext(ctx, `SELECT l.agency, count(*) FROM license_signing g JOIN licenses l ON l.id = g.license
			WHERE g.created_at < $1 GROUP BY l.agency ORDER BY l.agency`, db.Micros(before))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var agency string
			var n int
			if err := rows.Scan(&agency, &n); err != nil {
				return err
			}
			agencies, licenses = append(agencies, agency), licenses+n
		}
		return rows.Err()
	})
	return agencies, licenses, err
}

// sweepAgency completes the licences of one agency that have waited longest.
func (s *Service) sweepAgency(ctx context.Context, agency string, before time.Time) (int, error) {
	var left []*License
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		left, err = s.find(ctx, tx, fmt.Sprintf(`l.id IN (SELECT w.license FROM license_signing w JOIN licenses o ON o.id = w.license
			WHERE w.created_at < $1 AND o.agency = $2 ORDER BY w.created_at LIMIT %d)`, sweepMost), db.Micros(before), agency)
		return err
	})
	if err != nil || len(left) == 0 {
		return 0, err
	}
	if err := s.finish(ctx, left); err != nil {
		return 0, err
	}
	return len(left), nil
}
