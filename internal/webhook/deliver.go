package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/outbox"
)

// patience is how long a subscription may fail before it is disabled.
const patience = 72 * time.Hour

var errDisabled = errors.New("the webhook was disabled or removed")

// deliver makes one call. Any status from 200 to 299 says that it arrived, and 410
// that no more is wanted; everything else is tried again.
func (s *Service) deliver(ctx context.Context, m outbox.Message) error {
	var u *subscription
	err := s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		u, err = live(ctx, tx, m.Target)
		return err
	})
	if errors.Is(err, errNone) || err == nil && u.disabled > 0 {
		return outbox.Permanent(errDisabled)
	}
	if err != nil {
		return err
	}
	now := s.o.Now()
	secrets, err := s.secrets(ctx, u, now)
	if err != nil {
		return err
	}
	got, err := s.o.Client.Post(ctx, u.url, "application/json", http.Header{
		"Webhook-Id":        {m.ID},
		"Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)},
		"Webhook-Signature": {Sign(m.ID, now.Unix(), m.Body, secrets...)},
	}, m.Body)
	switch {
	case err == nil && got.Status >= 200 && got.Status <= 299:
		return s.works(ctx, u)
	case err == nil && got.Status == http.StatusGone:
		return s.disable(ctx, u, "gone")
	case err == nil:
		err = fmt.Errorf("the receiver answered with status %d", got.Status)
	case ctx.Err() != nil:
		return err // the service ends, or is slow itself
	}
	if u.failing > 0 && now.Sub(db.Time(u.failing)) >= patience {
		return s.disable(ctx, u, "failing")
	}
	return errors.Join(err, s.fails(ctx, u, now))
}

// works notes that a subscription that failed works again.
func (s *Service) works(ctx context.Context, u *subscription) error {
	if u.failing == 0 {
		return nil
	}
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE webhook_subscriptions SET failing = 0 WHERE id = $1`, u.id)
		return err
	})
}

// fails notes since when a subscription fails.
func (s *Service) fails(ctx context.Context, u *subscription, now time.Time) error {
	if u.failing > 0 {
		return nil
	}
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE webhook_subscriptions SET failing = $1 WHERE id = $2 AND failing = 0`, db.Micros(now), u.id)
		return err
	})
}

// disable ends a subscription and the message at hand.
func (s *Service) disable(ctx context.Context, u *subscription, reason string) error {
	var did bool
	err := s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
		did, err = db.Changed(tx.ExecContext(ctx, `UPDATE webhook_subscriptions SET disabled = $1, reason = $2
			WHERE id = $3 AND disabled = 0 AND removed = 0 AND ($4 <> 'failing' OR failing = $5)`, db.Micros(s.o.Now()), reason, u.id, reason, u.failing))
		if err != nil || !did {
			return err
		}
		_, err = audit.Append(ctx, tx, u.event("disable", "system", map[string]any{"reason": reason}))
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case did:
		s.metrics.disabled.WithLabelValues(reason).Inc()
	case reason == "failing":
		return errors.New("the webhook changed meanwhile") // another call has got through, or ended it
	}
	return outbox.Permanent(errDisabled)
}
