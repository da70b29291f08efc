package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/signet-city/signet/internal/db"
)

// SinceFilter says which part of the sealed log Since reads.
type SinceFilter struct {
	From   int64    // the first place that is looked at
	Window int64    // at most so many places are looked at
	Kinds  []string // of the records that are wanted; at least one
	Limit  int      // at most so many records
}

// Size returns how many records are sealed: the place of the next.
func Size(ctx context.Context, tx db.Tx) (size int64, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT size FROM audit_head WHERE one = 1`).Scan(&size); err != nil {
		return 0, fmt.Errorf("read size of log: %w", err)
	}
	return size, nil
}

// Since returns sealed records in the order of the log, and the place at which the
// next call goes on. Places are given out in one order and without gaps, so whoever
// goes on there misses nothing; next moves also where nothing matched. Records that
// were erased are among them.
func Since(ctx context.Context, tx db.Tx, f SinceFilter) (records []Record, next int64, err error) {
	size, err := Size(ctx, tx)
	if err != nil {
		return nil, 0, err
	}
	end := min(f.From+f.Window, size)
	if f.From >= end || f.Limit < 1 || len(f.Kinds) == 0 {
		return nil, f.From, nil
	}
	args := []any{f.From, end}
	for _, kind := range f.Kinds {
		args = append(args, kind)
	}
	rows, err := tx.QueryContext(ctx, sinceQuery(len(f.Kinds), f.Limit), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("read log: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.at, &r.kind, &r.object, &r.salt, &r.content, &r.seq); err != nil {
			return nil, 0, fmt.Errorf("read log: %w", err)
		}
		record, err := r.record()
		if err != nil {
			return nil, 0, fmt.Errorf("read event %s: %w", r.id, err)
		}
		records = append(records, record)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read log: %w", err)
	}
	if len(records) == f.Limit {
		end = records[len(records)-1].Seq + 1
	}
	return records, end, nil
}

// sinceQuery wants the first place, the place after the last, and the kinds.
func sinceQuery(kinds, limit int) string {
	places := make([]string, kinds)
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+3)
	}
	return `SELECT id, at, kind, object, salt, content, seq FROM audit_events WHERE seq >= $1 AND seq < $2 AND kind IN (` +
		strings.Join(places, ", ") + fmt.Sprintf(`) ORDER BY seq LIMIT %d`, limit)
}
