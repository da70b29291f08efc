// Package status is the wire format of the city snapshot, ELR1: the status of
// every permit of the lists it covers, in one signed file that a verifier
// carries without a network. It encodes and signs one, parses one, verifies its
// signature and looks a permit up.
//
//	[ COSE_Sign1( header with the SHA-256 of the body ), body ]
//
// The body holds, for each list, the gaps between the revoked indices and those
// between the suspended ones, in Golomb codes. The rules, with their numbers and
// vectors, stand in docs/spec/elr1.md. The package is pure: it takes values and
// returns values, and holds neither clock nor trust. Whether the signer may sign
// a snapshot and whether it is too old is decided in package verify.
//
// A snapshot may come from a USB stick, so Parse bounds the size and every count
// before it allocates, and accepts one encoding of each snapshot only.
package status

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"slices"
)

// ListSize is the number of indices in a list.
const ListSize = 1 << 20

// Bounds of a snapshot.
const (
	// MaxSize is the longest snapshot, in bytes.
	MaxSize = 32 << 20
	// MaxLists is how many lists one snapshot may cover: a thousand million
	// permits.
	MaxLists = 1024
	// MaxListed is how many indices one snapshot may list in all.
	MaxListed = 1 << 24

	maxHeader = 64 << 10
	maxTime   = 253402300799 // the year 9999, as in RFC 3339
)

// What can be wrong with a snapshot. Errors of Parse wrap one of the first two,
// errors of Verify the last.
var (
	// ErrMalformed says that the bytes are not an ELR1 snapshot.
	ErrMalformed = errors.New("malformed snapshot")
	// ErrTooLarge says that a snapshot passes a bound of its size.
	ErrTooLarge = errors.New("snapshot too large")
	// ErrSignature says that the signature does not verify under the key.
	ErrSignature = errors.New("bad snapshot signature")
)

// State is the status of one index.
type State uint8

// The states. Valid means no more than that the index is not listed.
const (
	Valid State = iota
	Revoked
	Suspended
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Valid:
		return "valid"
	case Revoked:
		return "revoked"
	case Suspended:
		return "suspended"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// List is one list that a snapshot covers. Both slices rise, and no index is in
// both.
type List struct {
	No                 uint32
	Revoked, Suspended []uint32
}

// Coverage says of a list how many indices are in each state.
type Coverage struct {
	No, Revoked, Suspended uint32
}

// Header is the signed part of a snapshot. Times are seconds UTC.
type Header struct {
	Seq               uint64
	IssuedAt, Expires int64
	Lists             []Coverage // their numbers rise
	BodyHash          [32]byte
}

// Snapshot is a parsed snapshot. Until Verify has returned nil, nothing in it
// is known to be true. It is not changed by its methods and is safe for
// concurrent use.
type Snapshot struct {
	Header
	// KID names the status signer's key.
	KID [8]byte
	// Alg is the COSE algorithm that the snapshot names.
	Alg int64
	// Lists are the lists covered, in the order of Header.Lists.
	Lists []List

	hash                          [32]byte
	protected, payload, signature []byte
}

// Lookup returns the state of an index, in a time that grows with the logarithm
// of the indices listed. covered is false, and the state means nothing, where the
// snapshot does not cover the list or no list has such an index.
func (s *Snapshot) Lookup(list, index uint32) (state State, covered bool) {
	i, ok := slices.BinarySearchFunc(s.Lists, list, func(l List, no uint32) int {
		return cmp.Compare(l.No, no)
	})
	if !ok || index >= ListSize {
		return Valid, false
	}
	if _, ok := slices.BinarySearch(s.Lists[i].Revoked, index); ok {
		return Revoked, true
	}
	if _, ok := slices.BinarySearch(s.Lists[i].Suspended, index); ok {
		return Suspended, true
	}
	return Valid, true
}

// Hash names the snapshot: SHA-256 of the whole file.
func (s *Snapshot) Hash() [32]byte { return s.hash }

// Verify checks the signature under the key. alg is the COSE algorithm that the
// root statement gives for the key, and the snapshot must name the same. The
// error wraps ErrSignature.
func (s *Snapshot) Verify(alg int64, pub crypto.PublicKey) error {
	if alg != s.Alg || !fits(alg, pub) {
		return fmt.Errorf("verify snapshot: %w: key or algorithm is another", ErrSignature)
	}
	if err := verifySign1(alg, s.KID, s.payload, s.signature, pub); err != nil {
		return fmt.Errorf("verify snapshot: %w", ErrSignature)
	}
	return nil
}

func malformed(reason string) error {
	return fmt.Errorf("%w: %s", ErrMalformed, reason)
}
