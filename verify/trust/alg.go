package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	_ "crypto/sha512" // for ES384
	"crypto/x509"
	"fmt"

	"github.com/veraison/go-cose"
)

// AlgOf returns the COSE algorithm that a public key signs with here: ES256 on
// P-256, ES384 on P-384, EdDSA on Ed25519. It refuses every other key.
func AlgOf(pub crypto.PublicKey) (int64, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch {
		case k == nil:
		case k.Curve == elliptic.P256():
			return int64(cose.AlgorithmES256), nil
		case k.Curve == elliptic.P384():
			return int64(cose.AlgorithmES384), nil
		}
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return int64(cose.AlgorithmEdDSA), nil
		}
	}
	return 0, fmt.Errorf("%w: key of a kind that is not supported", ErrMalformed)
}

// ParsePublic reads a SubjectPublicKeyInfo. It refuses another encoding than DER
// and a key that alg does not sign with.
func ParsePublic(alg int64, spkiDER []byte) (crypto.PublicKey, error) {
	pub, own, err := parsePublic(spkiDER)
	if err != nil {
		return nil, err
	}
	if own != alg {
		return nil, fmt.Errorf("%w: public key of another algorithm", ErrMalformed)
	}
	return pub, nil
}

// parsePublic reads a SubjectPublicKeyInfo and returns what it signs with.
func parsePublic(spkiDER []byte) (crypto.PublicKey, int64, error) {
	if len(spkiDER) > 256 {
		return nil, 0, fmt.Errorf("%w: public key", ErrTooLarge)
	}
	pub, err := x509.ParsePKIXPublicKey(spkiDER)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: public key", ErrMalformed)
	}
	again, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil || !bytes.Equal(again, spkiDER) {
		return nil, 0, fmt.Errorf("%w: public key not in DER", ErrMalformed)
	}
	alg, err := AlgOf(pub)
	return pub, alg, err
}
