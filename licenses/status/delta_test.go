package status_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/signet-city/signet/licenses/status"
)

// history is the truth that snapshots and deltas are compared with.
type history map[[2]uint32]status.State

func (h history) lists(covered uint32) []status.List {
	lists := make([]status.List, covered)
	for i := range lists {
		lists[i].No = uint32(i) * 3 // numbers are not positions
	}
	for at, state := range h {
		l := &lists[at[0]/3]
		switch state {
		case status.Revoked:
			l.Revoked = append(l.Revoked, at[1])
		case status.Suspended:
			l.Suspended = append(l.Suspended, at[1])
		}
	}
	for i := range lists {
		slices.Sort(lists[i].Revoked)
		slices.Sort(lists[i].Suspended)
	}
	return lists
}

// step changes some indices, among them some that were changed before.
func (h history) step(r *rand.Rand, covered uint32) {
	for range r.IntN(60) {
		at := [2]uint32{r.Uint32N(covered) * 3, r.Uint32N(status.ListSize)}
		switch r.IntN(3) {
		case 0: // small numbers meet again
			at[1] = r.Uint32N(40)
		case 1:
			at[1] = status.ListSize - 1 - r.Uint32N(8)
		}
		h[at] = status.State(r.IntN(3))
	}
}

func snapshot(t testing.TB, seq uint64, lists []status.List) *status.Snapshot {
	t.Helper()
	b, err := status.Encode(seq, 1000+int64(seq), 90000, lists, p256Signer())
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, b)
}

func file(t testing.TB, s *status.Snapshot) []byte {
	t.Helper()
	b, err := status.Encode(s.Seq, s.IssuedAt, s.Expires, s.Lists, p256Signer())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func delta(t testing.TB, from, to *status.Snapshot) []byte {
	t.Helper()
	changes, err := status.Diff(from.Lists, to.Lists)
	if err != nil {
		t.Fatal(err)
	}
	b, err := status.EncodeDelta(from.Mark(), to, changes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func apply(b []byte, base *status.Snapshot) (*status.Snapshot, []byte, error) {
	d, err := status.ParseDelta(b)
	if err != nil {
		return nil, nil, err
	}
	if err := d.Verify(p256Signer().Alg, p256Key.Public()); err != nil {
		return nil, nil, err
	}
	return d.Apply(base)
}

// TestDeltasEqualSnapshots follows random histories: from any earlier snapshot, in
// one delta or in many, the same file comes out as the publisher signed.
func TestDeltasEqualSnapshots(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 20))
		h, covered := history{}, 1+r.Uint32N(3)
		all := []*status.Snapshot{snapshot(t, 1, h.lists(covered))}
		held := all[0]
		for n := range 8 {
			if r.IntN(4) == 0 {
				covered++
			}
			h.step(r, covered)
			next := snapshot(t, all[n].Seq+1+r.Uint64N(3), h.lists(covered))
			all = append(all, next)
			var err error
			var got []byte
			if held, got, err = apply(delta(t, all[n], next), held); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, n, err)
			}
			if !bytes.Equal(got, file(t, next)) || held.Hash() != next.Hash() {
				t.Fatalf("seed %d, step %d: another file comes out", seed, n)
			}
			for i, base := range all[:n+1] {
				if again, got, err := apply(delta(t, base, next), base); err != nil || !bytes.Equal(got, file(t, next)) || !slices.EqualFunc(again.Lists, next.Lists, sameList) {
					t.Fatalf("seed %d, from %d to %d: %v", seed, i, n+1, err)
				}
			}
		}
	}
}

// rawDelta is a delta in pieces, to be spoilt.
type rawDelta struct {
	signed  cbor.RawMessage
	base    []any // seq, hash, valid, revoked, suspended
	changes []byte
}

