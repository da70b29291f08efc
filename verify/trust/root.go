package trust

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"time"
)

const maxSigners = 64 // of one kind, in a root statement

// SignRoot signs a root statement; the current root is among the signers, and at
// a change of root the next one is too. It sorts the keys by kid and refuses a
// statement that ParseRoot would refuse.
func SignRoot(s RootStatement, signers ...KeySigner) ([]byte, error) {
	b, err := signRoot(s, signers)
	if err != nil {
		return nil, fmt.Errorf("sign root statement: %w", err)
	}
	return b, nil
}

func signRoot(s RootStatement, signers []KeySigner) ([]byte, error) {
	s.Bundle, s.Status, s.Log = sorted(s.Bundle, bySigner), sorted(s.Status, bySigner), sorted(s.Log, bySigner)
	if err := s.check(); err != nil {
		return nil, err
	}
	payload, err := encode(s)
	if err != nil {
		return nil, err
	}
	return sign(TypeRoot, payload, MaxRoot, signers)
}

// ParseRoot reads a root statement without verifying who signed it.
func ParseRoot(b []byte) (RootStatement, error) {
	s, _, err := parseRoot(b)
	if err != nil {
		return RootStatement{}, fmt.Errorf("parse root statement: %w", err)
	}
	return s, nil
}

func parseRoot(b []byte) (RootStatement, *file, error) {
	f, err := parseFile(b, MaxRoot, TypeRoot)
	if err != nil {
		return RootStatement{}, nil, err
	}
	var s RootStatement
	if err := decode(f.payload, &s); err != nil {
		return RootStatement{}, nil, err
	}
	return s, f, s.check()
}

// OpenRoot reads a root statement that the pinned root signed, and that has begun
// and not expired. A signature by a next root counts for nothing: only the
// current root moves the pin.
func OpenRoot(b []byte, pin crypto.PublicKey, now time.Time) (RootStatement, error) {
	s, err := openRoot(b, pin, now)
	if err != nil {
		return RootStatement{}, fmt.Errorf("open root statement: %w", err)
	}
	return s, nil
}

func openRoot(b []byte, pin crypto.PublicKey, now time.Time) (RootStatement, error) {
	s, f, err := parseRoot(b)
	if err != nil {
		return RootStatement{}, err
	}
	root, err := signerOf(pin)
	if err != nil {
		return RootStatement{}, err
	}
	if err := f.verify(TypeRoot, []Signer{root}); err != nil {
		return RootStatement{}, err
	}
	return s, current(s.IssuedAt, s.Expires, now)
}

// NextRoot returns the root that follows, for a verifier to pin beside the
// current one, or nil where the statement names none. Only a statement from
// OpenRoot may be asked.
func (s RootStatement) NextRoot() (crypto.PublicKey, error) {
	if len(s.Next) == 0 {
		return nil, nil
	}
	pub, _, err := parsePublic(s.Next)
	if err != nil {
		return nil, fmt.Errorf("next root: %w", err)
	}
	return pub, nil
}

// signerOf returns the root's key as a signer.
func signerOf(pin crypto.PublicKey) (Signer, error) {
	alg, err := AlgOf(pin)
	if err != nil {
		return Signer{}, err
	}
	spki, err := spkiOf(pin)
	if err != nil {
		return Signer{}, err
	}
	return Signer{KID: KIDOf(spki), Alg: alg, Public: spki}, nil
}

// current refuses what now is not in. A clock that is behind the signer's by
// more than Skew is wrong, and would call old things new.
func current(issuedAt, expires int64, now time.Time) error {
	switch {
	case now.Unix() >= expires:
		return ErrExpired
	case now.Unix()+Skew < issuedAt:
		return ErrFuture
	}
	return nil
}

// permitted returns the signers whose window an object of that time lies in.
func permitted(signers []Signer, issuedAt int64) []Signer {
	var in []Signer
	for _, s := range signers {
		if s.From <= issuedAt && issuedAt < s.Until {
			in = append(in, s)
		}
	}
	return in
}

// StatusSigner finds the signer of a snapshot or head made at that time. ok is
// false where the root permits no such key, or not then.
func (s RootStatement) StatusSigner(kid [8]byte, issuedAt int64) (signer Signer, ok bool) {
	for _, k := range permitted(s.Status, issuedAt) {
		if k.KID == kid {
			return k, true
		}
	}
	return Signer{}, false
}

func bySigner(a, b Signer) int { return bytes.Compare(a.KID[:], b.KID[:]) }

// check says what is wrong with a statement.
func (s RootStatement) check() error {
	if s.Version == 0 || s.Version > maxInteger {
		return malformed("version out of range")
	}
	if err := checkTimes(s.IssuedAt, s.Expires, 0); err != nil {
		return err
	}
	if len(s.Next) > 0 {
		if _, _, err := parsePublic(s.Next); err != nil {
			return err
		}
	}
	seen := map[[8]byte]bool{}
	for _, list := range [][]Signer{s.Bundle, s.Status, s.Log} {
		if len(list) > maxSigners {
			return fmt.Errorf("%w: over %d signers of a kind", ErrTooLarge, maxSigners)
		}
		if !rises(list, bySigner) {
			return malformed("signers not in order or twice")
		}
		for _, k := range list {
			if seen[k.KID] {
				return malformed("key with two purposes")
			}
			seen[k.KID] = true
			if err := k.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s Signer) check() error {
	if s.KID != KIDOf(s.Public) {
		return malformed("kid of a signer is not its key's")
	}
	if err := checkTimes(s.From, s.Until, 0); err != nil {
		return err
	}
	_, err := ParsePublic(s.Alg, s.Public)
	return err
}

func sorted[T any](s []T, order func(a, b T) int) []T {
	s = slices.Clone(s)
	slices.SortFunc(s, order)
	return s
}

// rises says whether s is in strict order, so that nothing comes twice.
func rises[T any](s []T, order func(a, b T) int) bool {
	for i := 1; i < len(s); i++ {
		if order(s[i-1], s[i]) >= 0 {
			return false
		}
	}
	return true
}

// checkTimes wants 0 ≤ from < until, in the calendar, and no longer than life
// apart where life is not 0.
func checkTimes(from, until, life int64) error {
	switch {
	case from < 0, until > maxTime, from >= until:
		return malformed("times out of range or order")
	case life > 0 && until-from > life:
		return malformed("life longer than allowed")
	}
	return nil
}
