package ca

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Decision is what an officer says to a request.
type Decision struct {
	Person  string // id of the officer in the registry
	Approve bool
	Reason  string // 1 to 500 bytes, for the requester and the log
	Key     string // of idempotency: the same decision under the same key is answered again
}

var (
	errNotOfficer = web.Refuse(fault.Denied, web.Text{ZH: "只有安全官可以审批申请", EN: "officers alone decide on requests"})
	errPartial    = web.Refuse(fault.Denied, web.Text{ZH: "申请人、该部门人员、证书所属本人及可以代表该企业的人应当回避，不能审批",
		EN: "whoever asked, works for the agency, is the person that it is about or acts for the firm does not decide"})
)

// Decide approves or rejects a request. Before approving, everything is checked again
// in full, as the registry, the lists and the rules are now; if anything is wrong the
// request waits on. What is approved is issued at once, or a little later by Run when
// the issuer's key is away or this process dies: see the state of what is returned.
// It fails with kind Denied for anybody who is no officer, who asked, who works for
// the agency, whom the certificate is about, or who acts for the firm or did since the
// request was submitted, NotFound, Conflict for a request that
// does not wait any more, and as Issue does.
func (c *CA) Decide(ctx context.Context, id string, d Decision) (Pending, error) {
	if !isText(d.Reason, 1, 500) || !isText(d.Key, 1, 128) {
		return Pending{}, fault.New(fault.Invalid, "the reason, or the idempotency key, is missing, too long or not printable")
	}
	p, err := c.decide(ctx, id, d)
	if err != nil {
		return Pending{}, fmt.Errorf("decide on request: %w", err)
	}
	return p, nil
}

func (c *CA) decide(ctx context.Context, id string, d Decision) (Pending, error) {
	if err := c.isOfficer(ctx, d.Person); err != nil {
		return Pending{}, err
	}
	p, err := c.Pending(ctx, id)
	if err != nil {
		return Pending{}, err
	}
	if p.State != Waiting || !c.now().Before(p.ExpiresAt) {
		approved := p.State == Approved || p.State == Made || p.State == Failed
		if p.Decider == d.Person && p.decideKey == d.Key && p.Reason == d.Reason && approved == d.Approve {
			return p, nil
		}
		return Pending{}, errDecided
	}
	if err := c.impartial(ctx, &p, d.Person); err != nil {
		return Pending{}, err
	}
	to := Rejected
	p.Decider, p.decideKey, p.Reason, p.DecidedAt = d.Person, d.Key, d.Reason, c.now()
	if d.Approve {
		to = Approved
		if err := c.Check(ctx, p.final()); err != nil {
			return Pending{}, err
		}
	}
	err = c.db.Update(ctx, func(tx db.Tx) error {
		if err := c.apart(ctx, tx, &p, d.Person); err != nil {
			return err
		}
		if d.Approve {
			if err := checkUnmade(ctx, tx, &p); err != nil {
				return err
			}
		}
		q := p // the closure may run twice
		return q.move(ctx, tx, pendingStep{from: Waiting, to: to, actor: "person:" + d.Person, now: p.DecidedAt})
	})
	if err != nil {
		return Pending{}, err
	}
	if p.State = to; to == Approved {
		return c.fulfil(context.WithoutCancel(ctx), p)
	}
	return p, nil
}

func (c *CA) isOfficer(ctx context.Context, person string) error {
	if c.officers == nil || c.holders == nil {
		return errNotOfficer
	}
	is, err := c.officers.IsOfficer(ctx, person)
	if err == nil && !is {
		err = errNotOfficer
	}
	return err
}

// impartial fails for an officer who has a part in the request.
func (c *CA) impartial(ctx context.Context, p *Pending, person string) error {
	r := &p.Request
	if r.Actor == "person:"+person || r.Person == person {
		return errPartial
	}
	posts, err := c.holders.PostsOf(ctx, person)
	if err == nil && r.Agency != "" && slices.ContainsFunc(posts, func(post registry.Post) bool { return post.Agency == r.Agency }) {
		err = errPartial
	}
	return err
}

