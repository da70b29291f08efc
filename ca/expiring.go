package ca

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// What the metric of certificates that end soon looks at, and how often.
const (
	expiringEvery = 10 * time.Minute
	expiringRows  = 100_000 // counted at most
)

// expiringWithin are the metric's windows.
var expiringWithin = [...]struct {
	label string
	d     time.Duration
}{{"7d", 7 * 24 * time.Hour}, {"30d", 30 * 24 * time.Hour}}

// Bounds of what Expiring looks ahead.
const maxWithin = 10 * 366 * 24 * time.Hour

// Expiring finds the certificates in force that end within a time from now, the
// first to end first, as Search does with the rest of q. It fails with kind Invalid
// for less than nothing and for more than ten years.
func (c *CA) Expiring(ctx context.Context, within time.Duration, q Query) (Page, error) {
	if within <= 0 || within > maxWithin {
		return Page{}, fault.New(fault.Invalid, "certificates are looked for that end within ten years at most")
	}
	now := c.now()
	q.Status, q.Text, q.ExpiresAfter, q.ExpiresBefore = Issued, "", now, now.Add(within)
	return c.Search(ctx, q)
}

// expiringQuery counts what ends between two times. It looks at a stretch of an
// index, which is bounded: beyond that the number is a lower bound.
const expiringQuery = `SELECT profile, count(*) FROM (SELECT profile, status FROM ca_certificates
	WHERE not_after >= $1 AND not_after < $2 ORDER BY not_after, serial LIMIT $3) soon WHERE status = 'issued' GROUP BY profile`

// countExpiring refreshes the metric if it is old. It is not counted for each scrape.
func (c *CA) countExpiring(ctx context.Context) {
	now := c.now()
	if now.Sub(c.metrics.expiringAt).Abs() < expiringEvery {
		return
	}
	counts := map[string]map[profile.Kind]float64{}
	err := c.db.Read(ctx, func(tx db.Tx) error {
		for _, w := range expiringWithin {
			one, err := countEnding(ctx, tx, now, now.Add(w.d))
			if err != nil {
				return err
			}
			counts[w.label] = one
		}
		return nil
	})
	if err != nil {
		if ctx.Err() == nil {
			c.log.ErrorContext(ctx, "count certificates that expire", slog.Any("cause", fmt.Errorf("count: %w", err)))
		}
		return
	}
	c.metrics.expiringAt = now
	c.metrics.expiring.Reset()
	for label, one := range counts {
		for kind, n := range one {
			c.metrics.expiring.WithLabelValues(string(kind), label).Set(n)
		}
	}
}

func countEnding(ctx context.Context, tx db.Tx, from, to time.Time) (map[profile.Kind]float64, error) {
	rows, err := tx.QueryContext(ctx, expiringQuery, db.Micros(from), db.Micros(to), expiringRows)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	counts := map[profile.Kind]float64{}
	for rows.Next() {
		var kind profile.Kind
		var n float64
		if err := rows.Scan(&kind, &n); err != nil {
			return nil, err
		}
		counts[kind] = n
	}
	return counts, rows.Err()
}
