package oidc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/db"
)

const (
	sweepEvery = time.Minute
	sweepRows  = 500 // that one transaction deletes of a table at most
)

// Run deletes what has run out, in small steps, until ctx ends: interactions, codes
// that nobody redeemed, families of tokens whose last one has expired, requests that were
// pushed, and what may come again because it has expired. Any number
// of replicas may run it at once.
func (p *Provider) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := p.Sweep(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "sweep", slog.Any("cause", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep does once what Run does again and again.
func (p *Provider) Sweep(ctx context.Context) error {
	now := db.Micros(p.o.Now())
	for table, key := range map[string]string{"oidc_interactions": "id", "oidc_grants": "id", "oidc_pushed": "hash", "oidc_once": "hash", "oidc_sandbox_sessions": "id"} {
		for more := true; more; {
			err := p.o.DB.Update(ctx, func(tx db.Tx) error {
				result, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE `+key+` IN (SELECT `+key+` FROM `+table+
					` WHERE expires < $1 ORDER BY expires LIMIT $2)`, now, sweepRows)
				if err != nil {
					return err
				}
				n, err := result.RowsAffected()
				more = n == sweepRows
				return err
			})
			if err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
		}
	}
	if err := p.sweepSandbox(ctx); err != nil {
		return err
	}
	return p.sweepVisits(ctx)
}
