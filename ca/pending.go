package ca

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// PendingState is where a request that an officer decides on stands.
type PendingState string

// The states. Only the first two change again.
const (
	Waiting   PendingState = "waiting"
	Approved  PendingState = "approved" // the certificate is being made
	Made      PendingState = "issued"
	Rejected  PendingState = "rejected"
	Withdrawn PendingState = "withdrawn"
	Expired   PendingState = "expired" // nobody decided
	Failed    PendingState = "failed"  // approved, but what was asked for cannot be issued any more
)

// Bounds of what waits.
const (
	pendingLife = 30 * 24 * time.Hour
	maxWaiting  = 100 // of one agency, or of one requester for those who have none
)

// Pending is a request that an officer decides on.
type Pending struct {
	ID      string
	Request Request // with its CSR; Actor is who asked
	State   PendingState
	Decider string // id of the officer in the registry
	Reason  string // the officer's
	Note    string // why it failed, safe for the public
	Serial  string // of the certificate, once it is made

	CreatedAt, ExpiresAt time.Time
	DecidedAt            time.Time // zero: not decided

	hash      []byte
	decideKey string
}

// Officers says who decides. internal/approval provides it.
type Officers interface {
	// IsOfficer reports whether a person of the registry is an officer now.
	IsOfficer(ctx context.Context, person string) (bool, error)
	// Caller returns which officer signed a call; it fails with kind Denied for none.
	Caller(r *http.Request) (person string, err error)
}

var (
	errNoRequest = fault.New(fault.NotFound, "no such request")
	errDecided   = web.Refuse(fault.Conflict, web.Text{ZH: "该申请已审批、撤回或过期", EN: "the request is decided, withdrawn or expired"})
	errMany      = web.Refuse(fault.Conflict, web.Text{ZH: "等待审批的申请过多，请稍后再提交", EN: "too many requests wait for an officer already"})
)

// NeedsApproval reports whether a request for the profile waits for an officer.
func (c *CA) NeedsApproval(kind profile.Kind) bool { return c.profiles[kind].NeedsApproval(kind) }

// Submit keeps a request for an officer to decide on, after it was checked as if it
// were to be issued now. The same request of the same actor under the same key is
// answered with what became of the first. It fails as Issue does, with kind Invalid
// for one that brings no CSR or no idempotency key, and Conflict while a hundred wait,
// or where a certificate was asked for under the key.
func (c *CA) Submit(ctx context.Context, r Request) (Pending, error) {
	if r.CSR == nil || r.IdempotencyKey == "" {
		return Pending{}, fault.New(fault.Invalid, "a request that waits needs a certificate request and an idempotency key")
	}
	p, err := c.submit(ctx, r)
	if err != nil {
		return Pending{}, fmt.Errorf("submit request: %w", err)
	}
	return p, nil
}

func (c *CA) submit(ctx context.Context, r Request) (Pending, error) {
	csr, err := ParseCSR(r.Profile, r.CSR)
	if err != nil {
		return Pending{}, err
	}
	r.CSR = csr.Raw
	hash, err := r.hash(csr.PublicKey)
	if err != nil {
		return Pending{}, err
	}
	if old, err := c.submitted(ctx, r, hash); err != nil || old.ID != "" {
		return old, err
	}
	// Under the key of what waits there is no certificate: Check must not find one.
	now := r
	now.IdempotencyKey = ""
	if err := c.Check(ctx, now); err != nil {
		return Pending{}, err
	}
	at := c.now()
	p := Pending{ID: db.NewID(), Request: r, State: Waiting, CreatedAt: at, ExpiresAt: at.Add(pendingLife), hash: hash}
	err = c.keep(ctx, &p)
	if db.IsUnique(err) { // the same call, at the same time
		return c.submitted(ctx, r, hash)
	}
	return p, err
}

