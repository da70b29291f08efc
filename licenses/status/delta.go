package status

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Bounds of a delta. Where more has changed the snapshot is the shorter way.
const (
	// MaxDelta is the longest delta, in bytes.
	MaxDelta = 4 << 20
	// MaxChanges is how many indices one delta may change.
	MaxChanges = 1 << 20
)

// ErrBase says that a delta begins at another snapshot than the one in hand: an
// older, a newer, or one of the same number with other bytes.
var ErrBase = errors.New("delta of another snapshot")

// Mark names a snapshot: its number and the SHA-256 of its file.
type Mark struct {
	Seq  uint64
	Hash [32]byte
}

// Mark returns the name of the snapshot.
func (s *Snapshot) Mark() Mark { return Mark{s.Seq, s.hash} }

// Change is what became of one index between two snapshots. From and To differ.
type Change struct {
	List, Index uint32
	From, To    State
}

// Delta is a parsed delta: the changes from one snapshot to a later one, and
// the later one's signed header. Until Verify has returned nil nothing in it is
// known to be true. It is not changed by its methods.
type Delta struct {
	// Base is the snapshot that it applies to.
	Base Mark
	// Header is that of the snapshot that it leads to.
	Header
	KID [8]byte
	Alg int64

	runs   [3][]uint32 // positions that become valid, revoked, suspended
	signed wireSign1
}

// wireDelta is a delta's shape on the wire.
type wireDelta struct {
	_       struct{} `cbor:",toarray"`
	Signed  wireSign1
	Base    wireBase
	Changes []byte
}

type wireBase struct {
	_                         struct{} `cbor:",toarray"`
	Seq                       uint64
	Hash                      []byte
	Valid, Revoked, Suspended uint32
}

// EncodeDelta returns the delta from the snapshot named base to next. changes are
// what differs between the two, in any order, each index once; an index of a list
// that base did not cover was valid. Two snapshots have exactly one delta. It
// signs nothing: next is signed already. It refuses a base that is not earlier, an
// index that next does not cover, one that stands twice, and what passes a bound;
// whether the changes lead to next only Apply finds out.
func EncodeDelta(base Mark, next *Snapshot, changes []Change) ([]byte, error) {
	b, err := encodeDelta(base, next, changes)
	if err != nil {
		return nil, fmt.Errorf("encode delta: %w", err)
	}
	return b, nil
}

// Diff returns what differs between the lists of two snapshots, in the order of the
// later ones. It refuses lists of which one is no longer covered.
func Diff(before, after []List) ([]Change, error) {
	var changes []Change
	known := 0
	for _, now := range after {
		old := List{No: now.No}
		if i, ok := find(before, now.No); ok {
			old, known = before[i], known+1
		}
		changes = appendChanges(changes, old, now)
	}
	if known != len(before) {
		return nil, errors.New("compare lists: one is no longer covered")
	}
	return changes, nil
}

// appendChanges appends what differs between two states of one list.
func appendChanges(changes []Change, old, now List) []Change {
	add := func(indices []uint32, from, to State) {
		for _, index := range indices {
			changes = append(changes, Change{now.No, index, from, to})
		}
	}
	revoked, _ := without(now.Revoked, old.Revoked, nil)
	restored, _ := without(old.Revoked, now.Revoked, nil)
	suspended, _ := without(now.Suspended, old.Suspended, nil)
	released, _ := without(old.Suspended, now.Suspended, nil)
	fresh, _ := without(revoked, released, nil)
	held, _ := without(revoked, fresh, nil)
	add(fresh, Valid, Revoked)
	add(held, Suspended, Revoked)
	fresh, _ = without(suspended, restored, nil)
	held, _ = without(suspended, fresh, nil)
	add(fresh, Valid, Suspended)
	add(held, Revoked, Suspended)
	gone, _ := without(restored, suspended, nil)
	add(gone, Revoked, Valid)
	gone, _ = without(released, revoked, nil)
	add(gone, Suspended, Valid)
	return changes
}

