package login

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// Bounds of desks in a window of tries, for all replicas together. The bound on codes
// is for the whole city, since a code names nobody whose tries could be counted: a
// thousand tries in ten minutes find one of a thousand codes in a day with a
// probability of one in 180,000.
const (
	codeTries        = 1000
	codeAddressTries = 30
	clerkFinds       = 30 // people whom a clerk looks up
)

// admitCode lets somebody try a desk's code, or fails with *waitError. A try that was
// right is given back.
func (s *Service) admitCode(ctx context.Context, address string) (back func(), err error) {
	now := s.o.Now()
	key := sha256.Sum256([]byte(address))
	if wait := s.limits.address.take(key, now); wait > 0 {
		return nil, &waitError{wait}
	}
	give := func() { s.limits.address.give(key) }
	lookups, err := s.o.Sealer.Lookups(ctx, "login.address", []byte(address))
	if err != nil {
		give()
		return nil, fmt.Errorf("count try: %w", err)
	}
	one, err := s.admitIn(ctx, triesHash("code", lookups[0], nil, now.Truncate(triesWindow)), codeAddressTries, now)
	if err != nil {
		give()
		return nil, err
	}
	all, err := s.admitIn(ctx, triesHash("codes", nil, nil, now.Truncate(triesWindow)), codeTries, now)
	if err != nil {
		one()
		give()
		return nil, err
	}
	return func() { all(); one(); give() }, nil
}

// admitIn counts a try under a hash in the table that all replicas share, or fails
// with *waitError.
func (s *Service) admitIn(ctx context.Context, hash []byte, bound int, now time.Time) (back func(), err error) {
	window := now.Truncate(triesWindow)
	ok, err := s.countTry(ctx, hash, bound, window)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &waitError{window.Add(triesWindow).Sub(now)}
	}
	return func() { s.forgiveTry(ctx, hash) }, nil
}