// apart fails, in the transaction of the decision, for an officer who is the legal
// representative of the firm that the request is about, or held a delegation for it at
// any moment since it was submitted.
func (c *CA) apart(ctx context.Context, tx db.Tx, p *Pending, person string) error {
	if p.Request.Firm == "" {
		return nil
	}
	acted, err := c.holders.ActedFor(ctx, tx, person, p.Request.Firm, p.CreatedAt, p.DecidedAt)
	if err == nil && acted {
		err = errPartial
	}
	return err
}

// requestActor, with a request's id, is the actor of the certificate that is made of it.
const requestActor = "request:"

// final is what an approved request asks the issuer for. It is the same each time,
// so that a certificate that was made before a crash is found and not made twice.
func (p *Pending) final() Request {
	r := p.Request
	r.Actor, r.IdempotencyKey = requestActor+p.ID, "approved"
	if r.NotBefore.Before(p.DecidedAt) {
		r.NotBefore = time.Time{}
	}
	return r
}

// fulfil issues what was approved. What cannot be told yet stays approved, for Run.
func (c *CA) fulfil(ctx context.Context, p Pending) (Pending, error) {
	cert, err := c.Issue(ctx, p.final())
	to, actor := Made, "system"
	switch kind := fault.KindOf(err); {
	case err == nil:
		p.Serial = cert.Serial
	case kind == fault.Unavailable || kind == fault.Internal:
		c.log.WarnContext(ctx, "approved request waits", slog.String("request", p.ID), slog.Any("cause", err))
		return p, nil
	default:
		to, p.Note = Failed, fault.Public(err)
	}
	err = c.db.Update(ctx, func(tx db.Tx) error {
		q := p
		return q.move(ctx, tx, pendingStep{from: Approved, to: to, actor: actor, now: c.now()})
	})
	if errors.Is(err, errDecided) { // another replica did the same
		return c.Pending(ctx, p.ID)
	}
	if err != nil {
		c.log.WarnContext(ctx, "approved request not completed yet", slog.String("request", p.ID), slog.Any("cause", err))
		return p, nil
	}
	p.State = to
	return p, nil
}

// Conditions in the words of the partial index of what is open.
const (
	whereWaiting  = `state = 'waiting' AND state IN ('waiting', 'approved')`
	whereCounted  = whereWaiting + ` AND agency = $1 AND (agency <> '' OR requester = $2)`
	whereOld      = whereWaiting + ` AND expires_at <= $1 ORDER BY id LIMIT 100`
	whereApproved = `state = 'approved' AND state IN ('waiting', 'approved') AND changed_at <= $1 ORDER BY id LIMIT 100`
)

// SweepRequests ends requests that nobody decided on, and issues what was approved
// by a process that did not come to it. Any number of replicas may run it.
func (c *CA) SweepRequests(ctx context.Context) error {
	now := c.now()
	var old, approved []Pending
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		if old, err = listPending(ctx, tx, whereOld, db.Micros(now)); err != nil {
			return err
		}
		approved, err = listPending(ctx, tx, whereApproved, db.Micros(now.Add(-patience)))
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep requests: %w", err)
	}
	var errs []error
	for _, p := range old {
		err := c.db.Update(ctx, func(tx db.Tx) error {
			q := p
			return q.move(ctx, tx, pendingStep{from: Waiting, to: Expired, actor: "system", now: now})
		})
		if err != nil && !errors.Is(err, errDecided) {
			errs = append(errs, fmt.Errorf("sweep requests: %w", err))
		}
	}
	for _, p := range approved {
		if _, err := c.fulfil(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("sweep requests: %w", err))
		}
	}
	return errors.Join(errs...)
}
