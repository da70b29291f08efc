package obs

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{0, 3100}, {1 << 20, 12700}, {32 << 20, 300}, {60 << 20, 113}, {64 << 20, 100}, {65 << 20, 100}, {1 << 40, 100}} {
		if got := percent(tt.live, 128<<20); got != tt.want {
			t.Errorf("%d live bytes: %d %%, want %d", tt.live, got, tt.want)
		}
	}
}

// TestSpareHeap: an operator's GOGC stands; without one the percentage follows what
// lives, collection by collection.
func TestSpareHeap(t *testing.T) {
	now := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	t.Setenv("GOGC", "150")
	before := now()
	SpareHeap(HeapFloor)
	runtime.GC()
	if got := now(); got != before {
		t.Fatalf("%d %%, was %d", got, before)
	}
	t.Setenv("GOGC", "")
	SpareHeap(HeapFloor)
	reaches := func(what string, ok func(int) bool) {
		t.Helper()
		for begun := time.Now(); !ok(now()); time.Sleep(time.Millisecond) {
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("%s: %d %%", what, now())
			}
			runtime.GC()
		}
	}
	reaches("next to nothing lives", func(p int) bool { return p > 1000 })
	held := make([]byte, 100<<20)
	reaches("much lives", func(p int) bool { return p == 100 })
	runtime.KeepAlive(held)
	reaches("it is gone", func(p int) bool { return p > 1000 })
}
