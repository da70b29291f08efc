package webhook

import (
	"context"
	"database/sql"
	"encoding/json/v2"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/outbox"
)

// Bounds of one reading of the log.
const (
	window  = 2000 // places
	records = 100
)

// told is a notice with its place in the log.
type told struct {
	Notice
	seq int64
}

// payload is the body of a call, Standard Webhooks' "payload structure".
type payload struct {
	Type      string         `json:"type"`
	Timestamp time.Time      `json:"timestamp"`
	Data      map[string]any `json:"data"`
}

// Follow writes messages for what was sealed since the last time, until there is no
// more. Several replicas may follow at once: the cursor lets one of them write.
func (s *Service) Follow(ctx context.Context) error {
	var failed []error
	for i := range s.o.Areas {
		for a, more := &s.o.Areas[i], true; more; {
			var err error
			if more, err = s.step(ctx, a); err != nil {
				failed = append(failed, fmt.Errorf("follow %s: %w", a.Name, err)) // the others go on
			}
		}
	}
	return errors.Join(failed...)
}

// step reads a part of the log and writes its messages, and reports whether there is
// more. What is slow happens before the transaction, which is void if another
// replica has moved the cursor meanwhile.
func (s *Service) step(ctx context.Context, a *Area) (more bool, err error) {
	from, err := s.cursor(ctx, a)
	if err != nil {
		return false, err
	}
	list, next, size, err := s.read(ctx, a, from, records)
	if err != nil || next == from {
		if size > 0 { // else the log could not be read
			s.metrics.behind.WithLabelValues(a.Name).Set(float64(size - from))
		}
		return false, err
	}
	written, moved := 0, false
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		written = 0
		if moved, err = db.Changed(tx.ExecContext(ctx, `UPDATE webhook_cursors SET next = $1 WHERE area = $2 AND next = $3`, next, a.Name, from)); err != nil || !moved {
			return err
		}
		messages, err := s.messages(ctx, tx, a, list)
		if err != nil {
			return err
		}
		written = len(messages)
		return outbox.Add(ctx, tx, s.o.Now(), messages...)
	})
	if err != nil || !moved {
		return false, err
	}
	s.metrics.written.WithLabelValues(a.Name).Add(float64(written))
	s.metrics.behind.WithLabelValues(a.Name).Set(float64(size - next))
	return next < size, nil
}

// cursor returns the place that is read next. An area begins with what is sealed
// after it was opened for the first time.
func (s *Service) cursor(ctx context.Context, a *Area) (next int64, err error) {
	read := func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT next FROM webhook_cursors WHERE area = $1`, a.Name).Scan(&next)
	}
	if err = s.o.DB.Read(ctx, read); !errors.Is(err, sql.ErrNoRows) {
		return next, err
	}
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := begin(ctx, tx, a); err != nil {
			return err
		}
		return read(tx)
	})
	return next, err
}

func begin(ctx context.Context, tx db.Tx, a *Area) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO webhook_cursors (area, next) SELECT $1, size FROM audit_head WHERE one = 1
		ON CONFLICT (area) DO NOTHING`, a.Name)
	return err
}

// read returns what is told of a part of the log, where the next part begins, and the
// size of the log.
func (s *Service) read(ctx context.Context, a *Area, from int64, limit int) (list []told, next, size int64, err error) {
	var found []audit.Record
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		if size, err = audit.Size(ctx, tx); err != nil {
			return err
		}
		found, next, err = audit.Since(ctx, tx, audit.SinceFilter{From: from, Window: window, Kinds: slices.Sorted(maps.Keys(a.Kinds)), Limit: limit})
		return err
	})
	if err != nil {
		return nil, 0, 0, err
	}
	found = slices.DeleteFunc(found, func(r audit.Record) bool { return r.Erased })
	if len(found) == 0 {
		return nil, next, size, nil
	}
	notices, err := a.Describe(ctx, found)
	if err != nil {
		return nil, 0, size, fmt.Errorf("describe events: %w", err)
	}
	return place(a, found, notices), next, size, nil
}

// place puts notices into the order of the log.
func place(a *Area, found []audit.Record, notices []Notice) []told {
	byID := map[string]Notice{}
	for _, n := range notices {
		byID[n.EventID] = n
	}
	var list []told
	for _, r := range found {
		n, ok := byID[r.ID]
		if !ok {
			continue
		}
		if n.Type == "" {
			n.Type = a.Kinds[r.Kind]
		}
		if n.At.IsZero() {
			n.At = r.At
		}
		if n.Data == nil {
			n.Data = map[string]any{}
		}
		n.At = n.At.UTC()
		list = append(list, told{n, r.Seq})
	}
	return list
}

// messages returns one message for each notice and each subscription that wants it.
// The id is made of both, so that it is the same however often it is written.
func (s *Service) messages(ctx context.Context, tx db.Tx, a *Area, list []told) ([]outbox.Message, error) {
	if len(list) == 0 {
		return nil, nil
	}
	subscriptions, err := find(ctx, tx, `area = $1 AND disabled = 0 AND removed = 0`, a.Name)
	if err != nil {
		return nil, err
	}
	var out []outbox.Message
	for _, n := range list {
		body, err := json.Marshal(payload{n.Type, n.At, n.Data}, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("encode notice %s: %w", n.EventID, err)
		}
		for _, to := range subscriptions {
			if to.wants(n) {
				out = append(out, s.message(n.EventID, to.id, body))
			}
		}
	}
	return out, nil
}

// message expires a day after its subscription is disabled if it never arrives.
func (s *Service) message(id, to string, body []byte) outbox.Message {
	return outbox.Message{ID: id + "_" + to, Kind: Kind, Target: to, Body: body, Expires: s.o.Now().Add(patience + 24*time.Hour)}
}

// wants reports whether a subscription is told of a notice.
func (u *subscription) wants(n told) bool {
	return n.seq >= u.since && visible(u.agency, n.Notice) && slices.Contains(u.types, n.Type)
}

// visible reports whether an agency, or the city for "", may see a notice.
func visible(agency string, n Notice) bool { return agency == "" || agency == n.Agency }
