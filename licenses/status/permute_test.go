package status_test

import (
	"testing"

	"github.com/signet-city/signet/licenses/status"
)

func TestPermuteIsBijection(t *testing.T) {
	key := [32]byte{1, 2, 3}
	seen := make([]bool, status.ListSize)
	neighbours := 0
	last := uint32(0)
	for n := range uint32(status.ListSize) {
		i := status.Permute(key, 5, n)
		if i >= status.ListSize || seen[i] {
			t.Fatalf("%d goes to %d, out of range or taken", n, i)
		}
		seen[i] = true
		if n > 0 && (i == last+1 || last == i+1) {
			neighbours++
		}
		last = i
	}
	if neighbours > 20 { // 2 are expected of a random permutation
		t.Errorf("%d neighbours stay neighbours", neighbours)
	}
}

// TestPermuteSpreads draws the first thousand of a list and counts them in 16
// equal parts: about 62 in each, with a standard deviation under 8.
func TestPermuteSpreads(t *testing.T) {
	var parts [16]int
	for n := range uint32(1000) {
		parts[status.Permute([32]byte{9}, 1, n)>>16]++
	}
	for i, n := range parts {
		if n < 30 || n > 100 {
			t.Errorf("part %d: %d of 1000", i, n)
		}
	}
}

func TestPermuteDependsOnKeyAndList(t *testing.T) {
	same := 0
	for n := range uint32(1000) {
		a := status.Permute([32]byte{1}, 1, n)
		if a == status.Permute([32]byte{2}, 1, n) || a == status.Permute([32]byte{1}, 2, n) {
			same++
		}
	}
	if same > 3 {
		t.Errorf("%d of 1000 are the same under another key or list", same)
	}
}

// TestPermuteStays holds the values that stored licenses depend on.
func TestPermuteStays(t *testing.T) {
	for n, want := range permuted {
		if got := status.Permute([32]byte{0: 1, 31: 2}, 3, uint32(n)); got != want {
			t.Errorf("%d: got %d, want %d", n, got, want)
		}
	}
}

var permuted = []uint32{1000780, 128291, 925349, 195201}

func TestPermutePanicsOutOfRange(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	status.Permute([32]byte{}, 0, status.ListSize)
}
