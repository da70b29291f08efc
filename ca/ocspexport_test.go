package ca

import (
	"context"
	"crypto"
	"math/big"
	"time"
)

// FollowOCSP is what Run does every two seconds.
func (c *CA) FollowOCSP(ctx context.Context) { c.ocsp.follow(ctx) }

// RenewOCSP is what Run does every minute.
func (c *CA) RenewOCSP(ctx context.Context) { c.ocsp.renew(ctx) }

// CachedOCSP returns how many answers are in memory.
func (c *CA) CachedOCSP() int { return c.ocsp.cache.size() }

// MaxOCSPRequest is the longest request that is read.
const MaxOCSPRequest = maxOCSPRequest

// ParsedOCSP is what was read from a request.
type ParsedOCSP struct {
	Hash      crypto.Hash
	Name, Key []byte
	Serial    *big.Int
	Nonce     []byte
}

// ParseOCSPRequest reads a request.
func ParseOCSPRequest(der []byte) (ParsedOCSP, error) {
	q, err := parseOCSPRequest(der)
	if err != nil {
		return ParsedOCSP{}, err
	}
	n := 0
	if q.hash != 0 {
		n = q.hash.Size()
	}
	return ParsedOCSP{q.hash, q.name[:n], q.key[:n], q.serial, q.nonce}, nil
}

// EscapeRequest is what KeepSlashes does to a path.
func EscapeRequest(path string) (string, bool) { return escapeRequest(path) }

// Bucket is the limit of fresh answers.
type Bucket struct{ *bucket }

// NewBucket returns a full one.
func NewBucket(rate int, now time.Time) Bucket { return Bucket{newBucket(rate, now)} }

// Take is take.
func (b Bucket) Take(now time.Time) bool { return b.take(now) }

// Answers is the cache, by numbers.
type Answers struct{ *answers }

// NewAnswers returns an empty one.
func NewAnswers(most int) Answers { return Answers{newAnswers(most)} }

func numbered(n int) (k answerKey) {
	big.NewInt(int64(n)).FillBytes(k.serial[:])
	return k
}

// Put stores an answer.
func (s Answers) Put(n int) { s.put(numbered(n), &answer{}) }

// Has asks for one.
func (s Answers) Has(n int) bool { return s.find(numbered(n)) != nil }

// Size is how many there are.
func (s Answers) Size() int { return s.size() }

// SlowOCSP begins to make an answer and returns what the register said, while the
// answer is not given yet. It is given once wait is closed.
func (c *CA) SlowOCSP(ctx context.Context, issuer string, der []byte, wait <-chan struct{}) error {
	q, err := parseOCSPRequest(der)
	if err != nil {
		return err
	}
	t, err := c.ocsp.current(ctx)
	if err != nil {
		return err
	}
	k := t.byID[certIssuer{issuer, q.hash, q.name, q.key}]
	key, _ := answerKeyOf(k, q)
	made := make(chan error, 1)
	go func() {
		_, _, _ = c.ocsp.flights.do(ctx, key, func(ctx context.Context) (*answer, error) {
			a, err := c.ocsp.make(ctx, key, k, q, "first")
			made <- err
			<-wait
			return a, err
		})
	}()
	return <-made
}
