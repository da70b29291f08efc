package ca

import (
	"context"

	"github.com/signet-city/signet/internal/db"
)

// TakeBack looks once more at a request that was kept.
func (c *CA) TakeBack(ctx context.Context, p Pending) error { return c.takeBack(ctx, &p) }

// PendingQuery is a query that looks for requests.
type PendingQuery struct {
	Text string
	Args []any
}

// PendingQueries are those that must not look at all requests.
func PendingQueries() map[string]PendingQuery {
	queries := map[string]PendingQuery{"swept": {whereOld, []any{1}}, "approved": {whereApproved, []any{1}}, "counted": {whereCounted, []any{"", "x"}}}
	for name, f := range map[string]PendingFilter{"waiting": {State: Waiting, Limit: 51}, "the next that wait": {State: Waiting, Before: "110000", Limit: 51},
		"of an agency": {Agency: "agency-7", Limit: 51}, "the next of an agency": {Agency: "agency-7", Before: "110000", Limit: 51}, "of an agency, issued": {Agency: "agency-7", State: Made, Limit: 51}} {
		where, args := f.where()
		queries[name] = PendingQuery{where, args}
	}
	for name, q := range queries {
		q.Text = `SELECT ` + pendingColumns + ` FROM ca_requests WHERE ` + q.Text
		queries[name] = q
	}
	return queries
}

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
