package ca

import (
	"context"
	"database/sql"
	"errors"
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
}

var (
	errUnlicensed = web.Refuse(fault.Conflict, web.Text{ZH: "该企业没有有效的营业执照，不能凭预订单签发证书。",
		EN: "The firm has no business licence in force: nothing is issued for the order."})
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

// checkOrdered does the same for a certificate that is to be made for an order, in the
// transaction of its intent: between a request and its certificate, days may pass
// while the issuer's key is away.
func (c *CA) checkOrdered(ctx context.Context, tx db.Tx, row *Certificate) error {
	request, ok := strings.CutPrefix(row.Actor, requestActor)
	firm, isFirm := strings.CutPrefix(row.Holder, "firm:")
	if !ok || !isFirm || row.Profile != profile.Firm {
		return nil
	}
	var order string
	err := tx.QueryRowContext(ctx, `SELECT id FROM ca_orders WHERE firm = $1 AND request = $2`, firm, request).Scan(&order)
	if errors.Is(err, sql.ErrNoRows) { // an officer decided
		return nil
	}
	if err != nil {
		return err
	}
	return c.checkLicensed(ctx, tx, firm)
}
