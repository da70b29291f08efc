package audit

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/signet-city/signet/internal/db"
)

// EventFilter says which records Find returns. Empty fields do not restrict.
type EventFilter struct {
	Kind   string
	Object string
	After  string // only ids after this one
	Before string // only ids before this one
	Newest bool   // the newest first
	Limit  int    // at most so many; 0 means all
}

// Find returns the records that match, in the order of their ids, which is that
// of their appending, or in the opposite one with Newest; an erased event is found by its kind alone. With an Object
// it reads an index; with a Kind alone it walks through the log from After on,
// which is for offline checks.
func Find(ctx context.Context, tx db.Tx, f EventFilter) ([]Record, error) {
	query, args := f.query()
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("find events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var records []Record
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.at, &r.kind, &r.object, &r.salt, &r.content, &r.seq); err != nil {
			return nil, fmt.Errorf("find events: %w", err)
		}
		record, err := r.record()
		if err != nil {
			return nil, fmt.Errorf("find event %s: %w", r.id, err)
		}
		records = append(records, record)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find events: %w", err)
	}
	return records, nil
}

func (f EventFilter) query() (query string, args []any) {
	query = `SELECT id, at, kind, object, salt, content, seq FROM audit_events`
	word := " WHERE "
	where := func(condition string, arg any) {
		args = append(args, arg)
		query += fmt.Sprintf("%s%s $%d", word, condition, len(args))
		word = " AND "
	}
	if f.Object != "" {
		where("object =", f.Object)
	}
	if f.Kind != "" {
		where("kind =", f.Kind)
	}
	if f.After != "" {
		where("id >", f.After)
	}
	if f.Before != "" {
		where("id <", f.Before)
	}
	query += " ORDER BY id"
	if f.Newest {
		query += " DESC"
	}
	if f.Limit > 0 {
		args = append(args, f.Limit)
		query += fmt.Sprintf(" LIMIT $%d", len(args))
	}
	return query, args
}

// row is a row of audit_events.
type row struct {
	id, kind, object     string
	at                   int64
	salt, content, entry []byte
	seq                  sql.NullInt64
}

func (r *row) isCertificate() bool { return len(r.salt) == 0 && len(r.content) > 0 }

// isErased reports whether what the row said is gone.
func (r *row) isErased() bool { return len(r.salt) == 0 && len(r.content) == 0 }

func (r *row) record() (Record, error) {
	record := Record{ID: r.id, At: db.Time(r.at), Kind: r.kind, Object: r.object, Seq: -1}
	if r.seq.Valid {
		record.Seq = r.seq.Int64
	}
	if r.isErased() {
		record.Erased = true
		return record, nil
	}
	if r.isCertificate() {
		record.Certificate = r.content
		return record, nil
	}
	c, err := decode(r.content)
	record.Actor, record.Data = c.Actor, c.Data
	return record, err
}
