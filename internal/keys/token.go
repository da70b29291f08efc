package keys

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"io"
)

// PKCS11Config names a hardware security module.
type PKCS11Config struct {
	Module  string // absolute path of the vendor's library
	Token   string // the token's label
	PINFile string // holds the user's PIN; readable by its owner alone
}

// token is a hardware security module that is open. Its errors are of kind
// Unavailable while it is away.
type token interface {
	// create makes a key pair that cannot leave the token, named by id.
	create(id, alg string) (crypto.PublicKey, error)
	// sign signs with the private half of public, named by id.
	sign(id string, public crypto.PublicKey, digest []byte, opts crypto.SignerOpts) ([]byte, error)
	// destroy removes a key pair. It is no error if there is none.
	destroy(id string) error
	close() error
}

// tokenKey signs with a key on a token.
type tokenKey struct {
	token  token
	id     string
	public crypto.PublicKey
}

// Public implements crypto.Signer.
func (k *tokenKey) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. The token brings its own randomness.
func (k *tokenKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	public, ok := k.public.(*ecdsa.PublicKey)
	if !ok || opts == nil || !opts.HashFunc().Available() || len(digest) != opts.HashFunc().Size() {
		return nil, errors.New("sign on token: want a digest as long as its hash")
	}
	// FIPS 186-5 §6.4.1 takes the leftmost bits of a longer hash; some tokens refuse it instead.
	size := (public.Curve.Params().N.BitLen() + 7) / 8
	return k.token.sign(k.id, k.public, digest[:min(len(digest), size)], opts)
}
