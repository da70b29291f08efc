package ca

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// orderLife is how long a firm has to bring its certificate request: afterwards an
// officer decides, as on any other.
const orderLife = 90 * 24 * time.Hour

const maxOrders = 100 // of a firm in a list

// Order is a sign-in certificate that was ordered for a firm together with something
// else that was decided on, so that no officer decides once more. It is good for one
// certificate: whoever acts for the firm brings the request with its key.
type Order struct {
	ID      string
	Firm    string // USCC
	Actor   string // who ordered it
	Request string // id of the Pending that was brought, "" for none yet

	CreatedAt, ExpiresAt time.Time
}

// ErrNoOrder is returned for an order that there is none of.
var ErrNoOrder = fault.New(fault.NotFound, "no such order")

var (
	errOrderUsed = web.Refuse(fault.Conflict, web.Text{ZH: "此预订单已提交过其他证书请求", EN: "another certificate request was brought for this order"})
	errOrderOver = web.Refuse(fault.Conflict, web.Text{ZH: "此预订单已过期", EN: "the order has expired"})
)

// OrderTx orders a sign-in certificate for a firm in the caller's transaction, under an
// id that the caller made (db.NewID), with its event. Whether the firm is there is the
// caller's to know, and looked at when the request is brought.
func (c *CA) OrderTx(ctx context.Context, tx db.Tx, id, actor, firm string) error {
	now := c.now()
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_orders (id, firm, actor, created_at, expires_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, firm, actor, db.Micros(now), db.Micros(now.Add(orderLife)), db.Micros(now))
	if err == nil {
		err = orderEvent(ctx, tx, "make", actor, id, map[string]any{"firm": firm, "until": now.Add(orderLife).Unix()})
	}
	if err != nil {
		return fmt.Errorf("order certificate: %w", err)
	}
	return nil
}

func orderEvent(ctx context.Context, tx db.Tx, step, actor, id string, data map[string]any) error {
	_, err := audit.Append(ctx, tx, audit.Event{Kind: "certificate.order." + step, Actor: actor, Object: "certificate-order:" + id, Data: data})
	return err
}

const orderColumns = `id, firm, actor, request, created_at, expires_at`

func scanOrder(scan func(...any) error) (o Order, err error) {
	var created, expires int64
	err = scan(&o.ID, &o.Firm, &o.Actor, &o.Request, &created, &expires)
	o.CreatedAt, o.ExpiresAt = db.Time(created), db.Time(expires)
	return o, err
}

