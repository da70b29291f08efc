package keys

import (
	"time"

	"github.com/signet-city/signet/internal/fault"
)

const (
	concurrentDefault = 4
	maxConcurrent     = 32
	gateWait          = 5 * time.Second // after which a caller's client has given up, or should
)

// gate bounds how many signatures a token is asked for at once. Its capacity is
// their number; nil lets everybody through.
type gate chan struct{}

// enter waits for a place. It fails with kind Unavailable when none becomes free
// in time.
func (g gate) enter() error {
	if g == nil {
		return nil
	}
	select {
	case g <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(gateWait)
	defer timer.Stop()
	select {
	case g <- struct{}{}:
		return nil
	case <-timer.C:
		return fault.New(fault.Unavailable, "the hardware security module is busy")
	}
}

// leave gives the place to the next.
func (g gate) leave() {
	if g != nil {
		<-g
	}
}
