package approval

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Reject ends an open request on another officer's word; reason may be empty. It
// fails with kind Denied for anybody else, with kind Invalid for a reason out of
// bounds and with kind Conflict for a request that is no longer open.
func (s *Service) Reject(ctx context.Context, id, officer, reason string) (Request, error) {
	r, err := s.decide(ctx, decision{id: id, person: officer, to: Rejected, note: strings.TrimSpace(reason), event: "approval.reject"})
	if err != nil {
		return Request{}, fmt.Errorf("reject request: %w", err)
	}
	return r, nil
}

// Withdraw ends an open request on its requester's word. It fails with kind Denied
// for anybody else and with kind Conflict for a request that is no longer open.
func (s *Service) Withdraw(ctx context.Context, id, requester string) (Request, error) {
	r, err := s.decide(ctx, decision{id: id, person: requester, to: Withdrawn, event: "approval.withdraw"})
	if err != nil {
		return Request{}, fmt.Errorf("withdraw request: %w", err)
	}
	return r, nil
}

// decision ends an open request without a run.
type decision struct {
	id, person string
	to         State
	note       string
	event      string
}

func (s *Service) decide(ctx context.Context, d decision) (Request, error) {
	if !isReason(d.note, 0) {
		return Request{}, errReason
	}
	now := s.o.Now()
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		if _, err := lock(ctx, tx); err != nil {
			return err
		}
		r, err := s.findRequest(ctx, tx, d.id)
		if err != nil {
			return err
		}
		if err := d.may(ctx, tx, r); err != nil {
			return err
		}
		return d.store(ctx, tx, r, now)
	})
	if err != nil {
		return Request{}, err
	}
	s.metrics.became(d.to)
	return s.Find(ctx, d.id)
}

// may says who ends a request: its requester withdraws it, another officer rejects
// it.
func (d decision) may(ctx context.Context, tx db.Tx, r Request) error {
	if d.to == Withdrawn {
		if d.person != r.Requester {
			return fault.New(fault.Denied, "only its requester withdraws a request")
		}
		return nil
	}
	if d.person == r.Requester {
		return fault.New(fault.Denied, "a requester withdraws and does not reject")
	}
	_, err := officerSince(ctx, tx, d.person)
	return err
}

func (d decision) store(ctx context.Context, tx db.Tx, r Request, now time.Time) error {
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE approval_requests SET state = $2, decider = $3, decided_at = $4, finished_at = $4, note = $5
		WHERE id = $1 AND state = 'open'`, d.id, string(d.to), d.person, db.Micros(now), d.note))
	if err != nil {
		return err
	}
	if !ok {
		return errDecided
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: d.event, Actor: actorOf(d.person), Object: r.object(), Data: map[string]any{"kind": r.Kind}})
	return err
}

// failOpen ends an open request that would do something else now.
func (s *Service) failOpen(ctx context.Context, r Request) error {
	now := s.o.Now()
	ok := false
	err := s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
		ok, err = db.Changed(tx.ExecContext(ctx, `UPDATE approval_requests SET state = 'failed', finished_at = $2, note = $3 WHERE id = $1 AND state = 'open'`,
			r.ID, db.Micros(now), fault.Public(ErrChanged)))
		if err != nil || !ok {
			return err
		}
		return appendOutcome(ctx, tx, r, Failed, ErrChanged)
	})
	if err == nil && ok {
		s.metrics.became(Failed)
	}
	return err
}
