package approval

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json/v2"
	"errors"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Proof is an approver's signature over the statement: one of the two.
type Proof struct {
	Passkey *Assertion // of a passkey for approvals
	COSE    []byte     // COSE_Sign1 with detached payload, see SignCOSE
}

// Encode returns the method and the bytes as they are kept: the JSON of the
// assertion, or the COSE_Sign1. It fails with kind Invalid unless exactly one is
// given.
func (p Proof) Encode() (method string, b []byte, err error) {
	switch {
	case p.Passkey != nil && p.COSE == nil:
		b, err = json.Marshal(p.Passkey)
		return MethodPasskey, b, err
	case p.Passkey == nil && p.COSE != nil:
		return MethodKey, p.COSE, nil
	default:
		return "", nil, fault.New(fault.Invalid, "an approval has one signature, by a passkey or by a key")
	}
}

// ErrChanged says that the request would do something else now than when it was
// made. It will never be run.
var ErrChanged = web.Refuse(fault.Conflict, web.Text{ZH: "情况已发生变化，请重新提出申请。", EN: "the situation has changed: make a new request"})

var (
	errDecided = web.Refuse(fault.Conflict, web.Text{ZH: "此申请已有决定。", EN: "the request has been decided already"})
	errExpired = web.Refuse(fault.Conflict, web.Text{ZH: "此申请已过期，请重新提出。", EN: "the request has expired: make a new one"})
	errOwn     = web.Refuse(fault.Denied, web.Text{ZH: "不能批准自己提出的申请。", EN: "nobody approves their own request"})
	errLate    = web.Refuse(fault.Denied, web.Text{ZH: "提出申请时您尚未担任安全官，不能批准。",
		EN: "only who was an officer when the request was made may approve it"})
	errGone  = web.Refuse(fault.Conflict, web.Text{ZH: "申请人已不再担任安全官。", EN: "the requester is no longer an officer"})
	errProof = web.Refuse(fault.Denied, web.Text{ZH: "签名未通过验证。", EN: "the signature was not accepted"})
	errNoKey = web.Refuse(fault.Conflict, web.Text{ZH: "您尚未登记用于批准的通行密钥。", EN: "you have no passkey for approvals yet"})
)

// Approve takes an officer's signature over the statement, and runs the request.
// What became of it stands in the answer's State: Done, Failed with its Note, or
// Approved where a part was away and Sweep will go on. Sending the same proof again
// returns the request as it stands.
//
// It fails with kind Denied for anybody who is no officer or was none when the
// request was made, for the requester, for the subject, and for a proof that is not
// the approver's over this statement; with kind Conflict for a request that was
// decided or has expired; and with ErrChanged, after which it has failed for good.
func (s *Service) Approve(ctx context.Context, id, approver string, proof Proof) (Request, error) {
	r, token, err := s.approve(ctx, id, approver, proof)
	if err != nil {
		return Request{}, fmt.Errorf("approve request: %w", err)
	}
	if token != "" {
		s.execute(ctx, r.ID, token)
	}
	return s.Find(ctx, id)
}

// approve stores an approval. The token is for its run, "" if there is none.
func (s *Service) approve(ctx context.Context, id, approver string, proof Proof) (r Request, token string, err error) {
	method, encoded, err := proof.Encode()
	if err != nil {
		return r, "", err
	}
	if r, err = s.Find(ctx, id); err != nil {
		return r, "", err
	}
	if r.State != Open && r.Decider == approver && r.Method == method && bytes.Equal(r.Proof, encoded) {
		return r, "", nil
	}
	known, used, err := s.checkProof(ctx, &r, approver, proof)
	if err != nil {
		s.metrics.refused.WithLabelValues(reasonOf(err)).Inc()
		return r, "", err
	}
	if err := s.recheck(ctx, r); err != nil {
		if errors.Is(err, ErrChanged) {
			err = errors.Join(err, s.failOpen(ctx, r))
		}
		return r, "", err
	}
	r.Method, r.Proof, r.Credential = method, encoded, known.ID
	token, now := db.NewID(), s.o.Now()
	err = s.o.DB.Update(ctx, func(tx db.Tx) error { return s.storeApproval(ctx, tx, r, approval{approver, known, used, token, now}) })
	if err != nil {
		s.metrics.refused.WithLabelValues(reasonOf(err)).Inc()
		return r, "", err
	}
	s.metrics.became(Approved)
	return r, token, nil
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, errCopied):
		return reasonCopied
	case errors.Is(err, errProof):
		return reasonProof
	case fault.KindOf(err) == fault.Denied:
		return reasonPolicy
	default:
		return reasonState
	}
}

