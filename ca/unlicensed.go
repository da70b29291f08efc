package ca

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Ended says that a firm lost its business licence for good.
type Ended struct {
	Firm    string    // USCC
	License string    // id of the licence that was revoked
	At      time.Time // when that was
}

const (
	endedRows = 100

	// endedAgain is how far back a look goes again each time: behind clocks that differ, and behind a
	// certificate whose intent was written before the licence was revoked.
	endedAgain = 15 * time.Minute
)

// orderOf returns the order that a certificate was made for, or that one was made for
// which it follows, "" for none.
func orderOf(ctx context.Context, tx db.Tx, cert *Certificate) (order string, err error) {
	firm, isFirm := strings.CutPrefix(cert.Holder, "firm:")
	if !isFirm || cert.Profile != profile.Firm {
		return "", nil
	}
	request, ok := strings.CutPrefix(cert.Actor, requestActor)
	if !ok {
		request = "-" // no request's id
	}
	err = tx.QueryRowContext(ctx, `SELECT id FROM ca_orders WHERE firm = $1 AND request = $2
		UNION SELECT cert_order FROM ca_order_renewals WHERE serial = $3`, firm, request, cert.Serial).Scan(&order)
	if errors.Is(err, sql.ErrNoRows) { // an officer decided
		return "", nil
	}
	return order, err
}

// followed returns the order behind the certificate that a row is to follow, "" for
// none.
func followed(ctx context.Context, tx db.Tx, row *Certificate) (string, error) {
	if row.renews == "" || row.Profile != profile.Firm {
		return "", nil
	}
	old, err := findCertificate(ctx, tx, `serial = $1`, row.renews)
	if errors.Is(err, ErrNotFound) || err == nil && old.Holder != row.Holder {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return orderOf(ctx, tx, &old)
}

// licensedToRenew fails with errLapsed for a certificate that came from an order while
// its firm has no business licence in force: whoever ordered it decided on both
// together. A firm without one may ask for a new certificate, on which an officer decides.
func (c *CA) licensedToRenew(ctx context.Context, old Certificate) error {
	return c.db.Read(ctx, func(tx db.Tx) error {
		order, err := orderOf(ctx, tx, &old)
		if err != nil || order == "" {
			return err
		}
		err = c.checkLicensed(ctx, tx, strings.TrimPrefix(old.Holder, "firm:"))
		if errors.Is(err, errUnlicensed) {
			err = errLapsed
		}
		return err
	})
}

// noteFollower writes that a certificate of which the intent is being written comes
// from an order, as the one before it does.
func (c *CA) noteFollower(ctx context.Context, tx db.Tx, row *Certificate) error {
	if row.order == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_order_renewals (serial, cert_order, created_at) VALUES ($1, $2, $3)`, row.Serial, row.order, db.Micros(row.CreatedAt))
	return err
}

// RevokeUnlicensed revokes the certificates that were made for orders of firms whose
// business licence was revoked, and those that followed them, with the reason
// cessationOfOperation: the firm that they speak for has ceased. Replicas take turns;
// each certificate is a transaction of its own, and what a crash leaves is found
// again. A process looks at all of them once, and then at those of the last quarter of
// an hour.
//
// A licence that is suspended changes nothing here. The suspension is of what the firm
// may do, which is asked of the licence; who it is has not changed, and it must be able
// to sign in to answer and to appeal. Nor does one that is past its end: it may be
// renewed late.
func (c *CA) RevokeUnlicensed(ctx context.Context) error {
	if c.licensed == nil {
		return nil
	}
	mine, err := c.takeTurn(ctx, "unlicensed")
	if err != nil || !mine {
		return err
	}
	c.mu.Lock()
	after := Ended{At: c.endedSeen}
	c.mu.Unlock()
	begun := c.now()
	for {
		n, err := c.revokeEnded(ctx, &after)
		if err != nil {
			return fmt.Errorf("revoke certificates of unlicensed firms: %w", err)
		}
		if n < endedRows {
			break
		}
	}
	c.mu.Lock()
	c.endedSeen = begun.Add(-endedAgain)
	c.mu.Unlock()
	return nil
}

// revokeEnded does it for the next firms and returns how many there were.
func (c *CA) revokeEnded(ctx context.Context, after *Ended) (int, error) {
	var firms []Ended
	var serials []string
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		serials = nil
		if firms, err = c.licensed.EndedTx(ctx, tx, *after, endedRows); err != nil {
			return err
		}
		for _, f := range firms {
			list, err := orderedFor(ctx, tx, f.Firm, c.now())
			if err != nil {
				return err
			}
			serials = append(serials, list...)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, serial := range serials {
		err := c.revoke(ctx, revocation{serial: serial, reason: CessationOfOperation, actor: "system", cause: "business licence revoked"})
		if err != nil && fault.KindOf(err) != fault.Conflict { // somebody was faster
			return 0, err
		}
	}
	if len(firms) > 0 {
		*after = firms[len(firms)-1]
	}
	return len(firms), nil
}

// orderedFor returns the serial numbers of a firm's certificates in force, and held ones,
// that come from orders.
func orderedFor(ctx context.Context, tx db.Tx, firm string, now time.Time) (list []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT c.serial FROM ca_certificates c WHERE c.holder = $1 AND c.holder <> '' AND c.profile = $2 AND c.not_after > $3
		AND (c.status = 'issued' OR c.status = 'revoked' AND c.reason = $4)
		AND (EXISTS (SELECT 1 FROM ca_orders o WHERE o.firm = $5 AND o.request <> '' AND c.actor = $6 || o.request)
			OR EXISTS (SELECT 1 FROM ca_order_renewals r WHERE r.serial = c.serial)) ORDER BY c.serial`,
		"firm:"+firm, string(profile.Firm), db.Micros(now), int64(CertificateHold), firm, requestActor)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var serial string
		if err := rows.Scan(&serial); err != nil {
			return nil, err
		}
		list = append(list, serial)
	}
	return list, rows.Err()
}