func encodeDelta(base Mark, next *Snapshot, changes []Change) ([]byte, error) {
	if base.Seq == 0 || base.Seq >= next.Seq {
		return nil, errors.New("the base is not an earlier snapshot")
	}
	if len(changes) > MaxChanges {
		return nil, fmt.Errorf("%w: over %d changes", ErrTooLarge, MaxChanges)
	}
	var runs [3][]uint32
	all := make([]uint32, 0, len(changes))
	for _, c := range changes {
		i, ok := find(next.Lists, c.List)
		if !ok || c.Index >= ListSize || c.To > Suspended || c.From == c.To {
			return nil, fmt.Errorf("list %d, index %d: no change of what is covered", c.List, c.Index)
		}
		position := uint32(i)*ListSize + c.Index
		runs[c.To], all = append(runs[c.To], position), append(all, position)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != len(changes) {
		return nil, errors.New("an index changes twice")
	}
	w := wireDelta{
		Signed: wireSign1{Protected: next.protected, Payload: next.payload, Signature: next.signature},
		Base: wireBase{Seq: base.Seq, Hash: base.Hash[:], Valid: uint32(len(runs[Valid])),
			Revoked: uint32(len(runs[Revoked])), Suspended: uint32(len(runs[Suspended]))},
	}
	for _, run := range runs {
		slices.Sort(run)
		w.Changes = appendRun(w.Changes, run, uint32(len(next.Lists)))
	}
	b, err := encMode.Marshal(w)
	if err == nil && len(b) > MaxDelta {
		err = fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxDelta)
	}
	return b, err
}

// find returns where in the lists that number stands.
func find(lists []List, no uint32) (int, bool) {
	return slices.BinarySearchFunc(lists, no, func(l List, no uint32) int { return cmp.Compare(l.No, no) })
}

// ParseDelta reads a delta without verifying its signature. The error wraps
// ErrMalformed or ErrTooLarge. The delta does not keep b.
func ParseDelta(b []byte) (*Delta, error) {
	d, err := parseDelta(b)
	if err != nil {
		return nil, fmt.Errorf("parse delta: %w", err)
	}
	return d, nil
}

func parseDelta(b []byte) (*Delta, error) {
	if len(b) > MaxDelta {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxDelta)
	}
	var w wireDelta
	if !decode(b, &w) {
		return nil, malformed("not the deterministic CBOR of a signed header, a base and changes")
	}
	next := &Snapshot{payload: w.Signed.Payload, signature: w.Signed.Signature}
	if !next.parseProtected(w.Signed.Protected) {
		return nil, malformed("protected header")
	}
	if err := next.parseHeader(); err != nil {
		return nil, err
	}
	d := &Delta{Header: next.Header, KID: next.KID, Alg: next.Alg, signed: w.Signed}
	if len(w.Base.Hash) != len(d.Base.Hash) {
		return nil, malformed("hash of the base")
	}
	d.Base = Mark{w.Base.Seq, [32]byte(w.Base.Hash)}
	if d.Base.Seq == 0 || d.Base.Seq >= d.Seq {
		return nil, malformed("the sequence number does not rise")
	}
	return d, d.parseChanges(w)
}

// parseChanges reads the three runs. They share one allocation, which is made only
// when the bytes are long enough to hold as many.
func (d *Delta) parseChanges(w wireDelta) error {
	counts := [3]uint32{w.Base.Valid, w.Base.Revoked, w.Base.Suspended}
	lists := uint32(len(d.Lists))
	total, bits := uint64(0), uint64(0)
	for _, n := range counts {
		total += uint64(n)
		bits += newCode(parameterOf(lists, n)).floor(n)
	}
	if total > MaxChanges {
		return fmt.Errorf("%w: over %d changes", ErrTooLarge, MaxChanges)
	}
	if bits > 8*uint64(len(w.Changes)) {
		return malformed("changes too short for their counts")
	}
	all := make([]uint32, total)
	r := bitReader{b: w.Changes}
	for i, n := range counts {
		d.runs[i], all = all[:n:n], all[n:]
		r.run(d.runs[i], lists)
	}
	if r.bad || !disjoint(d.runs[0], d.runs[1]) || !disjoint(d.runs[0], d.runs[2]) || !disjoint(d.runs[1], d.runs[2]) {
		return malformed("indices of the changes")
	}
	if !r.done() {
		return malformed("changes longer than their counts")
	}
	return nil
}

// Verify checks the signature of the header that the delta leads to, as
// Snapshot.Verify does. The error wraps ErrSignature.
func (d *Delta) Verify(alg int64, pub crypto.PublicKey) error {
	s := Snapshot{KID: d.KID, Alg: d.Alg, payload: d.signed.Payload, signature: d.signed.Signature}
	return s.Verify(alg, pub)
}

// Apply returns the snapshot that the delta leads to from base, and its file, the
// same as the publisher's bit for bit. The error wraps ErrBase where the delta
// begins elsewhere, ErrMalformed where it changes nothing of an index or where the
// result is not what was signed, and ErrTooLarge. Neither base nor the delta is
// changed.
func (d *Delta) Apply(base *Snapshot) (*Snapshot, []byte, error) {
	s, file, err := d.apply(base)
	if err != nil {
		return nil, nil, fmt.Errorf("apply delta: %w", err)
	}
	return s, file, nil
}

