package status

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Signer is a status signer: its name, its COSE algorithm and its private half.
type Signer struct {
	KID [8]byte
	Alg int64
	Key crypto.Signer
}

// Encode signs a snapshot that covers the lists. It refuses lists or indices
// that do not rise, an index out of range or in both states, times that are not
// in order, and what passes a bound.
func Encode(seq uint64, issuedAt, expires int64, lists []List, s Signer) ([]byte, error) {
	b, err := encode(seq, issuedAt, expires, lists, s)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	return b, nil
}

func encode(seq uint64, issuedAt, expires int64, lists []List, s Signer) ([]byte, error) {
	h := Header{Seq: seq, IssuedAt: issuedAt, Expires: expires, Lists: make([]Coverage, 0, len(lists))}
	bits := uint64(0)
	for _, l := range lists {
		if len(l.Revoked)+len(l.Suspended) > ListSize {
			return nil, fmt.Errorf("%w: list %d", ErrTooLarge, l.No)
		}
		c := Coverage{l.No, uint32(len(l.Revoked)), uint32(len(l.Suspended))}
		bits += c.floor()
		h.Lists = append(h.Lists, c)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	body := make([]byte, 0, bits/8*5/4+16)
	for _, l := range lists {
		if !rises(l.Revoked) || !rises(l.Suspended) || !disjoint(l.Revoked, l.Suspended) {
			return nil, fmt.Errorf("list %d: indices not in order, not in range or twice", l.No)
		}
		body = appendIndices(appendIndices(body, l.Revoked), l.Suspended)
	}
	h.BodyHash = sha256.Sum256(body)
	payload, err := encMode.Marshal(h.wire())
	if err != nil {
		return nil, err
	}
	signed, err := sign1(s, payload)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	b, err := encMode.Marshal(wireFile{Signed: signed, Body: body})
	if err != nil {
		return nil, err
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxSize)
	}
	return b, nil
}

func (h Header) wire() wireHeader {
	w := wireHeader{Seq: h.Seq, IssuedAt: h.IssuedAt, Expires: h.Expires, BodyHash: h.BodyHash[:]}
	w.Lists = make([]wireCover, len(h.Lists))
	for i, l := range h.Lists {
		w.Lists[i] = wireCover{No: l.No, Revoked: l.Revoked, Suspended: l.Suspended}
	}
	return w
}

// check says what is wrong with a header, apart from its hash.
func (h Header) check() error {
	if h.Seq == 0 || h.IssuedAt < 0 || h.Expires <= h.IssuedAt || h.Expires > maxTime {
		return errors.New("sequence number or times out of range")
	}
	if len(h.Lists) > MaxLists {
		return fmt.Errorf("%w: over %d lists", ErrTooLarge, MaxLists)
	}
	listed := uint64(0)
	for i, l := range h.Lists {
		if i > 0 && l.No <= h.Lists[i-1].No {
			return errors.New("list numbers do not rise")
		}
		if uint64(l.Revoked)+uint64(l.Suspended) > ListSize {
			return fmt.Errorf("more than %d indices in a list", ListSize)
		}
		listed += uint64(l.Revoked) + uint64(l.Suspended)
	}
	if listed > MaxListed {
		return fmt.Errorf("%w: over %d indices", ErrTooLarge, MaxListed)
	}
	return nil
}

// floor returns the fewest bits that the list can take in a body.
func (c Coverage) floor() uint64 {
	return newCode(parameter(c.Revoked)).floor(c.Revoked) + newCode(parameter(c.Suspended)).floor(c.Suspended)
}

// rises says whether the indices rise and are in range.
func rises(indices []uint32) bool {
	next := uint32(0)
	for _, index := range indices {
		if index < next || index >= ListSize {
			return false
		}
		next = index + 1
	}
	return true
}

// disjoint says whether two rising slices have no index in common.
func disjoint(a, b []uint32) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return false
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return true
}
