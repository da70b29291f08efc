package ca

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/signet-city/signet/internal/db"
)

// Names are entered beside issuing, not within it: a certificate costs nothing more,
// and rows that a program wrote which knows no names get theirs too.
const (
	nameBatch = 200         // rows in one transaction
	nameTurn  = time.Second // that Run spends on them at a time
)

// unnamedQuery finds the rows whose name is not entered yet. People are not found by
// their names, which stand in no index: they have none here.
const unnamedQuery = `SELECT serial, CASE WHEN holder LIKE 'person:%' THEN '' ELSE subject END FROM ca_certificates WHERE name IS NULL ORDER BY serial LIMIT $1`

// searchName is the form in which names are sought: without differences of case, of
// width (NFKC) and of spaces.
func searchName(s string) string {
	return strings.Join(strings.Fields(norm.NFKC.String(strings.ToLower(norm.NFKC.String(s)))), " ")
}

// nameNew enters names until all are there or its turn ends.
func (c *CA) nameNew(ctx context.Context) {
	for began := time.Now(); time.Since(began) < nameTurn; {
		n, err := c.nameRows(ctx, nameBatch)
		if err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "enter names of certificates", slog.Any("cause", err))
		}
		if err != nil || n < nameBatch {
			return
		}
	}
}

// nameRows enters the names of at most so many certificates and returns of how many.
// Replicas that do it at once do the same.
func (c *CA) nameRows(ctx context.Context, most int) (int, error) {
	var pairs []any
	err := c.db.Read(ctx, func(tx db.Tx) error {
		pairs = nil
		rows, err := tx.QueryContext(ctx, unnamedQuery, most)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var serial, subject string
			if err := rows.Scan(&serial, &subject); err != nil {
				return err
			}
			pairs = append(pairs, serial, searchName(subject))
		}
		return rows.Err()
	})
	if err != nil || len(pairs) == 0 {
		return 0, err
	}
	parts := partsOf(pairs)
	return len(pairs) / 2, c.db.Update(ctx, func(tx db.Tx) error { return enterNames(ctx, tx, pairs, parts) })
}

// partsOf returns every end of every name once, each with its name.
func partsOf(pairs []any) (parts []any) {
	seen := map[string]bool{}
	for i := 1; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		for at := 0; at < len(name) && !seen[name]; {
			parts = append(parts, name[at:], name)
			_, size := utf8.DecodeRuneInString(name[at:])
			at += size
		}
		seen[name] = true
	}
	return parts
}

// enterNames writes the parts that are new, and the names.
func enterNames(ctx context.Context, tx db.Tx, pairs, parts []any) error {
	for values, args := range db.Inserts(2, parts) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO ca_name_parts (part, name) VALUES `+values+` ON CONFLICT (part, name) DO NOTHING`, args...); err != nil {
			return err
		}
	}
	for values, args := range db.Inserts(2, pairs) {
		if _, err := tx.ExecContext(ctx, `UPDATE ca_certificates SET name = v.column2 FROM (VALUES `+values+`) AS v
			WHERE ca_certificates.serial = v.column1 AND ca_certificates.name IS NULL`, args...); err != nil {
			return err
		}
	}
	return nil
}