// checkProof verifies a proof over the statement that the database gives, which it
// leaves in r. used is the passkey's counter from now on.
func (s *Service) checkProof(ctx context.Context, r *Request, approver string, proof Proof) (known credential, used uint32, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error { return s.mayApprove(ctx, tx, *r, approver) })
	if err != nil {
		return known, 0, err
	}
	if r.Statement, err = s.statementOf(*r, approver).Encode(); err != nil {
		return known, 0, err
	}
	if proof.Passkey != nil {
		return s.checkPasskey(ctx, *r, approver, *proof.Passkey)
	}
	return s.checkCOSE(ctx, *r, approver, proof.COSE)
}

// approval is what is stored with a request that was approved.
type approval struct {
	approver string
	known    credential
	used     uint32
	token    string
	now      time.Time
}

func (s *Service) storeApproval(ctx context.Context, tx db.Tx, r Request, a approval) error {
	if _, err := lock(ctx, tx); err != nil {
		return err
	}
	if err := s.mayApprove(ctx, tx, r, a.approver); err != nil {
		return err
	}
	// The first lease is this process's.
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE approval_requests SET state = 'approved', decider = $2, decided_at = $3, statement = $4, method = $5,
		proof = $6, credential = $7, runner = $8, leased_until = $9, attempts = 1 WHERE id = $1 AND state = 'open'`,
		r.ID, a.approver, db.Micros(a.now), r.Statement, r.Method, r.Proof, r.Credential, a.token, db.Micros(a.now.Add(leaseLife))))
	if err != nil {
		return err
	}
	if !ok {
		return errDecided
	}
	// Of two answers at once with one counter, one is refused.
	ok, err = db.Changed(tx.ExecContext(ctx, `UPDATE officer_credentials SET sign_count = $3, used_at = $4 WHERE id = $1 AND sign_count = $2 AND removed_at = 0`,
		a.known.ID, int64(a.known.signCount), int64(a.used), db.Micros(a.now)))
	if err != nil {
		return err
	}
	if !ok {
		return errProof
	}
	return appendEvidence(ctx, tx, "approval.approve", actorOf(a.approver), r)
}

// maxInline is the longest statement that stands in its event as a whole; of a
// longer one it is the hash, and the statement stands in the table.
const maxInline = 8 << 10

// evidence is what an event says about a statement and what was signed under it.
func evidence(r Request) map[string]any {
	hash := sha256.Sum256(r.Statement)
	data := map[string]any{"kind": r.Kind, "method": r.Method, "credential": r.Credential, "proof": r.Proof, "statement_sha256": hash[:]}
	if len(r.Statement) <= maxInline {
		data["statement"] = r.Statement
	}
	return data
}

func appendEvidence(ctx context.Context, tx db.Tx, kind, actor string, r Request) error {
	_, err := audit.Append(ctx, tx, audit.Event{Kind: kind, Actor: actor, Object: r.object(), Data: evidence(r)})
	return err
}

func (s *Service) credentials(ctx context.Context, where string, args ...any) (list []credential, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		list, err = readCredentials(ctx, tx, where, args...)
		return err
	})
	return list, err
}
