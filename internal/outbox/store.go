package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// window is how many of the messages that are due a claim looks at, the oldest first.
const window = 512

// claimed is a message that this replica sends.
type claimed struct {
	Message
	lease string
}

// claim takes up to n messages that are due: of handled kinds, to targets that are not
// among those to skip, and at most two to one target. Of two replicas that want the
// same one the second sees that it is leased.
func (o *Outbox) claim(ctx context.Context, n int, skip []string) (list []claimed, err error) {
	if n <= 0 || len(o.handlers) == 0 {
		return nil, nil
	}
	now := o.o.Now()
	mine := db.NewID()
	args := []any{mine, db.Micros(now.Add(lease)), db.Micros(now)}
	kinds := places(&args, slices.Sorted(maps.Keys(o.handlers)))
	where := ` AND kind IN (` + kinds + `)`
	if len(skip) > 0 {
		where += ` AND target NOT IN (` + places(&args, skip) + `)`
	}
	query := `UPDATE outbox SET lease = $1, leased = $2 WHERE done = 0 AND failed = 0 AND leased <= $3 AND id IN (
		SELECT id FROM (SELECT id, due, ROW_NUMBER() OVER (PARTITION BY target ORDER BY due, id) AS place FROM (
			SELECT id, target, due FROM outbox WHERE done = 0 AND failed = 0 AND due <= $3 AND leased <= $3` + where + `
			ORDER BY due, id LIMIT ` + fmt.Sprint(window) + `) AS oldest) AS ranked
		WHERE place <= ` + fmt.Sprint(perTarget) + ` ORDER BY due, id LIMIT ` + fmt.Sprint(n) + `)
		RETURNING id, kind, target, body, attempts, created, expires`
	err = o.o.DB.Update(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			c := claimed{lease: mine}
			var created, expires int64
			if err := rows.Scan(&c.ID, &c.Kind, &c.Target, &c.Body, &c.Attempts, &created, &expires); err != nil {
				return err
			}
			c.Created, c.Expires = db.Time(created), db.Time(expires)
			list = append(list, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	return list, nil
}

// places appends values to args and returns their placeholders.
func places(args *[]any, values []string) string {
	var b strings.Builder
	for i, v := range values {
		*args = append(*args, v)
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", len(*args))
	}
	return b.String()
}

// finish writes that a message is over: column is done or failed. Whoever lost the
// lease meanwhile writes nothing.
func (o *Outbox) finish(ctx context.Context, c claimed, column string) error {
	return o.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET `+column+` = $1, attempts = attempts + 1 WHERE id = $2 AND lease = $3 AND done = 0 AND failed = 0`,
			db.Micros(o.o.Now()), c.ID, c.lease)
		return err
	})
}

// postpone lets a message be tried again at next.
func (o *Outbox) postpone(ctx context.Context, c claimed, next time.Time) error {
	return o.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET attempts = attempts + 1, due = $1, leased = 0 WHERE id = $2 AND lease = $3 AND done = 0 AND failed = 0`,
			db.Micros(next), c.ID, c.lease)
		return err
	})
}

// maintain forgets what was over long ago and measures what waits.
func (o *Outbox) maintain(ctx context.Context, now time.Time) {
	if _, err := o.Sweep(ctx); err != nil && ctx.Err() == nil {
		o.o.Logger.ErrorContext(ctx, "sweep messages", slog.Any("cause", err))
	}
	var waiting int64
	var oldest sql.NullInt64
	err := o.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*), min(created) FROM outbox WHERE done = 0 AND failed = 0`).Scan(&waiting, &oldest)
	})
	if err != nil {
		if ctx.Err() == nil {
			o.o.Logger.ErrorContext(ctx, "measure outbox", slog.Any("cause", err))
		}
		return
	}
	o.metrics.waiting.Set(float64(waiting))
	age := time.Duration(0)
	if oldest.Valid {
		age = now.Sub(db.Time(oldest.Int64))
	}
	o.metrics.oldest.Set(age.Seconds())
}

// sweepRows is how many rows one transaction of Sweep deletes.
const sweepRows = 500

// Sweep forgets messages that were delivered a day ago or given up thirty days ago,
// in bounded steps, and returns how many there were.
func (o *Outbox) Sweep(ctx context.Context) (total int64, err error) {
	now := o.o.Now()
	for {
		var n int64
		err := o.o.DB.Update(ctx, func(tx db.Tx) error {
			result, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE (done > 0 OR failed > 0)
				AND (done > 0 AND done < $1 OR failed > 0 AND failed < $2) LIMIT $3)`,
				db.Micros(now.Add(-keepDone)), db.Micros(now.Add(-keepLost)), sweepRows)
			if err != nil {
				return err
			}
			n, err = result.RowsAffected()
			return err
		})
		if err != nil {
			return total, fmt.Errorf("sweep outbox: %w", err)
		}
		if total += n; n < sweepRows {
			return total, nil
		}
	}
}
