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
	half       atomic.Pointer[half]
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
// retired or compromised, and with kind Unavailable while its token is away.
func (s *signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	h := s.half.Load()
	if h.err != nil {
		s.failed.Inc()
		return nil, h.err
	}
	signature, err := h.private.Sign(rand, digest, opts)
	if err != nil {
		s.failed.Inc()
		return nil, err
	}
	s.ok.Inc()
	return signature, nil
}

// drop lets go of the private half for good.
func (s *signer) drop(why error) {
	if h := s.half.Load(); h == nil || h.err == nil {
		s.half.Store(&half{err: why})
	}
}
