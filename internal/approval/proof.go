package approval

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// errCopied refuses a passkey whose counter fell.
var errCopied = web.Refuse(fault.Denied, web.Text{ZH: "此通行密钥可能已被复制，已拒绝。请将其移除并重新登记。",
	EN: "this passkey may have been copied and was refused: remove it and enrol another"})

// refuseProof says nothing about what is wrong with a proof: nobody learns which
// credentials exist.
func refuseProof(cause error) error { return fmt.Errorf("%w: %w", errProof, cause) }

// checkPasskey verifies an assertion by one of the approver's own passkeys for
// approvals. A passkey for signing in is not among them.
func (s *Service) checkPasskey(ctx context.Context, r Request, approver string, a Assertion) (known credential, used uint32, err error) {
	if s.passkeys == nil {
		return known, 0, errNoPasskeys
	}
	list, err := s.credentials(ctx, `handle = $1 AND person = $2 AND kind = $3 AND removed_at = 0`, []byte(a.ID), approver, MethodPasskey)
	if err != nil {
		return known, 0, err
	}
	if len(list) == 0 || list[0].rpID != s.rpID {
		return known, 0, refuseProof(errors.New("not a passkey of theirs for approvals"))
	}
	known = list[0]
	parsed, err := verifyPasskey(r.Statement, a, known.publicKey, known.rpID, s.o.Issuer)
	if err != nil {
		return known, 0, refuseProof(err)
	}
	if parsed.Response.AuthenticatorData.Flags.HasBackupEligible() != known.Synced {
		return known, 0, refuseProof(errors.New("another kind of passkey than was enrolled"))
	}
	if err := s.checkHandle(ctx, approver, a.UserHandle); err != nil {
		return known, 0, err
	}
	used = parsed.Response.AuthenticatorData.Counter
	if used <= known.signCount && (used != 0 || known.signCount != 0) {
		return known, 0, s.refuseCopy(ctx, known)
	}
	return known, used, nil
}

// checkHandle refuses an assertion that names somebody else. Only a discoverable
// passkey names anybody.
func (s *Service) checkHandle(ctx context.Context, approver string, given []byte) error {
	if len(given) == 0 {
		return nil
	}
	var handle []byte
	err := s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		handle, err = officerHandle(ctx, tx, approver)
		return err
	})
	if err == nil && string(handle) != string(given) {
		return refuseProof(errors.New("another person's user handle"))
	}
	return err
}

// refuseCopy records that a passkey's counter fell, which says that there are two
// of it (WebAuthn section 6.1.1), and refuses it.
func (s *Service) refuseCopy(ctx context.Context, c credential) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := audit.Append(ctx, tx, audit.Event{Kind: "officer.credential.copied", Actor: "system", Object: actorOf(c.Person),
			Data: map[string]any{"credential": c.ID}})
		return err
	})
	return first(err, errCopied)
}

// checkCOSE verifies a COSE_Sign1 by one of the approver's own keys.
func (s *Service) checkCOSE(ctx context.Context, r Request, approver string, sign1 []byte) (known credential, used uint32, err error) {
	p, _, err := parseSign1(sign1, TypeCOSE)
	if err != nil {
		return known, 0, refuseProof(err)
	}
	list, err := s.credentials(ctx, `person = $1 AND kind = $2 AND removed_at = 0`, approver, MethodKey)
	if err != nil {
		return known, 0, err
	}
	for _, known = range list {
		if string(known.handle[:len(p.KID)]) != string(p.KID[:]) {
			continue
		}
		public, err := parseKey(known.publicKey)
		if err != nil {
			return known, 0, err
		}
		if err := VerifyCOSE(r.Statement, sign1, public); err != nil {
			return known, 0, refuseProof(err)
		}
		if !known.Until.IsZero() && !s.o.Now().Before(known.Until) {
			return known, 0, refuseProof(errors.New("the key's certificate has ended"))
		}
		return known, 0, nil
	}
	return known, 0, refuseProof(errors.New("not a key of theirs"))
}