func (d *Delta) apply(base *Snapshot) (*Snapshot, []byte, error) {
	switch {
	case base.Seq != d.Base.Seq:
		return nil, nil, fmt.Errorf("%w: it begins at %d, in hand is %d", ErrBase, d.Base.Seq, base.Seq)
	case base.hash != d.Base.Hash:
		return nil, nil, fmt.Errorf("%w: number %d has another hash", ErrBase, base.Seq)
	}
	lists, err := d.merge(base)
	if err != nil {
		return nil, nil, err
	}
	body := make([]byte, 0, 1<<16)
	for _, l := range lists {
		body = appendIndices(appendIndices(body, l.Revoked), l.Suspended)
	}
	if sha256.Sum256(body) != d.BodyHash {
		return nil, nil, malformed("the changes do not give the body that was signed")
	}
	file, err := encMode.Marshal(wireFile{Signed: d.signed, Body: body})
	if err != nil {
		return nil, nil, err
	}
	if len(file) > MaxSize {
		return nil, nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxSize)
	}
	return &Snapshot{Header: d.Header, KID: d.KID, Alg: d.Alg, Lists: lists, hash: sha256.Sum256(file),
		protected: d.signed.Protected, payload: d.signed.Payload, signature: d.signed.Signature}, file, nil
}

// merge returns the lists of the header as they are after the changes, which must
// have the counts that it says.
func (d *Delta) merge(base *Snapshot) ([]List, error) {
	runs, known := d.runs, 0
	lists := make([]List, len(d.Lists))
	for i, want := range d.Lists {
		old := List{No: want.No}
		if at, ok := find(base.Lists, want.No); ok {
			old, known = base.Lists[at], known+1
		}
		var now [3][]uint32
		for state := range runs {
			now[state] = take(&runs[state], uint32(i))
		}
		l, ok := old.change(now)
		if !ok {
			return nil, malformed(fmt.Sprintf("a change of list %d changes nothing", want.No))
		}
		if len(l.Revoked) != int(want.Revoked) || len(l.Suspended) != int(want.Suspended) {
			return nil, malformed(fmt.Sprintf("the changes do not give the counts of list %d", want.No))
		}
		lists[i] = l
	}
	if known != len(base.Lists) {
		return nil, malformed("a list is no longer covered")
	}
	return lists, nil
}

// take removes the positions of the i-th list from the front of a run and returns
// them as indices.
func take(run *[]uint32, i uint32) []uint32 {
	n, _ := slices.BinarySearch(*run, (i+1)*ListSize)
	indices := make([]uint32, n)
	for j, position := range (*run)[:n] {
		indices[j] = position - i*ListSize
	}
	*run = (*run)[n:]
	return indices
}

// change returns the list with the indices in their new states; ok is false if
// one had its state before.
func (l List) change(to [3][]uint32) (_ List, ok bool) {
	if len(to[Valid])+len(to[Revoked])+len(to[Suspended]) == 0 {
		return l, true
	}
	revoked, gone := without(l.Revoked, to[Valid], to[Suspended])
	suspended, left := without(l.Suspended, to[Valid], to[Revoked])
	ok = disjoint(l.Revoked, to[Revoked]) && disjoint(l.Suspended, to[Suspended]) &&
		gone+left == len(to[Valid])+overlap(l.Revoked, to[Suspended])+overlap(l.Suspended, to[Revoked])
	return List{l.No, union(revoked, to[Revoked]), union(suspended, to[Suspended])}, ok
}

// without returns a without the members of two rising slices, and how many it
// left out.
func without(a, b, c []uint32) (left []uint32, gone int) {
	left = make([]uint32, 0, len(a))
	for _, index := range a {
		for len(b) > 0 && b[0] < index {
			b = b[1:]
		}
		for len(c) > 0 && c[0] < index {
			c = c[1:]
		}
		if len(b) > 0 && b[0] == index || len(c) > 0 && c[0] == index {
			continue
		}
		left = append(left, index)
	}
	return left, len(a) - len(left)
}

// overlap counts what two rising slices have in common.
func overlap(a, b []uint32) int {
	_, n := without(a, b, nil)
	return n
}

// union merges two rising slices that have nothing in common.
func union(a, b []uint32) []uint32 {
	all := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}
