package login

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Tries are bounded by buckets that fill again with time, in the memory of each
// replica, before the table that all share is asked (see tries.go): nothing is written
// for a try that they refuse. A try that succeeds is given back.
//
// The bucket of an account and an address is the smallest: one stranger at one
// address uses it up for themselves and leaves the account's own to its owner, who
// has the passkey and the browsers that the account knows besides. An account that
// nobody has is treated as any other.
const (
	pairBurst, pairEvery       = 5, time.Minute
	accountBurst, accountEvery = 30, 20 * time.Second
	addressBurst, addressEvery = 60, time.Second
	askBurst, askEvery         = 120, time.Second / 2 // challenges per address

	maxBuckets = 1 << 16 // of each kind: a few megabytes
)

type limits struct{ pair, device, account, address, ask *limiter }

func newLimits() *limits {
	return &limits{
		pair:    newLimiter(pairBurst, pairEvery),
		device:  newLimiter(pairBurst, pairEvery),
		account: newLimiter(accountBurst, accountEvery),
		address: newLimiter(addressBurst, addressEvery),
		ask:     newLimiter(askBurst, askEvery),
	}
}

// try takes one try, or reports how long to wait for one. Giving it back is for
// tries that succeeded.
func (l *limits) try(account [32]byte, address string, now time.Time) (back func(), wait time.Duration) {
	pair := sha256.Sum256(append(account[:], address...))
	takes := []struct {
		l   *limiter
		key [32]byte
	}{{l.address, sha256.Sum256([]byte(address))}, {l.pair, pair}, {l.account, account}}
	for i, t := range takes {
		if wait := t.l.take(t.key, now); wait > 0 {
			for _, t := range takes[:i] {
				t.l.give(t.key)
			}
			return nil, wait
		}
	}
	return func() {
		for _, t := range takes {
			t.l.give(t.key)
		}
	}, 0
}

// tryKnown is try for a browser that the account knows: whatever others do, also from
// the same address, its bucket is its own.
func (l *limits) tryKnown(account [32]byte, device []byte, now time.Time) (back func(), wait time.Duration) {
	key := sha256.Sum256(append(account[:], device...))
	if wait := l.device.take(key, now); wait > 0 {
		return nil, wait
	}
	return func() { l.device.give(key) }, 0
}

// limiter is a set of token buckets by key.
type limiter struct {
	burst float64
	every time.Duration // until one more

	mu      sync.Mutex
	buckets map[[32]byte]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter(burst int, every time.Duration) *limiter {
	return &limiter{burst: float64(burst), every: every, buckets: map[[32]byte]bucket{}}
}

// take takes one from the bucket, or returns how long it takes to fill by one.
func (l *limiter) take(key [32]byte, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		l.makeRoom(now)
		b = bucket{l.burst, now}
	}
	b.left, b.at = l.filled(b, now), now
	if b.left < 1 {
		l.buckets[key] = b
		return max(time.Second, time.Duration((1-b.left)*float64(l.every)))
	}
	b.left--
	l.buckets[key] = b
	return 0
}

func (l *limiter) give(key [32]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.buckets[key]; ok {
		b.left = min(l.burst, b.left+1)
		l.buckets[key] = b
	}
}

func (l *limiter) filled(b bucket, now time.Time) float64 {
	return min(l.burst, b.left+max(0, float64(now.Sub(b.at))/float64(l.every)))
}

// makeRoom forgets full buckets, and then any, when there are too many. The lock
// is held.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for key, b := range l.buckets {
		if l.filled(b, now) >= l.burst {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) < maxBuckets*7/8 {
			return
		}
		delete(l.buckets, key)
	}
}

// addressOf returns whom a request's tries are counted for: an IPv4 address, or
// the /64 of an IPv6 address, which is what one subscriber has.
func addressOf(r *http.Request) string {
	ip, ok := remote(r)
	if !ok {
		return "unknown"
	}
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// remote returns the address that a request comes from, false if it is none.
func remote(r *http.Request) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	return ip.Unmap().WithZone(""), err == nil
}