// submitted returns what the actor submitted under the same key, without ID for
// nothing.
func (c *CA) submitted(ctx context.Context, r Request, hash []byte) (p Pending, err error) {
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		p, err = findPending(ctx, tx, `requester = $1 AND request_key = $2`, r.Actor, r.IdempotencyKey)
		if err == nil && p.State == Waiting { // whoever keeps it may be about to take it back
			err = checkUnmade(ctx, tx, &p)
		}
		return err
	})
	switch {
	case errors.Is(err, errNoRequest):
		return Pending{}, nil
	case err == nil && !bytes.Equal(p.hash, hash):
		return Pending{}, fault.New(fault.Conflict, "the idempotency key was used for another request")
	}
	return p, err
}

// Pending returns a request. It fails with kind NotFound.
func (c *CA) Pending(ctx context.Context, id string) (p Pending, err error) {
	if !isText(id, 1, 64) { // such as PostgreSQL does not look for
		return p, fmt.Errorf("find request: %w", errNoRequest)
	}
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		p, err = findPending(ctx, tx, `id = $1`, id)
		return err
	})
	if err != nil {
		return Pending{}, fmt.Errorf("find request: %w", err)
	}
	return p, nil
}

// PendingFilter says which requests ListPending returns. Empty fields do not
// restrict.
type PendingFilter struct {
	Agency string
	State  PendingState
	Before string // only those made before the one with this id
	Limit  int    // at most so many; 0, and everything over 100, means 100
}

// where returns the condition of a filter, its order and its limit. It says no more than
// it must: SQLite uses an index for what is compared, and not for what may be.
func (f PendingFilter) where() (where string, args []any) {
	and := func(condition string, value any) {
		args = append(args, value)
		where += fmt.Sprintf(condition, len(args)) + " AND "
	}
	switch {
	case f.State == Waiting && f.Agency == "":
		where = whereWaiting + " AND "
	case f.State != "":
		and("state = $%d", string(f.State))
	}
	if f.Agency != "" {
		and("agency = $%d", f.Agency)
	}
	if f.Before != "" {
		and("id < $%d", f.Before)
	}
	args = append(args, f.Limit)
	return where + fmt.Sprintf("1 = 1 ORDER BY id DESC LIMIT $%d", len(args)), args
}

// ListPending returns requests, the newest first. It fails with kind Invalid for a
// filter that is no text.
func (c *CA) ListPending(ctx context.Context, f PendingFilter) (list []Pending, err error) {
	if !isText(f.Agency, 0, 128) || !isText(f.Before, 0, 64) {
		return nil, fault.New(fault.Invalid, "the agency or the place is too long or not printable")
	}
	if f.Limit <= 0 || f.Limit > 100 {
		f.Limit = 100
	}
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		where, args := f.where()
		list, err = listPending(ctx, tx, where, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	return list, nil
}

// Withdraw takes back a request that waits. Repeating it changes nothing. It fails
// with kind NotFound, and Conflict for one that is decided.
func (c *CA) Withdraw(ctx context.Context, id, actor string) (p Pending, err error) {
	if !isText(actor, 1, 128) {
		return p, fault.New(fault.Invalid, "the actor is missing, too long or not printable")
	}
	if !isText(id, 1, 64) {
		return p, fmt.Errorf("withdraw request: %w", errNoRequest)
	}
	err = c.db.Update(ctx, func(tx db.Tx) (err error) {
		if p, err = findPending(ctx, tx, `id = $1`, id); err != nil || p.State == Withdrawn {
			return err
		}
		if p.State != Waiting {
			return errDecided
		}
		return p.move(ctx, tx, pendingStep{from: Waiting, to: Withdrawn, actor: actor, now: c.now()})
	})
	if err != nil {
		return Pending{}, fmt.Errorf("withdraw request: %w", err)
	}
	return p, nil
}

// event describes a step of a request. It names nobody.
func (p *Pending) event(step, actor string) audit.Event {
	return audit.Event{Kind: "certificate.request." + step, Actor: actor, Object: "certificate-request:" + p.ID, Data: map[string]any{
		"profile": string(p.Request.Profile), "agency": p.Request.Agency, "holder": p.Request.holder(), "serial": p.Serial}}
}