func openDelta(t testing.TB, b []byte) rawDelta {
	t.Helper()
	var parts []cbor.RawMessage
	var r rawDelta
	if err := cbor.Unmarshal(b, &parts); err != nil {
		t.Fatal(err)
	}
	r.signed = parts[0]
	if err := cbor.Unmarshal(parts[1], &r.base); err != nil {
		t.Fatal(err)
	}
	if err := cbor.Unmarshal(parts[2], &r.changes); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r rawDelta) encode(t testing.TB) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal([]any{r.signed, r.base, r.changes})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// deltaCase is a delta, the snapshot that it is applied to, and what must come of it.
type deltaCase struct {
	name  string
	delta []byte
	base  *status.Snapshot
	want  error // nil: it applies
	says  string
}

// deltaCases are a good delta and every way of spoiling one.
func deltaCases(t testing.TB) []deltaCase {
	t.Helper()
	before := snapshot(t, 5, []status.List{{No: 0, Revoked: []uint32{9}, Suspended: []uint32{4}}, {No: 1}})
	after := snapshot(t, 8, []status.List{{No: 0, Revoked: []uint32{4, 9}}, {No: 1, Suspended: []uint32{70}}})
	good := delta(t, before, after)
	other := snapshot(t, 5, []status.List{{No: 0, Revoked: []uint32{8}, Suspended: []uint32{4}}, {No: 1}})
	forger := func(lists []status.List) []byte {
		b, err := status.Encode(9, 1, 2, lists, signer(-7, otherKey))
		if err != nil {
			t.Fatal(err)
		}
		return delta(t, before, parse(t, b))
	}
	spoil := func(f func(*rawDelta)) []byte {
		r := openDelta(t, good)
		f(&r)
		return r.encode(t)
	}
	return []deltaCase{
		{"good", good, before, nil, ""},
		{"without a change", delta(t, before, snapshot(t, 6, before.Lists)), before, nil, ""},
		{"a list more", delta(t, before, snapshot(t, 6, append(slices.Clone(before.Lists), status.List{No: 9, Revoked: []uint32{0, status.ListSize - 1}}))), before, nil, ""},
		{"of an older base", good, snapshot(t, 4, before.Lists), status.ErrBase, "begins at 5, in hand is 4"},
		{"of a newer base", good, snapshot(t, 6, before.Lists), status.ErrBase, "begins at 5, in hand is 6"},
		{"applied twice", good, after, status.ErrBase, "in hand is 8"},
		{"of a fork", good, other, status.ErrBase, "another hash"},
		{"sequence that stands", spoil(func(r *rawDelta) { r.base[0] = 8 }), before, status.ErrMalformed, "does not rise"},
		{"sequence that falls", spoil(func(r *rawDelta) { r.base[0] = 9 }), before, status.ErrMalformed, "does not rise"},
		{"sequence zero", spoil(func(r *rawDelta) { r.base[0] = 0 }), before, status.ErrMalformed, "does not rise"},
		{"renamed base", spoil(func(r *rawDelta) { r.base[1] = hashOf(other) }), other, status.ErrMalformed, "body that was signed"},
		{"short hash", spoil(func(r *rawDelta) { r.base[1] = make([]byte, 31) }), before, status.ErrMalformed, "hash of the base"},
		{"truncated", good[:len(good)-1], before, status.ErrMalformed, "deterministic CBOR"},
		{"with a tail", append(slices.Clone(good), 0), before, status.ErrMalformed, "deterministic CBOR"},
		{"empty", nil, before, status.ErrMalformed, "deterministic CBOR"},
		{"a snapshot", file(t, after), before, status.ErrMalformed, "deterministic CBOR"},
		{"oversize", make([]byte, status.MaxDelta+1), before, status.ErrTooLarge, "bytes"},
		{"changes cut", spoil(func(r *rawDelta) { r.changes = r.changes[:1] }), before, status.ErrMalformed, "too short"},
		{"changes long", spoil(func(r *rawDelta) { r.changes = append(r.changes, 0) }), before, status.ErrMalformed, "longer than"},
		{"count bomb", spoil(func(r *rawDelta) { r.base[3] = 1 << 20 }), before, status.ErrTooLarge, "changes"},
		{"count of four thousand million", spoil(func(r *rawDelta) { r.base[2], r.base[3] = uint64(1<<32-1), uint64(1<<32-1) }), before, status.ErrTooLarge, "changes"},
		{"count without bits", spoil(func(r *rawDelta) { r.base[3] = 1 << 19 }), before, status.ErrMalformed, "too short"},
		{"zeros without end", spoil(func(r *rawDelta) { r.changes = make([]byte, 1<<16) }), before, status.ErrMalformed, "indices"},
		{"one change taken out", spoil(func(r *rawDelta) {
			r.base[4] = 0
			r.changes = r.changes[:len(r.changes)/2]
		}), before, status.ErrMalformed, ""},
		{"signed by another", forger(after.Lists), before, status.ErrSignature, ""},
		{"signature turned", spoil(func(r *rawDelta) { r.signed[len(r.signed)-1] ^= 1 }), before, status.ErrSignature, ""},
	}
}

