package lint

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"sync/atomic"
)

// ErrToken is returned by a Token's signer for anything but the first signature
// over the linted bytes.
var ErrToken = errors.New("lint token: these bytes were not linted, or are signed already")

// Token is the permission for one signature over one linted certificate.
type Token struct {
	tbs   []byte
	spent atomic.Bool
}

// TBS returns the bytes that may be signed.
func (t *Token) TBS() []byte { return slices.Clone(t.tbs) }

// Hash returns SHA-256 of those bytes.
func (t *Token) Hash() [32]byte { return sha256.Sum256(t.tbs) }

// Signer returns a signer that signs with key, once, the linted bytes and nothing
// else. However many signers a token has, one of them signs.
func (t *Token) Signer(key crypto.Signer) crypto.Signer { return tokenSigner{t, key} }

type tokenSigner struct {
	token *Token
	key   crypto.Signer
}

// Public implements crypto.Signer.
func (s tokenSigner) Public() crypto.PublicKey { return s.key.Public() }

// Sign implements crypto.Signer. digest is the hash of the linted bytes, or these
// themselves for algorithms that hash by themselves.
func (s tokenSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	want := s.token.tbs
	if h := opts.HashFunc(); h != 0 {
		if !h.Available() {
			return nil, ErrToken
		}
		sum := h.New()
		sum.Write(want)
		want = sum.Sum(nil)
	}
	if !bytes.Equal(digest, want) || !s.token.spent.CompareAndSwap(false, true) {
		return nil, ErrToken
	}
	return s.key.Sign(random, digest, opts)
}
