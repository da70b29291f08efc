package ca

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

const pendingColumns = `id, agency, profile, firm, person, issuer, name, hosts, csr, not_before, not_after, renews, state, requester, request_key, request_hash,
	decider, decide_key, reason, note, serial, created_at, expires_at, decided_at`

func scanPending(scan func(...any) error) (p Pending, err error) {
	var hosts string
	var notBefore, notAfter, created, expires, decided int64
	r := &p.Request
	err = scan(&p.ID, &r.Agency, &r.Profile, &r.Firm, &r.Person, &r.Issuer, &r.Name, &hosts, &r.CSR, &notBefore, &notAfter, &r.Renews, &p.State, &r.Actor, &r.IdempotencyKey, &p.hash,
		&p.Decider, &p.decideKey, &p.Reason, &p.Note, &p.Serial, &created, &expires, &decided)
	if hosts != "" {
		r.Hosts = strings.Fields(hosts)
	}
	r.NotBefore, r.NotAfter = db.Time(notBefore), db.Time(notAfter)
	p.CreatedAt, p.ExpiresAt, p.DecidedAt = db.Time(created), db.Time(expires), db.Time(decided)
	return p, err
}

// findPending returns the row that the condition selects, errNoRequest for none.
func findPending(ctx context.Context, tx db.Tx, where string, args ...any) (Pending, error) {
	p, err := scanPending(tx.QueryRowContext(ctx, `SELECT `+pendingColumns+` FROM ca_requests WHERE `+where, args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Pending{}, errNoRequest
	}
	return p, err
}

func listPending(ctx context.Context, tx db.Tx, where string, args ...any) (list []Pending, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+pendingColumns+` FROM ca_requests WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		p, err := scanPending(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// insertPending writes a request that waits, with its event, unless too many do.
func insertPending(ctx context.Context, tx db.Tx, p *Pending) error {
	r := &p.Request
	if err := checkUnmade(ctx, tx, p); err != nil {
		return err
	}
	var waiting int64
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM ca_requests WHERE `+whereCounted, r.Agency, r.Actor).Scan(&waiting)
	if err != nil {
		return err
	}
	if waiting >= maxWaiting {
		return errMany
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO ca_requests (id, agency, profile, firm, person, issuer, name, hosts, csr, not_before, not_after, state,
		requester, request_key, request_hash, created_at, expires_at, changed_at, renews)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'waiting', $12, $13, $14, $15, $16, $15, $17)`,
		p.ID, r.Agency, string(r.Profile), r.Firm, r.Person, r.Issuer, r.Name, strings.Join(r.Hosts, " "), r.CSR, db.Micros(r.NotBefore), db.Micros(r.NotAfter),
		r.Actor, r.IdempotencyKey, p.hash, db.Micros(p.CreatedAt), db.Micros(p.ExpiresAt), r.Renews)
	if err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, p.event("submit", r.Actor))
	return err
}

// pendingStep is one change of state.
type pendingStep struct {
	from, to PendingState
	actor    string
	now      time.Time
}

// steps are the events' words for what leads to a state.
var steps = map[PendingState]string{Approved: "approve", Made: "issue", Rejected: "reject", Withdrawn: "withdraw", Expired: "expire", Failed: "fail"}

// move takes a request from one state to another by compare-and-swap, with what p
// says of it, and its event. It fails with errDecided if somebody was faster.
func (p *Pending) move(ctx context.Context, tx db.Tx, s pendingStep) error {
	res, err := tx.ExecContext(ctx, `UPDATE ca_requests SET state = $1, decider = $2, decide_key = $3, reason = $4, note = $5, serial = $6, decided_at = $7, changed_at = $8
		WHERE id = $9 AND state = $10`, string(s.to), p.Decider, p.decideKey, p.Reason, p.Note, p.Serial, db.Micros(p.DecidedAt), db.Micros(s.now), p.ID, string(s.from))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return cmpErr(err, errDecided)
	}
	p.State = s.to
	_, err = audit.Append(ctx, tx, p.event(steps[s.to], s.actor))
	return err
}
