package keys

import (
	"crypto"
	"io"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// signer is what the ring hands out: it counts, and it dies with its key.
type signer struct {
	public     crypto.PublicKey
	gate       gate // nil for a key that is not on a token
	half       atomic.Pointer[half]
	paused     atomic.Bool
	ok, failed prometheus.Counter
}

// half is the private half of a key, or why there is none.
type half struct {
	private crypto.Signer
	err     error
}

// Public implements crypto.Signer.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer. It fails with kind Conflict once the key is
// retired or compromised, and with kind Unavailable while it is paused and while
// its token is away or busy.
func (s *signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.sign(rand, digest, opts)
	if err != nil {
		s.failed.Inc()
		return nil, err
	}
	s.ok.Inc()
	return signature, nil
}

func (s *signer) sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.usable(); err != nil { // it need not wait for that
		return nil, err
	}
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if err := s.usable(); err != nil { // it may have been paused meanwhile
		return nil, err
	}
	h := s.half.Load()
	if h.err != nil {
		return nil, h.err
	}
	return h.private.Sign(rand, digest, opts)
}

// usable returns why the key does not sign now, nil if it does.
func (s *signer) usable() error {
	if err := s.half.Load().err; err != nil {
		return err
	}
	if s.paused.Load() {
		return errPaused
	}
	return nil
}

// drop lets go of the private half for good.
func (s *signer) drop(why error) {
	if h := s.half.Load(); h == nil || h.err == nil {
		s.half.Store(&half{err: why})
	}
}
