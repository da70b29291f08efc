package licenses

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// EventExpire is the kind of the event that says that a licence has come to its end.
const EventExpire = "license.expire"

const (
	expireGrace = 10 * time.Minute // longer than verifiers allow their clocks to be behind
	expireMost  = 256              // licences of one transaction
	expireSteps = 20               // transactions of one call
)

// expiredAt returns what status means at a time: whoever reads a licence past its end
// finds it expired at once, and Expire follows in the record.
func (s Status) expiredAt(end, now time.Time) Status {
	if (s == Issued || s == Suspended) && !now.Before(end) {
		return Expired
	}
	return s
}

// Expire records that licences are past their end, each once with its event, and
// returns how many. It takes at most 5,120; the rest has its turn in the next call.
// Doing it in several places at once is harmless. Verifiers see the end in the permit:
// of the status lists nothing changes, but that a suspended licence leaves them.
func (s *Service) Expire(ctx context.Context) (n int, err error) {
	for range expireSteps {
		some, suspended := 0, false
		now := s.now().UTC().Truncate(time.Microsecond)
		err := s.db.Update(ctx, func(tx db.Tx) (err error) {
			some, suspended, err = s.expire(ctx, tx, now)
			return err
		})
		if err != nil {
			return n, fmt.Errorf("expire licences: %w", err)
		}
		if suspended {
			s.changed()
		}
		if n += some; some < expireMost {
			break
		}
	}
	if n > 0 {
		s.metrics.acts.WithLabelValues("expire").Add(float64(n))
		s.log.InfoContext(ctx, "licences expired", slog.Int("count", n))
	}
	return n, nil
}

// dueQuery finds licences to expire. Those that are being signed, or replaced, wait for
// what becomes of that.
const dueQuery = `SELECT id FROM licenses WHERE status IN ('issued', 'suspended') AND not_after <= $1
	AND NOT EXISTS (SELECT 1 FROM license_signing g WHERE g.license = licenses.id) ORDER BY not_after LIMIT $2`

// expire takes some of those that are due by compare-and-swap from each of the two
// states.
func (s *Service) expire(ctx context.Context, tx db.Tx, now time.Time) (n int, suspended bool, err error) {
	due, err := ids(ctx, tx, dueQuery, db.Micros(now.Add(-expireGrace)), expireMost)
	if err != nil || len(due) == 0 {
		return 0, false, err
	}
	var events []audit.Event
	for _, from := range []Status{Issued, Suspended} {
		args := []any{string(Expired), db.Micros(now), string(from)}
		for id := range due {
			args = append(args, id)
		}
		gone, err := readEnded(ctx, tx, `UPDATE licenses SET status = $1, changed_at = $2 WHERE status = $3 AND id IN (`+placeholders(4, len(due))+
			`) RETURNING id, place`, args...)
		if err != nil {
			return 0, false, err
		}
		for _, l := range gone {
			events = append(events, audit.Event{Kind: EventExpire, Actor: "system", Object: "license:" + l.id,
				Data: map[string]any{"from": string(from), "to": string(Expired)}})
			if from != Suspended {
				continue
			}
			suspended = true
			if err := s.noteChange(ctx, tx, l.place, Expired); err != nil {
				return 0, false, err
			}
		}
	}
	_, err = audit.Append(ctx, tx, events...)
	return len(events), suspended, err
}

// ended is a licence that has come to its end.
type ended struct {
	id    string
	place int64
}

func readEnded(ctx context.Context, tx db.Tx, query string, args ...any) (list []ended, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e ended
		if err := rows.Scan(&e.id, &e.place); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}
