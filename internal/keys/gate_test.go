package keys_test

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// slow is a token that takes its time and counts its callers.
type slow struct {
	takes     time.Duration
	now, most atomic.Int32
	calls     atomic.Int32
	fails     bool
}

func (s *slow) Public() crypto.PublicKey { return ed25519.PublicKey(make([]byte, 32)) }

func (s *slow) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	s.calls.Add(1)
	now := s.now.Add(1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	time.Sleep(s.takes)
	s.now.Add(-1)
	if s.fails {
		return nil, errors.New("no")
	}
	return []byte("signature"), nil
}

// storm asks for n signatures at once and returns how many there were, and the
// errors.
func storm(s crypto.Signer, n int) (signed int, errs []error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			err := trySign(s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else {
				signed++
			}
		})
	}
	group.Wait()
	return signed, errs
}

func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := &slow{takes: time.Second}
		signer, _ := keys.Gated(token, 3)
		began := time.Now()
		if signed, errs := storm(signer, 15); signed != 15 {
			t.Errorf("%d signatures, %v", signed, errs)
		}
		if most := token.most.Load(); most != 3 {
			t.Errorf("%d at once, want 3", most)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestConcurrentGivesUp: who gets no place in five seconds fails, and is not
// asked of the token afterwards.
func TestConcurrentGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := &slow{takes: 2 * time.Second}
		signer, _ := keys.Gated(token, 2)
		began := time.Now()
		signed, errs := storm(signer, 10) // places at 0, 2 and 4 s
		if signed != 6 || len(errs) != 4 || token.calls.Load() != 6 {
			t.Errorf("%d signatures, %d errors, %d calls", signed, len(errs), token.calls.Load())
		}
		for _, err := range errs {
			wantKind(t, err, fault.Unavailable)
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("took %v", took)
		}
		if err := trySign(signer); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestConcurrentAfterErrors: a place comes back from a token that fails.
func TestConcurrentAfterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := &slow{fails: true}
		signer, _ := keys.Gated(token, 1)
		if signed, errs := storm(signer, 20); signed != 0 || len(errs) != 20 {
			t.Errorf("%d signatures, %d errors", signed, len(errs))
		}
		token.fails = false
		if signed, errs := storm(signer, 20); signed != 20 {
			t.Errorf("%d signatures, %v", signed, errs)
		}
	})
}

// TestPausedWhileWaiting: who waits for the token when its key is paused does
// not sign, and who would come does not wait.
func TestPausedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := &slow{takes: 2 * time.Second}
		signer, pause := keys.Gated(token, 1)
		var group sync.WaitGroup
		var signed int
		var errs []error
		group.Go(func() { signed, errs = storm(signer, 3) })
		synctest.Wait()
		pause()
		began := time.Now()
		wantKind(t, trySign(signer), fault.Unavailable)
		if time.Since(began) != 0 {
			t.Error("a paused key lets its callers wait")
		}
		group.Wait()
		if signed != 1 || len(errs) != 2 || token.calls.Load() != 1 {
			t.Errorf("%d signatures, %d calls, %v", signed, token.calls.Load(), errs)
		}
	})
}

func TestConcurrentRefused(t *testing.T) {
	d := testkit.SQLite(t)
	for _, n := range []int{-1, 33} {
		_, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: testKEK, Concurrent: n})
		wantKind(t, err, fault.Invalid)
	}
	open(t, keys.Options{DB: d, Concurrent: 32})
}
