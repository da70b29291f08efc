package status

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/veraison/go-cose"
)

// Parse reads a snapshot without verifying its signature. The error wraps
// ErrMalformed or ErrTooLarge. The snapshot does not keep b.
func Parse(b []byte) (*Snapshot, error) {
	s, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("parse snapshot: %w", err)
	}
	return s, nil
}

func parse(b []byte) (*Snapshot, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxSize)
	}
	var f wireFile
	if !decode(b, &f) {
		return nil, malformed("not the deterministic CBOR of a signed header and a body")
	}
	s := &Snapshot{hash: sha256.Sum256(b), protected: f.Signed.Protected, payload: f.Signed.Payload, signature: f.Signed.Signature}
	if !s.parseProtected(f.Signed.Protected) {
		return nil, malformed("protected header")
	}
	if err := s.parseHeader(); err != nil {
		return nil, err
	}
	if sha256.Sum256(f.Body) != s.BodyHash {
		return nil, malformed("hash of the body")
	}
	if err := s.parseBody(f.Body); err != nil {
		return nil, err
	}
	return s, nil
}

// signatureSize gives each algorithm the bytes of its signature.
var signatureSize = map[int64]int{
	int64(cose.AlgorithmES256): 64,
	int64(cose.AlgorithmES384): 96,
	int64(cose.AlgorithmEdDSA): 64,
}

func (s *Snapshot) parseProtected(b []byte) bool {
	var p wireProtected
	if len(b) > 64 || !decode(b, &p) || p.Type != Type || len(p.KID) != len(s.KID) {
		return false
	}
	s.Alg, s.KID = p.Alg, [8]byte(p.KID)
	size, ok := signatureSize[p.Alg]
	return ok && len(s.signature) == size
}

func (s *Snapshot) parseHeader() error {
	var w wireHeader
	if len(s.payload) > maxHeader {
		return fmt.Errorf("%w: header over %d bytes", ErrTooLarge, maxHeader)
	}
	if !decode(s.payload, &w) || len(w.BodyHash) != len(s.BodyHash) {
		return malformed("header")
	}
	s.Header = Header{Seq: w.Seq, IssuedAt: w.IssuedAt, Expires: w.Expires, BodyHash: [32]byte(w.BodyHash)}
	s.Header.Lists = make([]Coverage, len(w.Lists))
	for i, l := range w.Lists {
		s.Header.Lists[i] = Coverage{l.No, l.Revoked, l.Suspended}
	}
	err := s.check()
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return malformed(err.Error())
	}
	return err
}

// parseBody reads the lists. All their indices share one allocation, which is
// made only when the body is long enough to hold as many.
func (s *Snapshot) parseBody(body []byte) error {
	bits, listed := uint64(0), 0
	for _, l := range s.Header.Lists {
		bits += l.floor()
		listed += int(l.Revoked) + int(l.Suspended)
	}
	if bits > 8*uint64(len(body)) {
		return malformed("body too short for its counts")
	}
	indices := make([]uint32, listed)
	take := func(n uint32) []uint32 {
		v := indices[:n:n]
		indices = indices[n:]
		return v
	}
	r := bitReader{b: body}
	s.Lists = make([]List, len(s.Header.Lists))
	for i, c := range s.Header.Lists {
		l := List{No: c.No, Revoked: take(c.Revoked), Suspended: take(c.Suspended)}
		r.indices(l.Revoked)
		r.indices(l.Suspended)
		if r.bad || !disjoint(l.Revoked, l.Suspended) {
			return malformed("indices of a list")
		}
		s.Lists[i] = l
	}
	if !r.done() {
		return malformed("body longer than its lists")
	}
	return nil
}
