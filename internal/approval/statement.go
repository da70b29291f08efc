package approval

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// ApprovalOptions is what a page asks an authenticator for an approval with.
type ApprovalOptions struct {
	Challenge Bytes   `json:"challenge"`
	RPID      string  `json:"rp_id"`
	Allow     []Bytes `json:"allow"`   // the officer's passkeys for approvals
	Timeout   int64   `json:"timeout"` // milliseconds
}

// Statement returns the bytes that this approver signs, always the same for the
// same request and approver. It fails as Approve does for anybody who may not
// approve it, and with ErrChanged.
func (s *Service) Statement(ctx context.Context, id, approver string) ([]byte, error) {
	_, statement, err := s.approvable(ctx, id, approver)
	if err != nil {
		return nil, fmt.Errorf("make statement: %w", err)
	}
	return statement, nil
}

// BeginApproval returns the options for approving with a passkey. It fails as
// Statement does, and with kind Conflict for an officer without such a passkey.
func (s *Service) BeginApproval(ctx context.Context, id, approver string) (ApprovalOptions, error) {
	if s.passkeys == nil {
		return ApprovalOptions{}, errNoPasskeys
	}
	_, statement, err := s.approvable(ctx, id, approver)
	if err != nil {
		return ApprovalOptions{}, fmt.Errorf("begin approval: %w", err)
	}
	list, err := s.credentials(ctx, `person = $1 AND kind = $2 AND removed_at = 0 ORDER BY id`, approver, MethodPasskey)
	if err != nil {
		return ApprovalOptions{}, fmt.Errorf("begin approval: %w", err)
	}
	if len(list) == 0 {
		return ApprovalOptions{}, errNoKey
	}
	challenge := Challenge(statement)
	o := ApprovalOptions{Challenge: challenge[:], RPID: s.rpID, Timeout: challengeLife.Milliseconds()}
	for _, c := range list {
		o.Allow = append(o.Allow, c.handle)
	}
	return o, nil
}

// approvable returns a request that this person may approve now, resolved again,
// with its statement.
func (s *Service) approvable(ctx context.Context, id, approver string) (r Request, statement []byte, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		if r, err = s.findRequest(ctx, tx, id); err != nil {
			return err
		}
		return s.mayApprove(ctx, tx, r, approver)
	})
	if err != nil {
		return r, nil, err
	}
	if err := s.recheck(ctx, r); err != nil {
		return r, nil, err
	}
	statement, err = s.statementOf(r, approver).Encode()
	return r, statement, err
}

// mayApprove is the rule that two people stand behind a request.
func (s *Service) mayApprove(ctx context.Context, tx db.Tx, r Request, approver string) error {
	switch {
	case r.State != Open:
		return errDecided
	case !s.o.Now().Before(r.Expires):
		return errExpired
	case approver == r.Requester:
		return errOwn
	case approver == r.Subject:
		return errSubject
	}
	if err := wasOfficer(ctx, tx, approver, r.version); err != nil {
		return err
	}
	err := wasOfficer(ctx, tx, r.Requester, r.version)
	if errors.Is(err, errOfficer) || errors.Is(err, errLate) {
		return errGone
	}
	return err
}

// recheck resolves a request again. It fails with ErrChanged if that gives anything
// else than it did.
func (s *Service) recheck(ctx context.Context, r Request) error {
	o := s.operations[r.Kind]
	if o.Check == nil {
		return fault.New(fault.Unavailable, "this program does not know the operation")
	}
	resolved, _, err := o.check(ctx, r.Params)
	if err != nil && !permanent(err) {
		return err
	}
	if err != nil || !bytes.Equal(resolved, r.Resolved) {
		return errors.Join(ErrChanged, err)
	}
	return nil
}

func (s *Service) statementOf(r Request, approver string) Statement {
	return Statement{Kind: r.Kind, Resolved: r.Resolved, Request: r.ID, Requester: r.Requester, Approver: approver, Nonce: r.nonce,
		IssuedAt: r.Created.Unix(), Expires: r.Expires.Unix(), Origin: s.o.Issuer}
}
