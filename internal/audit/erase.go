package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// KindErase is the kind of the events that say that another's content was erased.
// Their object is "event:" and its id.
const KindErase = "audit.erase"

const maxReason = 500

// Erase takes back what a sealed event says: actor, object, data and salt. Its
// entry stays in the tree, so that nothing else changes, and an event of kind
// KindErase, appended in the caller's transaction, says who did it and why. The
// content is gone from the table once that event is sealed, a second or so later;
// reason is kept and names nobody.
//
// It fails with kind NotFound for an unknown event, with kind Unavailable for one
// that is not sealed, with kind Conflict for one that is erased or about to be,
// and with kind Invalid for a certificate, for an erasure, and for no reason.
func Erase(ctx context.Context, tx db.Tx, event, actor, reason string) error {
	if reason == "" || !isText(reason, maxReason) {
		return fault.New(fault.Invalid, "erasing needs a reason of at most 500 bytes")
	}
	rows, err := readRows(ctx, tx, `id = $1`, event)
	if err != nil {
		return fmt.Errorf("erase event: %w", err)
	}
	if len(rows) == 0 {
		return fault.New(fault.NotFound, "the log has no such event")
	}
	r := &rows[0]
	switch {
	case r.isErased():
		return errErased
	case r.isCertificate() || r.kind == KindErase:
		return fault.New(fault.Invalid, "certificates and erasures stay in the log")
	case !r.seq.Valid:
		return errNotSealed
	}
	ids, err := Append(ctx, tx, Event{Kind: KindErase, Actor: actor, Object: "event:" + r.id,
		Data: map[string]any{"kind": r.kind, "at": r.at, "seq": r.seq.Int64, "reason": reason}})
	if err != nil {
		return fmt.Errorf("erase event: %w", err)
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO audit_erasures (event, ordered) VALUES ($1, $2)
		ON CONFLICT (event) DO NOTHING`, r.id, ids[0])
	if err != nil {
		return fmt.Errorf("erase event: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("erase event: %w", err)
	}
	if n != 1 {
		return errErased
	}
	return nil
}

var errErased = fault.New(fault.Conflict, "the event is erased already")

// wipe empties the events whose erasing is sealed below size. Before that their
// content must stay: a verifier takes an empty event for a removed one. A crash in
// between is made good by the next Seal.
func (l *Log) wipe(ctx context.Context, size int64) error {
	var due []string
	err := l.db.Read(ctx, func(tx db.Tx) (err error) {
		due, err = dueErasures(ctx, tx, size)
		return err
	})
	if err != nil || len(due) == 0 {
		return err
	}
	return l.db.Update(ctx, func(tx db.Tx) error {
		for _, id := range due {
			if _, err := tx.ExecContext(ctx, `UPDATE audit_events SET object = '', salt = $2, content = $2 WHERE id = $1`, id, []byte{}); err != nil {
				return fmt.Errorf("erase event: %w", err)
			}
			if _, err := tx.ExecContext(ctx, `UPDATE audit_erasures SET done = $2 WHERE event = $1 AND done = 0`, id, db.Micros(l.now())); err != nil {
				return fmt.Errorf("erase event: %w", err)
			}
		}
		return nil
	})
}

const dueQuery = `SELECT e.event FROM audit_erasures e JOIN audit_events o ON o.id = e.ordered
	WHERE e.done = 0 AND o.seq < $1 ORDER BY e.event LIMIT 256`

func dueErasures(ctx context.Context, tx db.Tx, size int64) (due []string, err error) {
	rows, err := tx.QueryContext(ctx, dueQuery, size)
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read erasures: %w", err)
		}
		due = append(due, id)
	}
	return due, rows.Err()
}

// checkErased reports the events of a page whose content is gone although no later
// event of the log says so, or whose row differs from what that event says.
func (v *verification) checkErased(ctx context.Context, events map[int64]*row) error {
	erased := map[string]*row{}
	args := []any{KindErase}
	var marks []string
	for _, r := range events {
		if r.isErased() {
			erased["event:"+r.id] = r
			args = append(args, "event:"+r.id)
			marks = append(marks, fmt.Sprintf("$%d", len(args)))
		}
	}
	if len(erased) == 0 {
		return nil
	}
	orders, err := readRows(ctx, v.tx, `kind = $1 AND seq IS NOT NULL AND object IN (`+strings.Join(marks, ",")+`)`, args...)
	if err != nil {
		return err
	}
	for i := range orders {
		o := &orders[i]
		r := erased[o.object]
		if r == nil || !v.orders(o, r) {
			continue
		}
		delete(erased, o.object)
	}
	for _, r := range erased {
		v.report.add(Removed, r.id, "its content is gone, and no later event says that it was erased")
	}
	return nil
}

// orders reports whether o, as it was sealed, says that r was erased. That o stands
// where it was sealed is checked in its own place.
func (v *verification) orders(o, r *row) bool {
	if _, detail := o.inspect(); detail != "" || o.isErased() || o.isCertificate() || o.seq.Int64 <= r.seq.Int64 || o.seq.Int64 >= v.end {
		return false
	}
	if r.kind == KindCertificate || r.kind == KindErase {
		return false
	}
	c, err := decode(o.content)
	if err != nil {
		return false
	}
	if c.Data["kind"] != r.kind || c.Data["at"] != r.at || r.object != "" {
		v.report.add(Edited, r.id, "its kind, time or object is not what the event of its erasing says")
	}
	return true
}
