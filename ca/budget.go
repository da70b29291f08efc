package ca

import (
	"sync"
	"time"
)

// budget lets a number of things happen in each minute. The zero value is ready.
type budget struct {
	mu    sync.Mutex // guards the rest
	since time.Time
	used  int
}

// take reports whether one more may happen now.
func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.since) >= time.Minute || now.Before(b.since) {
		b.since, b.used = now, 0
	}
	if b.used >= refusedPerMinute {
		return false
	}
	b.used++
	return true
}
