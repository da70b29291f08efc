package status_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/signet-city/signet/licenses/status"
)

// city returns the lists of a hundred million permits of which one in a hundred
// is listed, and how many are in each state.
func city(suspendedInThousand int) (lists []status.List, revoked, suspended int) {
	r := rand.New(rand.NewPCG(7, 8))
	for no := range uint32(96) {
		// As many as if each permit were listed by a chance of its own.
		listed := int(status.ListSize*0.01 + r.NormFloat64()*math.Sqrt(status.ListSize*0.01*0.99))
		s := listed * suspendedInThousand / 1000
		lists = append(lists, draw(r, no, listed-s, s))
		revoked, suspended = revoked+listed-s, suspended+s
	}
	return lists, revoked, suspended
}

// TestCitySize holds the aim: a hundred million permits within 1% of the floor.
func TestCitySize(t *testing.T) {
	for _, share := range []int{0, 10, 100, 200, 500} {
		lists, revoked, suspended := city(share)
		b := encode(t, lists...)
		floor := status.Entropy(96*status.ListSize, revoked, suspended)
		over := float64(len(b))/floor - 1
		t.Logf("%d revoked, %d suspended: %d bytes, floor %.0f, %.2f%% over", revoked, suspended, len(b), floor, 100*over)
		if over > 0.01 {
			t.Errorf("%d in 1000 suspended: %.2f%% over the floor", share, 100*over)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	lists, _, _ := city(200)
	for b.Loop() {
		encode(b, lists...)
	}
}

func BenchmarkParse(b *testing.B) {
	lists, _, _ := city(200)
	file := encode(b, lists...)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		parse(b, file)
	}
}

func BenchmarkLookup(b *testing.B) {
	lists, _, _ := city(200)
	s := parse(b, encode(b, lists...))
	r := rand.New(rand.NewPCG(9, 10))
	for b.Loop() {
		s.Lookup(r.Uint32N(96), r.Uint32N(status.ListSize))
	}
}

func BenchmarkPermute(b *testing.B) {
	n := uint32(0)
	for b.Loop() {
		status.Permute([32]byte{1}, 1, n%status.ListSize)
		n++
	}
}
