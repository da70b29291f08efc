package ca

import (
	"context"
	"strings"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Licensed says whether a firm still has what its certificate was ordered together with.
// The licences provide it.
type Licensed interface {
	// LicensedTx reports, in the caller's transaction, whether the firm with this USCC
	// holds a business licence that is in force now.
	LicensedTx(ctx context.Context, tx db.Tx, firm string) (bool, error)
	// EndedTx returns firms whose newest business licence was revoked, and that have no
	// other one that is in force or suspended, in the order in which that happened: at
	// most limit of those behind after, of which License may be "".
	EndedTx(ctx context.Context, tx db.Tx, after Ended, limit int) ([]Ended, error)
}

var (
	errUnlicensed = web.Refuse(fault.Conflict, web.Text{ZH: "该企业没有有效的营业执照，不能凭预订单签发证书。",
		EN: "The firm has no business licence in force: nothing is issued for the order."})
	errLapsed = web.Refuse(fault.Conflict, web.Text{ZH: "该企业没有有效的营业执照，不能更新凭预订单签发的证书。",
		EN: "The firm has no business licence in force: a certificate that was made for an order is not renewed."})
	errNoLicenses = fault.New(fault.Unavailable, "orders cannot be used here: nobody knows whether firms are licensed")
)

// checkLicensed fails with errUnlicensed for a firm whose business licence is suspended,
// revoked or over, or that has none. Whoever ordered its certificate decided on both
// together: without the one, the other waits for an officer as any does.
func (c *CA) checkLicensed(ctx context.Context, tx db.Tx, firm string) error {
	if c.licensed == nil {
		return errNoLicenses
	}
	is, err := c.licensed.LicensedTx(ctx, tx, firm)
	if err == nil && !is {
		err = errUnlicensed
	}
	return err
}

// checkOrdered does the same for a certificate that is to be made for an order, or to
// follow one that was, in the transaction of its intent: between a request and its
// certificate, days may pass while the issuer's key is away.
func (c *CA) checkOrdered(ctx context.Context, tx db.Tx, row *Certificate) (err error) {
	if row.Profile != profile.Firm {
		return nil
	}
	if row.order, err = followed(ctx, tx, row); err != nil {
		return err
	}
	if order, err := orderOf(ctx, tx, row); err != nil || order == "" && row.order == "" {
		return err
	}
	return c.checkLicensed(ctx, tx, strings.TrimPrefix(row.Holder, "firm:"))
}
