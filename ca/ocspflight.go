package ca

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ocspPatient is how long an answer may take to be made, with the key and all.
const ocspPatient = 5 * time.Second

// flights let one of many who ask for the same answer make it.
type flights struct {
	mu   sync.Mutex
	open map[answerKey]*flight
}

type flight struct {
	done chan struct{}
	a    *answer
	err  error
}

// do returns what f makes for key, in this call (mine) or in one that is under way.
// The one who makes it does not stop when its own client goes away.
func (s *flights) do(ctx context.Context, key answerKey, f func(context.Context) (*answer, error)) (a *answer, mine bool, err error) {
	s.mu.Lock()
	if one := s.open[key]; one != nil {
		s.mu.Unlock()
		select {
		case <-one.done:
			return one.a, false, one.err
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	if s.open == nil {
		s.open = map[answerKey]*flight{}
	}
	one := &flight{done: make(chan struct{}), err: errors.New("make OCSP answer: interrupted")}
	s.open[key] = one
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, key)
		s.mu.Unlock()
		close(one.done)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ocspPatient)
	defer cancel()
	one.a, one.err = f(ctx)
	return one.a, true, one.err
}
