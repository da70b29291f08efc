package ca

import (
	"context"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
)

// RedeemOnly brings a request for an order as a process does that dies before the
// certificate is made.
func (c *CA) RedeemOnly(ctx context.Context, id, actor string, csr []byte) error {
	o, err := c.FindOrder(ctx, id)
	if err != nil {
		return err
	}
	parsed, err := ParseCSR(profile.Firm, csr)
	if err != nil {
		return err
	}
	r := Request{Profile: profile.Firm, Firm: o.Firm, CSR: parsed.Raw, Actor: actor}
	hash, err := r.hash(parsed.PublicKey)
	if err != nil {
		return err
	}
	p := o.approved(r, hash, c.now())
	return c.db.Update(ctx, func(tx db.Tx) error {
		_, err := o.take(ctx, tx, p)
		return err
	})
}

// AuditRows is how many rows a check reads at once.
const AuditRows = auditRows
