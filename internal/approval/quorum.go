package approval

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json/v2"
	"fmt"
	"slices"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// KindBreakGlass is the kind of the one statement that the offline quorum signs.
const KindBreakGlass = "break-glass"

// quorumName stands for requester and approver of such a statement; it is no
// person's id.
const quorumName = "quorum"

const maxQuorum = 16

// Quorum is the keys that are kept offline for when no two officers are left, or
// the officers are not to be trusted: Need of them replace the officers.
type Quorum struct {
	Keys [][]byte `json:"keys"` // SubjectPublicKeyInfo, on P-256 or P-384
	Need int      `json:"need"` // at least two
}

// check fails with kind Invalid for what is no quorum.
func (q Quorum) check() error {
	if len(q.Keys) > maxQuorum || q.Need < 2 || q.Need > len(q.Keys) {
		return fault.New(fault.Invalid, "a quorum is at least two of at most sixteen keys")
	}
	seen := map[string]bool{}
	for _, k := range q.Keys {
		if _, err := parseKey(k); err != nil {
			return err
		}
		if seen[string(k)] {
			return fault.New(fault.Invalid, "a key of the quorum is given twice")
		}
		seen[string(k)] = true
	}
	return nil
}

func (q Quorum) encode() ([]byte, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	return json.Marshal(q)
}

// replacement is what a break-glass statement says.
type replacement struct {
	Officers []string `json:"officers"`
	Version  int64    `json:"version"` // of the set that is replaced
}

var (
	errReplacement = fault.New(fault.Invalid, "this is no statement that replaces the officers")
	errQuorum      = fault.New(fault.Denied, "the offline quorum has not signed this")
)

// BreakGlass returns the statement with which the offline quorum would make these
// people the only officers, for seven days and as long as the officers stay the same.
// Whoever asks for it gains nothing: it takes the quorum's signatures (SignCOSE). It
// fails with kind Invalid for fewer than three people and people who are not in the
// registry, and with kind Conflict before there are officers.
func (s *Service) BreakGlass(ctx context.Context, officers []string) ([]byte, error) {
	if err := s.checkOfficers(ctx, officers); err != nil {
		return nil, fmt.Errorf("break glass: %w", err)
	}
	version, _, err := s.quorum(ctx)
	if err != nil {
		return nil, fmt.Errorf("break glass: %w", err)
	}
	resolved, err := json.Marshal(replacement{slices.Sorted(slices.Values(officers)), version})
	if err != nil {
		return nil, err
	}
	now := s.o.Now().Unix()
	st := Statement{Kind: KindBreakGlass, Resolved: resolved, Request: db.NewID(), Requester: quorumName, Approver: quorumName,
		IssuedAt: now, Expires: now + MaxLife, Origin: s.o.Issuer}
	_, _ = rand.Read(st.Nonce[:]) // never fails
	return st.Encode()
}

// quorum returns the version of the set of officers and the keys kept offline.
func (s *Service) quorum(ctx context.Context) (version int64, q Quorum, err error) {
	var encoded []byte
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT version, quorum FROM approval_state WHERE one = 1`).Scan(&version, &encoded)
	})
	if err != nil {
		return 0, q, err
	}
	if encoded == nil {
		return 0, q, fault.New(fault.Conflict, "there are no officers yet")
	}
	return version, q, json.Unmarshal(encoded, &q)
}

// ApplyQuorum replaces all officers by those whom a statement of BreakGlass names,
// and returns a code for each. Every signature must be by another key of the quorum,
// and there must be as many as it takes. All earlier officers and credentials end,
// also those of people who stay; open requests are rejected and those that have not
// begun to run fail. It does nothing else. It fails with kind Invalid for another
// statement, Denied for signatures that are too few or not the quorum's, and
// Conflict for a statement that has expired, was applied, or was made for another
// set of officers.
func (s *Service) ApplyQuorum(ctx context.Context, statement []byte, signatures ...[]byte) ([]Code, error) {
	codes, err := s.applyQuorum(ctx, statement, signatures)
	if err != nil {
		return nil, fmt.Errorf("apply quorum: %w", err)
	}
	return codes, nil
}

func (s *Service) applyQuorum(ctx context.Context, statement []byte, signatures [][]byte) ([]Code, error) {
	st, what, err := s.parseBreakGlass(statement)
	if err != nil {
		return nil, err
	}
	version, q, err := s.quorum(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.verify(statement, signatures); err != nil {
		return nil, err
	}
	now := s.o.Now()
	switch {
	case now.Unix() < st.IssuedAt || now.Unix() >= st.Expires:
		return nil, fault.New(fault.Conflict, "the statement has expired or is not valid yet")
	case version != what.Version:
		return nil, errReplaced
	}
	if err := s.checkOfficers(ctx, what.Officers); err != nil {
		return nil, err
	}
	r, err := breakGlassRequest(st, statement, signatures, now)
	if err != nil {
		return nil, err
	}
	b := glass{r, what, newCodes(what.Officers, now), newHandles(len(what.Officers)), now}
	if err := s.o.DB.Update(ctx, func(tx db.Tx) error { return b.apply(ctx, tx) }); err != nil {
		return nil, err
	}
	s.metrics.became(Done)
	return b.codes, nil
}

var errReplaced = fault.New(fault.Conflict, "the officers have changed since the statement was made")

func (s *Service) parseBreakGlass(b []byte) (st Statement, what replacement, err error) {
	if st, err = ParseStatement(b); err != nil {
		return st, what, fault.Wrap(fault.Invalid, fault.Public(errReplacement), err)
	}
	if st.Kind != KindBreakGlass || st.Requester != quorumName || st.Approver != quorumName || st.Origin != s.o.Issuer {
		return st, what, errReplacement
	}
	if err := json.Unmarshal(st.Resolved, &what, json.RejectUnknownMembers(true)); err != nil {
		return st, what, errReplacement
	}
	again, err := json.Marshal(what)
	if err != nil || !bytes.Equal(again, st.Resolved) {
		return st, what, errReplacement
	}
	return st, what, nil
}

// verify fails with errQuorum unless each signature is by another of the keys and
// there are enough.
func (q Quorum) verify(statement []byte, signatures [][]byte) error {
	if len(signatures) < q.Need || len(signatures) > len(q.Keys) {
		return errQuorum
	}
	used := make([]bool, len(q.Keys))
	for _, sign1 := range signatures {
		i, err := q.signer(statement, sign1)
		if err != nil {
			return fmt.Errorf("%w: %w", errQuorum, err)
		}
		if used[i] {
			return errQuorum
		}
		used[i] = true
	}
	return nil
}

// signer returns which of the keys has signed.
func (q Quorum) signer(statement, sign1 []byte) (int, error) {
	p, _, err := parseSign1(sign1, TypeCOSE)
	if err != nil {
		return 0, err
	}
	for i, spki := range q.Keys {
		public, err := parseKey(spki)
		if err != nil {
			return 0, err
		}
		if kid, err := KeyID(public); err != nil || kid != p.KID {
			continue
		}
		return i, VerifyCOSE(statement, sign1, public)
	}
	return 0, ErrSignature
}
