package ca

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// OrderedTx returns for which firm, by its USCC, a certificate was ordered under an id,
// "" if there is no such order.
func (c *CA) OrderedTx(ctx context.Context, tx db.Tx, id string) (firm string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT firm FROM ca_orders WHERE id = $1`, id).Scan(&firm)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return firm, err
}

// orderRow is an order with what it names.
type orderRow struct {
	Order
	request Pending     // without id: not there
	made    Certificate // without serial: not there
	ordered int         // events that say that it was ordered
	brought bool        // an event names its request
}

// CheckOrders looks at every order again: its firm is in the register, the request that
// was brought is there, asks for that firm's certificate, and, once it is issued, names
// a certificate of that firm, and the log holds when it was ordered and used. Each
// problem goes to report. It returns how many orders it read.
func (c *CA) CheckOrders(ctx context.Context, report func(id, problem string)) (n int, err error) {
	for after := ""; ; {
		page, err := c.orderPage(ctx, after)
		if err != nil {
			return n, fmt.Errorf("check orders: %w", err)
		}
		for _, o := range page {
			after = o.ID
			there, err := c.firmThere(ctx, o.Firm)
			if err != nil {
				return n, fmt.Errorf("check orders: %w", err)
			}
			if !there {
				report(o.ID, "names a firm that is not in the register")
			}
			for _, problem := range o.problems() {
				report(o.ID, problem)
			}
		}
		if n += len(page); len(page) < auditRows {
			return n, nil
		}
	}
}

func (c *CA) firmThere(ctx context.Context, firm string) (bool, error) {
	if c.holders == nil {
		return false, nil
	}
	_, err := c.holders.FindFirm(ctx, firm)
	if err != nil && (fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Invalid) {
		return false, nil
	}
	return err == nil, err
}

// orderPage reads the orders after an id with what they name.
func (c *CA) orderPage(ctx context.Context, after string) (page []orderRow, err error) {
	err = c.db.Read(ctx, func(tx db.Tx) error {
		list, err := listOrders(ctx, tx, `id > $1 ORDER BY id LIMIT $2`, after, auditRows)
		if err != nil {
			return err
		}
		page = make([]orderRow, len(list))
		for i, o := range list {
			page[i].Order = o
			if err := page[i].read(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	return page, err
}

// read reads what the order names.
func (o *orderRow) read(ctx context.Context, tx db.Tx) error {
	records, err := audit.Find(ctx, tx, audit.EventFilter{Object: "certificate-order:" + o.ID})
	if err != nil {
		return err
	}
	for _, r := range records {
		switch r.Kind {
		case "certificate.order.make":
			o.ordered++
		case "certificate.order.redeem":
			o.brought = o.brought || r.Data["request"] == o.Request
		}
	}
	if o.Request == "" {
		return nil
	}
	o.request, err = findPending(ctx, tx, `id = $1`, o.Request)
	if errors.Is(err, errNoRequest) {
		return nil
	}
	if err != nil || o.request.Serial == "" {
		return err
	}
	found, err := listCertificates(ctx, tx, `serial = $1`, o.request.Serial)
	if err == nil && len(found) == 1 {
		o.made = found[0]
	}
	return err
}

// problems says what is wrong with an order. A request that is approved will be issued
// or fail in a moment, and one that failed leaves the order open.
func (o *orderRow) problems() (problems []string) {
	if o.ordered != 1 {
		problems = append(problems, fmt.Sprintf("was ordered %d times by the log, want once", o.ordered))
	}
	if o.Request == "" {
		return problems
	}
	if !o.brought {
		problems = append(problems, "has no event of its request")
	}
	p := &o.request
	switch {
	case p.ID == "":
		return append(problems, "names a request that there is none of")
	case p.Request.Firm != o.Firm || p.Request.Profile != profile.Firm:
		return append(problems, "names a request that is not for its firm's certificate")
	case p.State != Approved && p.State != Made && p.State != Failed:
		return append(problems, "names a request that is "+string(p.State))
	case p.State != Made:
		return problems
	case o.made.Serial == "" || o.made.Status != Issued && o.made.Status != Revoked:
		return append(problems, "is used, and its certificate is not there")
	case o.made.Holder != "firm:"+o.Firm || o.made.Profile != profile.Firm:
		return append(problems, "is used, and its certificate is not its firm's")
	}
	return problems
}
