package approval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

const sweepStep = 100 // rows per transaction

// Run sweeps until ctx ends, and returns nil then. Several replicas may run it.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "sweep requests", slog.Any("cause", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep expires what nobody decided in time, runs what a crash or a part that was
// away left approved, and deletes old challenges. It fails only if the database
// does; a request that cannot be run now is logged and tried again later.
func (s *Service) Sweep(ctx context.Context) error {
	if err := s.expire(ctx); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	if err := s.resume(ctx); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM approval_challenges WHERE expires_at <= $1`, db.Micros(s.o.Now()))
		return err
	})
	if err == nil {
		err = s.measure(ctx)
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

func (s *Service) expire(ctx context.Context) error {
	now := db.Micros(s.o.Now())
	for n := sweepStep; n == sweepStep; {
		err := s.o.DB.Update(ctx, func(tx db.Tx) error {
			ids, err := endAll(ctx, tx, `UPDATE approval_requests SET state = 'expired', finished_at = $1 WHERE state = 'open' AND id IN
				(SELECT id FROM approval_requests WHERE state = 'open' AND expires_at <= $1 ORDER BY id LIMIT $2) RETURNING id`, now, sweepStep)
			if err != nil {
				return err
			}
			n = len(ids)
			events := make([]audit.Event, n)
			for i, id := range ids {
				events[i] = audit.Event{Kind: "approval.expire", Actor: "system", Object: "approval:" + id}
			}
			_, err = audit.Append(ctx, tx, events...)
			return err
		})
		if err != nil {
			return err
		}
		s.metrics.requests.WithLabelValues(string(Expired)).Add(float64(n))
	}
	return nil
}

// endAll runs an update that returns ids, and returns them in order.
func endAll(ctx context.Context, tx db.Tx, query string, args ...any) (ids []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, rows.Err()
}

// resume runs each approved request that nobody runs, once.
func (s *Service) resume(ctx context.Context) error {
	list, err := s.requests(ctx, `state = 'approved' AND leased_until <= $1 ORDER BY id LIMIT $2`, db.Micros(s.o.Now()), sweepStep)
	if err != nil {
		return err
	}
	for _, r := range list {
		token, err := s.lease(ctx, r.ID)
		if errors.Is(err, errLease) {
			continue
		}
		if err != nil {
			return err
		}
		s.execute(ctx, r.ID, token)
	}
	return nil
}

func (s *Service) measure(ctx context.Context) error {
	return s.o.DB.Read(ctx, func(tx db.Tx) error {
		for _, state := range []State{Open, Approved} {
			var n int64
			if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM approval_requests WHERE state = $1`, string(state)).Scan(&n); err != nil {
				return err
			}
			s.metrics.waiting.WithLabelValues(string(state)).Set(float64(n))
		}
		return nil
	})
}
