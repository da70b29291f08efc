package ca

import (
	"crypto"
	"sync"
	"sync/atomic"
	"time"
)

// answerKey names an answer: the CA key, the hash of the CertID and the serial.
type answerKey struct {
	ca     string
	hash   crypto.Hash
	serial [maxOCSPSerial]byte
}

// answer is a signed answer with what HTTP says about it.
type answer struct {
	der         []byte
	found       finding
	seen        atomic.Int64 // changes of the shard up to which it is known to hold
	from, until time.Time
	epoch       int64
	used        atomic.Bool // since it was signed or looked over

	etag, modified, expires []string // header values
}

// shardCount counts the changes of a CRL shard that this process knows of.
type shardCount struct{ atomic.Int64 }

// raise takes notice of n.
func (s *shardCount) raise(n int64) {
	for {
		old := s.Load()
		if old >= n || s.CompareAndSwap(old, n) {
			return
		}
	}
}

// answers are the signed answers in memory, at most a fixed number. They are kept
// in two generations: what is asked for moves to the young one, and when that is
// full it becomes the old one, whose rest is dropped. So what is asked often stays,
// and nobody can fill the memory.
type answers struct {
	mu         sync.Mutex
	half       int
	young, old map[answerKey]*answer
}

func newAnswers(most int) *answers {
	return &answers{half: max(1, most/2), young: map[answerKey]*answer{}, old: map[answerKey]*answer{}}
}

func (s *answers) find(k answerKey) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.young[k]; a != nil {
		return a
	}
	a := s.old[k]
	if a != nil {
		delete(s.old, k)
		s.add(k, a)
	}
	return a
}

func (s *answers) put(k answerKey, a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.old, k)
	s.add(k, a)
}

// add needs the lock.
func (s *answers) add(k answerKey, a *answer) {
	if len(s.young) >= s.half && s.young[k] == nil {
		s.old, s.young = s.young, make(map[answerKey]*answer, s.half)
	}
	s.young[k] = a
}

// remove drops a, unless another took its place.
func (s *answers) remove(k answerKey, a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range []map[answerKey]*answer{s.young, s.old} {
		if m[k] == a {
			delete(m, k)
		}
	}
}

func (s *answers) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.young) + len(s.old)
}

// before returns at most so many answers that end before a time.
func (s *answers) before(end time.Time, most int) map[answerKey]*answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := map[answerKey]*answer{}
	for _, m := range []map[answerKey]*answer{s.young, s.old} {
		for k, a := range m {
			if len(due) >= most {
				return due
			}
			if a.until.Before(end) {
				due[k] = a
			}
		}
	}
	return due
}

// bucket limits how often something is done: rate a second, and as many at once.
type bucket struct {
	mu   sync.Mutex
	rate float64
	left float64
	last time.Time
}

func newBucket(rate int, now time.Time) *bucket {
	return &bucket{rate: float64(rate), left: float64(rate), last: now}
}

// take reports whether it may be done now. A clock that goes back gives nothing.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if past := now.Sub(b.last).Seconds(); past > 0 {
		b.left = min(b.rate, b.left+past*b.rate)
	}
	b.last = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
