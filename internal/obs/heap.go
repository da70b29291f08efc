package obs

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
)

// HeapFloor is the heap in bytes below which the program collects no garbage. At Go's
// default, collecting took a tenth of a small city's CPU time. It is small enough for
// the CRLs of a million revocations to be published within 200 MB of memory.
const HeapFloor = 80 << 20

// SpareHeap has this process collect garbage no sooner than when its heap has grown to
// floor bytes, and from there on as Go does by default: at twice of what lives. What
// lives is looked at after each collection. An operator who has set GOGC is obeyed.
func SpareHeap(floor uint64) {
	if os.Getenv("GOGC") == "" {
		spareHeap(floor)
	}
}

// collected is what dies with each collection and tells of it. It holds a pointer, so
// that it shares its memory with nothing that lives on.
type collected struct{ _ *collected }

func spareHeap(floor uint64) {
	live := []gometrics.Sample{{Name: "/gc/heap/live:bytes"}}
	gometrics.Read(live)
	debug.SetGCPercent(percent(live[0].Value.Uint64(), floor))
	runtime.AddCleanup(new(collected), spareHeap, floor)
}

// percent returns the growth in percent that takes live bytes to floor, at least 100.
func percent(live, floor uint64) int {
	if live == 0 {
		live = 4 << 20 // nothing was collected yet: as Go's smallest heap
	}
	if live >= floor/2 {
		return 100
	}
	return int(math.Round(100 * float64(floor-live) / float64(live)))
}
