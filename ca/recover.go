package ca

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// patience is how long an intent may wait for its outcome. A signature takes
// milliseconds; one that takes longer finds its intent gone and fails.
const patience = 30 * time.Second

func (c *CA) stale(row Certificate) bool { return c.now().Sub(row.CreatedAt) > patience }

// Recover marks abandoned the intents that a crash left behind, and returns how
// many there were. Their signatures, if they were made at all, never left the
// process that made them. Abandoned rows stay and can be listed.
func (c *CA) Recover(ctx context.Context) (int, error) {
	var stale []Certificate
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		stale, err = listCertificates(ctx, tx, `status = 'intent' AND created_at < $1 ORDER BY created_at LIMIT 1000`, db.Micros(c.now().Add(-patience)))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("recover intents: %w", err)
	}
	n := 0
	for i := range stale {
		var done bool
		err := c.db.Update(ctx, func(tx db.Tx) (err error) {
			done, err = storeAbandoned(ctx, tx, &stale[i], c.now())
			return err
		})
		if err != nil {
			return n, fmt.Errorf("recover intents: %w", err)
		}
		if done {
			n++
			c.log.WarnContext(ctx, "intent abandoned", slog.String("serial", stale[i].Serial))
		}
	}
	return n, nil
}
