package approval

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const (
	leaseLife = 90 * time.Second // after it, somebody else may run the request
	runLife   = 60 * time.Second // a run is told to end
	maxPause  = 10 * time.Minute // between two tries
)

var errNotBegun = web.Refuse(fault.Conflict, web.Text{ZH: "在有效期内未能开始执行，请重新提出申请。",
	EN: "it could not begin before it expired: make a new request"})

// execute runs an approved request under a lease. The caller's end does not end
// it. What cannot be done now is logged and left to Sweep.
func (s *Service) execute(ctx context.Context, id, token string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), runLife)
	defer cancel()
	r, err := s.Find(ctx, id)
	if err == nil {
		err = s.runLeased(ctx, r, token)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "run request", slog.String("request", id), slog.Any("cause", err))
		s.pause(ctx, id, token, r.Attempts)
	}
}

// runLeased does what was approved and records the outcome. An error leaves the
// request approved.
func (s *Service) runLeased(ctx context.Context, r Request, token string) error {
	o := s.operations[r.Kind]
	if o.Run == nil {
		return errors.New("this program does not know the operation")
	}
	// A run that has begun changes the situation itself: it is completed, not checked.
	if r.Started.IsZero() {
		if err := s.begin(ctx, r, token); err != nil {
			if errors.Is(err, errLease) {
				return nil
			}
			if permanent(err) {
				return s.finish(ctx, r, token, Failed, err)
			}
			return err
		}
	}
	err := o.Run(ctx, r.Resolved.Clone(), Decision{r.ID, r.Kind, r.Requester, r.Decider, r.Decided})
	switch {
	case err == nil:
		return s.finish(ctx, r, token, Done, nil)
	case permanent(err):
		s.log.WarnContext(ctx, "request failed", slog.String("request", r.ID), slog.Any("cause", err))
		return s.finish(ctx, r, token, Failed, err)
	default:
		return err
	}
}

// errLease says that somebody else runs the request, or that it was ended.
var errLease = errors.New("the request is no longer ours to run")

// begin checks the request in full once more and announces the run. A permanent
// error ends the request.
func (s *Service) begin(ctx context.Context, r Request, token string) error {
	now := s.o.Now()
	if !now.Before(r.Expires) {
		return errNotBegun
	}
	if err := s.recheck(ctx, r); err != nil {
		return err
	}
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE approval_requests SET started_at = $3 WHERE id = $1 AND runner = $2 AND state = 'approved'
			AND started_at = 0`, r.ID, token, db.Micros(now)))
		if err != nil {
			return err
		}
		if !ok {
			return errLease
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "approval.run.intent", Actor: actorOf(r.Decider), Object: r.object(),
			Data: map[string]any{"kind": r.Kind, "statement_sha256": hexHash(r.Statement)}})
		return err
	})
}

// finish records the outcome of a run that is still ours.
func (s *Service) finish(ctx context.Context, r Request, token string, to State, why error) error {
	now, note := s.o.Now(), ""
	if why != nil {
		note = fault.Public(why)
	}
	ok := false
	err := s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
		ok, err = db.Changed(tx.ExecContext(ctx, `UPDATE approval_requests SET state = $3, finished_at = $4, note = $5 WHERE id = $1 AND runner = $2
			AND state = 'approved'`, r.ID, token, string(to), db.Micros(now), note))
		if err != nil || !ok {
			return err
		}
		return appendOutcome(ctx, tx, r, to, why)
	})
	if err != nil {
		return fmt.Errorf("record outcome: %w", err)
	}
	if ok {
		s.metrics.became(to)
	}
	return nil
}

// appendOutcome records what became of a request.
func appendOutcome(ctx context.Context, tx db.Tx, r Request, to State, why error) error {
	actor, data := "system", map[string]any{"kind": r.Kind, "result": string(to)}
	if why != nil {
		data["failure"], data["note"] = fault.KindOf(why).String(), fault.Public(why)
	}
	_, err := audit.Append(ctx, tx, audit.Event{Kind: "approval.run.outcome", Actor: actor, Object: r.object(), Data: data})
	return err
}

// pause gives up the lease, for longer after each try.
func (s *Service) pause(ctx context.Context, id, token string, attempts int64) {
	wait := min(time.Second<<min(max(attempts, 1), 10), maxPause)
	until := s.o.Now().Add(wait)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE approval_requests SET runner = '', leased_until = $3 WHERE id = $1 AND runner = $2 AND state = 'approved'`,
			id, token, db.Micros(until))
		return err
	})
	if err != nil { // the lease ends by itself
		s.log.WarnContext(ctx, "pause request", slog.String("request", id), slog.Any("cause", err))
	}
}

// lease takes an approved request that nobody runs.
func (s *Service) lease(ctx context.Context, id string) (token string, err error) {
	token, now := db.NewID(), s.o.Now()
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE approval_requests SET runner = $2, leased_until = $3, attempts = attempts + 1
			WHERE id = $1 AND state = 'approved' AND leased_until <= $4 RETURNING id`,
			id, token, db.Micros(now.Add(leaseLife)), db.Micros(now)).Scan(new(string))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", errLease
	}
	return token, err
}