// TestHostileDeltas: each is refused, for its own reason.
func TestHostileDeltas(t *testing.T) {
	for _, test := range deltaCases(t) {
		t.Run(test.name, func(t *testing.T) {
			_, got, err := apply(test.delta, test.base)
			if !errors.Is(err, test.want) || (got == nil) != (err != nil) || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v saying %q", err, test.want, test.says)
			}
		})
	}
}

func hashOf(s *status.Snapshot) []byte { h := s.Hash(); return h[:] }

// TestDeltaSaysWhatDiffers: a change to the state that an index has is refused even
// where the body comes out right, so that two snapshots have one delta.
func TestDeltaSaysWhatDiffers(t *testing.T) {
	before := snapshot(t, 1, []status.List{{No: 0, Revoked: []uint32{9}, Suspended: []uint32{4}}})
	after := snapshot(t, 2, []status.List{{No: 0, Revoked: []uint32{9, 10}, Suspended: []uint32{4}}})
	real := status.Change{Index: 10, To: status.Revoked}
	for name, more := range map[string]status.Change{
		"revoked again":     {Index: 9, From: status.Valid, To: status.Revoked},
		"suspended again":   {Index: 4, From: status.Valid, To: status.Suspended},
		"valid made valid":  {Index: 77, From: status.Revoked, To: status.Valid},
		"the last of these": {Index: status.ListSize - 1, From: status.Suspended, To: status.Valid},
	} {
		b, err := status.EncodeDelta(before.Mark(), after, []status.Change{real, more})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := apply(b, before); !errors.Is(err, status.ErrMalformed) || !strings.Contains(err.Error(), "changes nothing") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEncodeDeltaRefuses(t *testing.T) {
	before := snapshot(t, 4, []status.List{{No: 2}})
	after := snapshot(t, 5, []status.List{{No: 2, Revoked: []uint32{1}}})
	one := status.Change{List: 2, Index: 1, To: status.Revoked}
	for name, c := range map[string]struct {
		base    status.Mark
		changes []status.Change
	}{
		"itself for a base":    {after.Mark(), nil},
		"a later base":         {status.Mark{Seq: 6}, nil},
		"no base":              {status.Mark{}, nil},
		"a list not covered":   {before.Mark(), []status.Change{{List: 1, To: status.Revoked}}},
		"an index that is not": {before.Mark(), []status.Change{{List: 2, Index: status.ListSize, To: status.Revoked}}},
		"a state that is not":  {before.Mark(), []status.Change{{List: 2, To: 3}}},
		"no change":            {before.Mark(), []status.Change{{List: 2, From: status.Revoked, To: status.Revoked}}},
		"twice":                {before.Mark(), []status.Change{one, one}},
		"twice, differently":   {before.Mark(), []status.Change{one, {List: 2, Index: 1, To: status.Suspended}}},
		"too many":             {before.Mark(), make([]status.Change, status.MaxChanges+1)},
	} {
		if b, err := status.EncodeDelta(c.base, after, c.changes); err == nil || b != nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := status.Diff(after.Lists, nil); err == nil {
		t.Error("a list that goes: no error")
	}
}

// TestDeltaSeesEveryBit turns each bit of a delta: none may be applied.
func TestDeltaSeesEveryBit(t *testing.T) {
	before := snapshot(t, 1, []status.List{{No: 0, Revoked: []uint32{9}, Suspended: []uint32{4}}})
	after := snapshot(t, 2, []status.List{{No: 0, Revoked: []uint32{10}, Suspended: []uint32{5, 9}}})
	b := delta(t, before, after)
	for i := range 8 * len(b) {
		mutant := slices.Clone(b)
		mutant[i/8] ^= 0x80 >> (i % 8)
		if _, _, err := apply(mutant, before); err == nil {
			t.Errorf("bit %d turned: no error", i)
		}
	}
}

// TestDeltaSize holds the day of the format's description: 5,000 revocations among a
// hundred million permits. The changes are measured against the entropy of which
// they are; the rest is the signed header with its 96 lists.
func TestDeltaSize(t *testing.T) {
	lists, _, _ := city(200)
	before := snapshot(t, 1, lists)
	r := rand.New(rand.NewPCG(1, 9))
	next := slices.Clone(lists)
	added := map[[2]uint32]bool{}
	for len(added) < 5000 {
		no, index := r.Uint32N(96), r.Uint32N(status.ListSize)
		if state, _ := before.Lookup(no, index); state == status.Valid {
			added[[2]uint32{no, index}] = true
		}
	}
	for i := range next {
		more := slices.Clone(next[i].Revoked)
		for at := range added {
			if at[0] == uint32(i) {
				more = append(more, at[1])
			}
		}
		slices.Sort(more)
		next[i].Revoked = more
	}
	after := snapshot(t, 2, next)
	b := delta(t, before, after)
	if _, got, err := apply(b, before); err != nil || !bytes.Equal(got, file(t, after)) {
		t.Fatal(err)
	}
	raw := openDelta(t, b)
	floor := status.Entropy(96*status.ListSize, 5000, 0)
	t.Logf("%d bytes: changes %d (floor %.0f), signed header %d", len(b), len(raw.changes), floor, len(raw.signed))
	if over := float64(len(raw.changes))/floor - 1; over > 0.01 {
		t.Errorf("the changes are %.2f%% over their floor", 100*over)
	}
	if len(b) > 11_000 {
		t.Errorf("%d bytes for a day", len(b))
	}
}

func BenchmarkDelta(b *testing.B) {
	lists, _, _ := city(200)
	before := snapshot(b, 1, lists)
	next := slices.Clone(lists)
	for i := range next {
		next[i].Revoked = slices.DeleteFunc(slices.Clone(next[i].Revoked), func(n uint32) bool { return n%200 == 0 })
	}
	after := snapshot(b, 2, next)
	file := delta(b, before, after)
	for b.Loop() {
		if _, _, err := apply(file, before); err != nil {
			b.Fatal(err)
		}
	}
	b.Log(fmt.Sprint(len(file), " bytes"))
}

// FuzzDelta holds that no bytes panic, that errors are of the known kinds, and that
// what applies is the one delta between the two.
func FuzzDelta(f *testing.F) {
	before := snapshot(f, 5, []status.List{{No: 0, Revoked: []uint32{9}, Suspended: []uint32{4}}, {No: 1}})
	f.Add(delta(f, before, snapshot(f, 8, []status.List{{No: 0, Revoked: []uint32{4, 9}}, {No: 1, Suspended: []uint32{70}}})))
	f.Add(delta(f, before, snapshot(f, 6, before.Lists)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := status.ParseDelta(b)
		if err == nil {
			var after *status.Snapshot
			if after, _, err = d.Apply(before); err == nil && !bytes.Equal(delta(t, before, after), b) {
				t.Fatal("two deltas between two snapshots")
			}
		}
		if err != nil && !errors.Is(err, status.ErrMalformed) && !errors.Is(err, status.ErrTooLarge) && !errors.Is(err, status.ErrBase) {
			t.Fatalf("error of no kind: %v", err)
		}
	})
}
