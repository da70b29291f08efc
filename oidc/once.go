package oidc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// once is something that may come once, until it has expired anyway.
type once struct {
	hash    []byte
	expires time.Time
	again   *refusal // the answer when it comes again
}

// newOnce names something by its kind, whose it is and what it calls itself.
func newOnce(kind, of, id string, expires time.Time, again *refusal) once {
	sum := sha256.Sum256([]byte(kind + "\x00" + of + "\x00" + id))
	return once{sum[:], expires, again}
}

// spend writes down what must not come again. It fails with the refusal of whatever
// has come before. Of transactions that race for one, on any replicas, one succeeds:
// the others wait for it at the primary key. Rows go in by the order of their hashes,
// so that nobody waits in a circle.
func spend(ctx context.Context, tx db.Tx, list []once) error {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b once) int { return bytes.Compare(a.hash, b.hash) })
	var args []any
	for _, o := range list {
		args = append(args, o.hash, db.Micros(o.expires))
	}
	rows, err := tx.QueryContext(ctx, `INSERT INTO oidc_once (hash, expires) VALUES `+db.Values(len(list), 2)+` ON CONFLICT DO NOTHING RETURNING hash`, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	fresh := map[string]bool{}
	for rows.Next() {
		var hash []byte
		if err := rows.Scan(&hash); err != nil {
			return err
		}
		fresh[string(hash)] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, o := range list {
		if !fresh[string(o.hash)] {
			return o.again
		}
	}
	return nil
}

// spendNow is spend in a transaction of its own.
func (p *Provider) spendNow(ctx context.Context, list ...once) error {
	if len(list) == 0 {
		return nil
	}
	if err := p.o.DB.Update(ctx, func(tx db.Tx) error { return spend(ctx, tx, list) }); err != nil {
		return fmt.Errorf("spend: %w", err)
	}
	return nil
}
