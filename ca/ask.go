package ca

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Answer is what became of a request: a certificate, or a Pending with an ID.
type Answer struct {
	Certificate Certificate
	Pending     Pending
}

// Ask issues what is asked for or, if it waits, keeps it for an officer. An idempotency
// key stands for one act of its actor: the same request under it is answered with what
// the first became, also where that did not wait as this one would, because the
// policy has changed since. It fails as Issue and Submit do, and with kind Conflict
// for another request under the key.
func (c *CA) Ask(ctx context.Context, r Request, waits bool) (Answer, error) {
	if waits {
		p, err := c.Submit(ctx, r)
		if !errors.Is(err, errKeyMade) {
			return Answer{Pending: p}, err
		}
		cert, err := c.madeBefore(ctx, r)
		if err != nil {
			return Answer{}, err
		}
		return Answer{Certificate: cert}, nil
	}
	cert, err := c.Issue(ctx, r)
	if !errors.Is(err, errKeyWaits) {
		return Answer{Certificate: cert}, err
	}
	p, err := c.keptBefore(ctx, r)
	return Answer{Pending: p}, err
}

var (
	errKeyMade  = fault.New(fault.Conflict, "a certificate was asked for under this idempotency key")
	errKeyWaits = fault.New(fault.Conflict, "a request for an officer was made under this idempotency key")
)

// madeBefore returns the certificate that was made under the request's key.
func (c *CA) madeBefore(ctx context.Context, r Request) (Certificate, error) {
	_, made, err := c.hashes(ctx, r)
	var old Certificate
	if err == nil {
		old, err = c.repeated(ctx, r, made)
	}
	if err == nil && old.Serial == "" { // its intent came to nothing meanwhile
		err = errUnderWay
	}
	if err != nil {
		return Certificate{}, fmt.Errorf("find earlier request: %w", err)
	}
	return old, nil
}

// keptBefore returns the request that was submitted under the request's key.
func (c *CA) keptBefore(ctx context.Context, r Request) (Pending, error) {
	if r.CSR == nil {
		return Pending{}, errKeyUsed
	}
	csr, err := ParseCSR(r.Profile, r.CSR)
	if err != nil {
		return Pending{}, err
	}
	hash, err := r.hash(csr.PublicKey)
	if err != nil {
		return Pending{}, err
	}
	p, err := c.submitted(ctx, r, hash)
	if err == nil && p.ID == "" || errors.Is(err, errKeyMade) { // one of the two is about to give way
		return Pending{}, errUnderWay
	}
	return p, err
}

// hashes returns the names of a request as one that waits has it, and as a certificate
// has it, once host names and issuer are found.
func (c *CA) hashes(ctx context.Context, r Request) (kept, made []byte, err error) {
	csr, err := ParseCSR(r.Profile, r.CSR)
	if err != nil {
		return nil, nil, err
	}
	if kept, err = r.hash(csr.PublicKey); err != nil {
		return nil, nil, err
	}
	if r.Hosts, err = hosts(r.Hosts, csr); err != nil {
		return nil, nil, err
	}
	if _, err = c.place(ctx, &r); err != nil {
		return nil, nil, err
	}
	made, err = r.hash(csr.PublicKey)
	return kept, made, err
}

// checkUnmade fails with errKeyMade if the requester has a certificate, or one that is
// being made, under the key of a request that waits.
func checkUnmade(ctx context.Context, tx db.Tx, p *Pending) error {
	var made bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM ca_certificates WHERE actor = $1 AND request_key = $2)`,
		p.Request.Actor, p.Request.IdempotencyKey).Scan(&made)
	if err == nil && made {
		err = errKeyMade
	}
	return err
}

// keep writes a request that waits. On PostgreSQL a certificate under the same key may
// be on its way in a transaction that does not see this one, nor this one it. So it
// is looked at once more behind the commit: whoever stores a certificate looks too,
// and of two that have both written, one at least sees the other and takes itself
// back. If this process dies between the two, Decide finds it.
func (c *CA) keep(ctx context.Context, p *Pending) error {
	err := c.db.Update(ctx, func(tx db.Tx) error { return insertPending(ctx, tx, p) })
	if err != nil {
		return err
	}
	return c.takeBack(ctx, p)
}

// takeBack withdraws a request that was just kept, and fails with kind Unavailable, if
// there is a certificate under its key.
func (c *CA) takeBack(ctx context.Context, p *Pending) error {
	after := context.WithoutCancel(ctx)
	err := c.db.Read(after, func(tx db.Tx) error { return checkUnmade(after, tx, p) })
	if !errors.Is(err, errKeyMade) {
		return err
	}
	err = c.db.Update(after, func(tx db.Tx) error {
		q := *p
		return q.move(after, tx, pendingStep{from: Waiting, to: Withdrawn, actor: "system", now: c.now()})
	})
	return cmpErr(err, errUnderWay)
}
