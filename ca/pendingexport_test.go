package ca

import (
	"context"

	"github.com/signet-city/signet/internal/db"
)

// TakeBack looks once more at a request that was kept.
func (c *CA) TakeBack(ctx context.Context, p Pending) error { return c.takeBack(ctx, &p) }

// ApproveOnly approves a request as a process does that dies before the certificate
// is made, or after it was made, before the request says so.
func (c *CA) ApproveOnly(ctx context.Context, id, person string, issue bool) (serial string, err error) {
	p, err := c.Pending(ctx, id)
	if err != nil {
		return "", err
	}
	p.Decider, p.decideKey, p.Reason, p.DecidedAt = person, "key", "in order", c.now()
	err = c.db.Update(ctx, func(tx db.Tx) error {
		q := p
		return q.move(ctx, tx, pendingStep{from: Waiting, to: Approved, actor: "person:" + person, now: c.now()})
	})
	if err != nil || !issue {
		return "", err
	}
	cert, err := c.Issue(ctx, p.final())
	return cert.Serial, err
}