// FindOrder returns an order. It fails with ErrNoOrder.
func (c *CA) FindOrder(ctx context.Context, id string) (o Order, err error) {
	if !isText(id, 1, 64) { // such as PostgreSQL does not look for
		return o, ErrNoOrder
	}
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		o, err = scanOrder(tx.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM ca_orders WHERE id = $1`, id).Scan)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, ErrNoOrder
	}
	if err != nil {
		return Order{}, fmt.Errorf("find order: %w", err)
	}
	return o, nil
}

// OrdersOf returns the newest hundred orders of a firm, the newest first.
func (c *CA) OrdersOf(ctx context.Context, firm string) (list []Order, err error) {
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		list, err = listOrders(ctx, tx, `firm = $1 ORDER BY id DESC LIMIT $2`, firm, maxOrders)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return list, nil
}

func listOrders(ctx context.Context, tx db.Tx, where string, args ...any) (list []Order, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+orderColumns+` FROM ca_orders WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		o, err := scanOrder(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// Redeem brings the certificate request for an order and returns what became of it:
// issued, or approved and about to be (see Decide). It is checked in full as any other,
// and the order stands until one was accepted, also after one that could not be issued
// in the end. The same key for the same order gives the same certificate, whoever
// brings it. It fails with kind NotFound, Conflict for an order that has expired, that
// was used with another key, or whose firm has no business licence in force, and as
// Issue does.
func (c *CA) Redeem(ctx context.Context, id, actor string, csr []byte) (Pending, error) {
	p, err := c.redeem(ctx, id, actor, csr)
	if err != nil {
		return Pending{}, fmt.Errorf("redeem order: %w", err)
	}
	return p, nil
}

func (c *CA) redeem(ctx context.Context, id, actor string, csr []byte) (Pending, error) {
	o, err := c.FindOrder(ctx, id)
	if err != nil {
		return Pending{}, err
	}
	parsed, err := ParseCSR(profile.Firm, csr)
	if err != nil {
		return Pending{}, err
	}
	r := Request{Profile: profile.Firm, Firm: o.Firm, CSR: parsed.Raw, Actor: actor}
	hash, err := r.hash(parsed.PublicKey)
	if err != nil {
		return Pending{}, err
	}
	if p, done, err := c.redeemed(ctx, o, hash); done || err != nil {
		return p, err
	}
	if !c.now().Before(o.ExpiresAt) {
		return Pending{}, errOrderOver
	}
	if err := c.Check(ctx, r); err != nil {
		return Pending{}, err
	}
	p := o.approved(r, hash, c.now())
	var won bool
	err = c.db.Update(ctx, func(tx db.Tx) (err error) {
		if err := c.checkLicensed(ctx, tx, o.Firm); err != nil {
			return err
		}
		won, err = o.take(ctx, tx, p)
		return err
	})
	if err != nil {
		return Pending{}, err
	}
	if !won { // by another request, perhaps the same one
		if o, err = c.FindOrder(ctx, id); err != nil {
			return Pending{}, err
		}
		p, done, err := c.redeemed(ctx, o, hash)
		if err == nil && !done {
			err = errOrderUsed
		}
		return p, err
	}
	p.State = Approved
	return c.fulfil(context.WithoutCancel(ctx), p)
}

// redeemed returns what became of the request that was brought before. It is not done
// while there is none, or while it could not be issued; it fails for another key's.
func (c *CA) redeemed(ctx context.Context, o Order, hash []byte) (p Pending, done bool, err error) {
	if o.Request == "" {
		return p, false, nil
	}
	if p, err = c.Pending(ctx, o.Request); err != nil {
		return p, false, err
	}
	switch {
	case p.State == Failed:
		return Pending{}, false, nil
	case !bytes.Equal(p.hash, hash):
		return Pending{}, false, errOrderUsed
	case p.State == Approved: // by somebody who did not come to issuing it
		p, err = c.fulfil(context.WithoutCancel(ctx), p)
	}
	return p, err == nil, err
}

// approved returns the request that is brought now. Whoever ordered has decided on it.
func (o Order) approved(r Request, hash []byte, now time.Time) Pending {
	// A failed request leaves the order open, and the next one has a key of its own.
	r.IdempotencyKey = "order:" + o.ID + ":" + o.Request
	p := Pending{ID: db.NewID(), Request: r, State: Waiting, Reason: "ordered", CreatedAt: now, ExpiresAt: now.Add(pendingLife), DecidedAt: now, hash: hash}
	if person, ok := strings.CutPrefix(o.Actor, "person:"); ok {
		p.Decider = person
	}
	return p
}

// take puts an approved request in the place of the one that the order has, by
// compare-and-swap, and reports whether it did. Losing is no error: the transaction
// then commits, so that what it lost to can be read afterwards.
func (o Order) take(ctx context.Context, tx db.Tx, p Pending) (won bool, err error) {
	res, err := tx.ExecContext(ctx, `UPDATE ca_orders SET request = $1, changed_at = $2 WHERE id = $3 AND request = $4`, p.ID, db.Micros(p.DecidedAt), o.ID, o.Request)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return false, err
	}
	if err := insertPending(ctx, tx, &p); err != nil {
		return false, err
	}
	if err := p.move(ctx, tx, pendingStep{from: Waiting, to: Approved, actor: o.Actor, now: p.DecidedAt}); err != nil {
		return false, err
	}
	return true, orderEvent(ctx, tx, "redeem", p.Request.Actor, o.ID, map[string]any{"firm": o.Firm, "request": p.ID})
}
