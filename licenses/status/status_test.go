package status_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/signet-city/signet/licenses/status"
)

// draw returns n distinct indices of a list, part of them revoked and the rest
// suspended, both rising.
func draw(r *rand.Rand, no uint32, revoked, suspended int) status.List {
	var seen [status.ListSize / 64]uint64
	all := make([]uint32, 0, revoked+suspended)
	for len(all) < cap(all) {
		index := r.Uint32N(status.ListSize)
		if seen[index/64]&(1<<(index%64)) == 0 {
			seen[index/64] |= 1 << (index % 64)
			all = append(all, index)
		}
	}
	l := status.List{No: no, Revoked: all[:revoked:revoked], Suspended: all[revoked:]}
	slices.Sort(l.Revoked)
	slices.Sort(l.Suspended)
	return l
}

func encode(t testing.TB, lists ...status.List) []byte {
	t.Helper()
	b, err := status.Encode(7, 1000, 2000, lists, p256Signer())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *status.Snapshot {
	t.Helper()
	s, err := status.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sameList(a, b status.List) bool {
	return a.No == b.No && slices.Equal(a.Revoked, b.Revoked) && slices.Equal(a.Suspended, b.Suspended)
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	everyOther := status.List{No: 9}
	for i := uint32(0); i < status.ListSize; i += 2 {
		everyOther.Revoked = append(everyOther.Revoked, i)
		everyOther.Suspended = append(everyOther.Suspended, i+1)
	}
	tests := map[string][]status.List{
		"no list":          nil,
		"empty list":       {{No: 0}},
		"the first index":  {{No: 1, Revoked: []uint32{0}}},
		"the last index":   {{No: math.MaxUint32, Suspended: []uint32{status.ListSize - 1}}},
		"neighbours":       {{No: 3, Revoked: []uint32{5, 6, 7}, Suspended: []uint32{4, 8}}},
		"one per cent":     {draw(r, 2, 9000, 1000), draw(r, 5, 10485, 1)},
		"a third":          {draw(r, 2, 300000, 50000)},
		"every index":      {everyOther},
		"far, then near":   {{No: 3, Revoked: []uint32{1000000, 1000001, 1000002}}},
		"many and one far": {{No: 3, Revoked: append(slices.Clone(everyOther.Revoked[:10000]), status.ListSize-1)}},
	}
	for name, lists := range tests {
		t.Run(name, func(t *testing.T) {
			b := encode(t, lists...)
			s := parse(t, b)
			if !slices.EqualFunc(s.Lists, lists, sameList) {
				t.Error("other lists come out than went in")
			}
			if s.Seq != 7 || s.IssuedAt != 1000 || s.Expires != 2000 || s.Hash() != sha256.Sum256(b) {
				t.Errorf("header: %+v", s.Header)
			}
			if err := s.Verify(p256Signer().Alg, p256Key.Public()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAlgorithms(t *testing.T) {
	for alg, signer := range signers() {
		b, err := status.Encode(1, 0, 1, nil, signer)
		if err != nil {
			t.Fatal(err)
		}
		s := parse(t, b)
		if s.Alg != alg || s.KID != signer.KID {
			t.Errorf("algorithm %d: got %d and kid %x", alg, s.Alg, s.KID)
		}
		for other, key := range signers() {
			err := s.Verify(other, key.Key.Public())
			if other == alg && err != nil {
				t.Errorf("algorithm %d: %v", alg, err)
			}
			if other != alg && !errors.Is(err, status.ErrSignature) {
				t.Errorf("algorithm %d under the key of %d: got %v", alg, other, err)
			}
		}
		if err := s.Verify(alg, nil); !errors.Is(err, status.ErrSignature) {
			t.Errorf("algorithm %d under no key: got %v", alg, err)
		}
	}
}

// TestVerifySeesEveryBit turns each bit of a snapshot in turn: no mutant may be
// read as the same snapshot and verify.
func TestVerifySeesEveryBit(t *testing.T) {
	b := encode(t, status.List{No: 3, Revoked: []uint32{5, 600000}, Suspended: []uint32{77}})
	for i := range 8 * len(b) {
		mutant := bytes.Clone(b)
		mutant[i/8] ^= 0x80 >> (i % 8)
		s, err := status.Parse(mutant)
		if err == nil {
			err = s.Verify(p256Signer().Alg, p256Key.Public())
		}
		if !errors.Is(err, status.ErrMalformed) && !errors.Is(err, status.ErrSignature) && !errors.Is(err, status.ErrTooLarge) {
			t.Errorf("bit %d: got %v", i, err)
		}
	}
	for i := range b {
		if _, err := status.Parse(b[:i]); !errors.Is(err, status.ErrMalformed) {
			t.Errorf("first %d bytes: got %v", i, err)
		}
	}
	if _, err := status.Parse(append(bytes.Clone(b), 0)); !errors.Is(err, status.ErrMalformed) {
		t.Errorf("one byte more: got %v", err)
	}
}

func TestLookup(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	l := draw(r, 6, 3000, 500)
	s := parse(t, encode(t, status.List{No: 4, Revoked: []uint32{0}}, l))
	want := map[uint32]status.State{}
	for _, i := range l.Revoked {
		want[i] = status.Revoked
	}
	for _, i := range l.Suspended {
		want[i] = status.Suspended
	}
	for i := range uint32(status.ListSize) {
		if got, ok := s.Lookup(6, i); got != want[i] || !ok {
			t.Fatalf("index %d: got %v, %t, want %v", i, got, ok, want[i])
		}
	}
	for _, c := range []struct{ list, index uint32 }{{5, 0}, {3, 0}, {7, 0}, {0, 0}, {4, status.ListSize}, {4, math.MaxUint32}} {
		if state, ok := s.Lookup(c.list, c.index); ok || state != status.Valid {
			t.Errorf("list %d index %d: got %v, %t, want not covered", c.list, c.index, state, ok)
		}
	}
}

// TestAllocatesForTheBodyOnly gives headers that promise a million indices a body
// without them.
func TestAllocatesForTheBodyOnly(t *testing.T) {
	for _, name := range []string{"count-bomb", "too-many-listed"} {
		b := readVector(t, filepath.Join(vectorDir, name+".txt")).bytes
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := status.Parse(b); err == nil {
			t.Errorf("%s: no error", name)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: allocated %d bytes for a file of %d", name, n, len(b))
		}
	}
}

func TestStateString(t *testing.T) {
	for s, want := range []string{"valid", "revoked", "suspended", "State(3)"} {
		if got := status.State(s).String(); got != want {
			t.Errorf("state %d: got %s, want %s", s, got, want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	full := make([]uint32, status.ListSize)
	for i := range full {
		full[i] = uint32(i)
	}
	many := make([]status.List, status.MaxLists+1)
	for i := range many {
		many[i].No = uint32(i)
	}
	crowded := make([]status.List, status.MaxListed/status.ListSize+1)
	for i := range crowded {
		crowded[i] = status.List{No: uint32(i), Revoked: full}
	}
	wrongKey := p256Signer()
	wrongKey.Key = ed25519Key
	noKey := p256Signer()
	noKey.Key = nil
	odd := p256Signer()
	odd.Alg = -257
	tests := map[string]struct {
		seq      uint64
		iat, exp int64
		lists    []status.List
		signer   status.Signer
	}{
		"sequence zero":        {0, 1, 2, nil, p256Signer()},
		"negative time":        {1, -1, 2, nil, p256Signer()},
		"expired when issued":  {1, 2, 2, nil, p256Signer()},
		"after the year 9999":  {1, 2, 253402300800, nil, p256Signer()},
		"lists fall":           {1, 1, 2, []status.List{{No: 2}, {No: 1}}, p256Signer()},
		"a list twice":         {1, 1, 2, []status.List{{No: 2}, {No: 2}}, p256Signer()},
		"indices fall":         {1, 1, 2, []status.List{{Revoked: []uint32{2, 1}}}, p256Signer()},
		"an index twice":       {1, 1, 2, []status.List{{Suspended: []uint32{2, 2}}}, p256Signer()},
		"index out of range":   {1, 1, 2, []status.List{{Revoked: []uint32{status.ListSize}}}, p256Signer()},
		"in both states":       {1, 1, 2, []status.List{{Revoked: []uint32{1, 5}, Suspended: []uint32{2, 5}}}, p256Signer()},
		"too many lists":       {1, 1, 2, many, p256Signer()},
		"too many indices":     {1, 1, 2, crowded, p256Signer()},
		"more than a list has": {1, 1, 2, []status.List{{Revoked: full, Suspended: []uint32{1}}}, p256Signer()},
		"key of another kind":  {1, 1, 2, nil, wrongKey},
		"no key":               {1, 1, 2, nil, noKey},
		"unknown algorithm":    {1, 1, 2, nil, odd},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			if b, err := status.Encode(c.seq, c.iat, c.exp, c.lists, c.signer); err == nil || b != nil {
				t.Errorf("got %d bytes, error %v", len(b), err)
			}
		})
	}
}

// TestParameter compares the parameter that the count gives with the best of all
// for drawn lists.
func TestParameter(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, count := range []int{20, 300, 1000, 10485, 40000, 104857, 250000, 360000, 380000, 500000} {
		l := draw(r, 0, count, 0)
		used := status.Parameter(uint32(count))
		got, best, at := status.CodeBits(l.Revoked, used), math.MaxInt, uint32(0)
		for m := max(1, used/2); m <= 2*used+2; m += max(1, used/64) {
			if bits := status.CodeBits(l.Revoked, m); bits < best {
				best, at = bits, m
			}
		}
		excess := float64(got)/float64(best) - 1
		t.Logf("%d indices: %d bits with parameter %d, at best %d with %d: %.3f%% more", count, got, used, best, at, 100*excess)
		if count >= 1000 && excess > 0.005 {
			t.Errorf("%d indices: %.2f%% more than the best parameter", count, 100*excess)
		}
	}
}

func TestEntropy(t *testing.T) {
	tests := []struct {
		n, revoked, suspended int
		want                  float64
	}{
		{8, 4, 0, 1},
		{16, 4, 4, 3},
		{1000, 0, 0, 0},
		{1000, 1000, 0, 0},
		{100_000_000, 1_000_000, 0, 1_009_914},
		{100_000_000, 990_000, 10_000, 1_020_013},
	}
	for _, c := range tests {
		if got := status.Entropy(c.n, c.revoked, c.suspended); math.Abs(got-c.want) > 0.5 {
			t.Errorf("%d of %d and %d: got %.1f, want %.1f", c.revoked, c.n, c.suspended, got, c.want)
		}
	}
}
