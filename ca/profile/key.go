package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Algorithm is a family of public keys that a profile may accept.
type Algorithm string

// The families.
const (
	P256    Algorithm = "P-256"
	P384    Algorithm = "P-384"
	Ed25519 Algorithm = "Ed25519"
	RSA     Algorithm = "RSA"
)

// Bounds of RSA keys. Below is weak, above makes every check of a signature dear.
const (
	minRSA = 2048
	maxRSA = 4096
)

// AlgorithmOf returns the family of pub. It fails for other kinds of keys, for
// points that are not on their curve and for RSA keys outside the bounds.
func AlgorithmOf(pub crypto.PublicKey) (Algorithm, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if _, err := k.ECDH(); err != nil {
			return "", errors.New("the EC key is not a point on an accepted curve")
		}
		switch k.Curve {
		case elliptic.P256():
			return P256, nil
		case elliptic.P384():
			return P384, nil
		}
		return "", fmt.Errorf("the curve %s is not accepted", k.Curve.Params().Name)
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return "", errors.New("the Ed25519 key has a wrong length")
		}
		return Ed25519, nil
	case *rsa.PublicKey:
		return RSA, checkRSA(k)
	default:
		return "", errors.New("this type of key is not accepted")
	}
}

// checkRSA refuses sizes outside the bounds and every exponent but the usual one.
func checkRSA(k *rsa.PublicKey) error {
	if k.N == nil || k.N.BitLen() < minRSA || k.N.BitLen() > maxRSA {
		return fmt.Errorf("an RSA key must have %d to %d bits", minRSA, maxRSA)
	}
	if k.N.BitLen()%8 != 0 || k.N.Bit(0) == 0 || k.E != 65537 {
		return errors.New("an RSA key must have an odd modulus of whole bytes and the exponent 65537")
	}
	return nil
}

// CheckKey fails unless the profile accepts pub, and for RSA keys that a broken
// generator made: with a factor below 2^16, with primes so close that Fermat's method
// finds them, or with the fingerprint of ROCA. That takes most of a millisecond.
func CheckKey(k Kind, pub crypto.PublicKey) error {
	rules, ok := k.Rules()
	if !ok {
		return fmt.Errorf("no profile is named %.20q", string(k))
	}
	if err := rules.checkKey(k, pub); err != nil {
		return err
	}
	if key, ok := pub.(*rsa.PublicKey); ok {
		return checkFactors(key.N)
	}
	return nil
}

// checkFactors looks for the factors of an odd modulus where broken generators leave
// them.
func checkFactors(n *big.Int) error {
	switch {
	case hasSmallFactor(n):
		return errors.New("the RSA modulus has a small factor")
	case hasClosePrimes(n):
		return errors.New("the RSA key's primes are too close to each other")
	case hasROCA(n):
		return errors.New("the RSA key was made by a library whose keys can be broken (ROCA, CVE-2017-15361)")
	}
	return nil
}

func (r Rules) checkKey(k Kind, pub crypto.PublicKey) error {
	a, err := AlgorithmOf(pub)
	if err != nil {
		return err
	}
	if !slices.Contains(r.Keys, a) {
		return fmt.Errorf("a certificate of profile %s cannot have a key of type %s", k, a)
	}
	return nil
}

// KeyID returns the key identifier of pub: the first 160 bits of SHA-256 over the
// subject public key's bits (RFC 7093 section 2, method 1).
func KeyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("decode public key: %w", err)
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
}

// signatureAlgorithm returns how a CA with this key signs.
func signatureAlgorithm(pub crypto.PublicKey) (x509.SignatureAlgorithm, error) {
	a, err := AlgorithmOf(pub)
	if err != nil {
		return 0, err
	}
	switch a {
	case P256:
		return x509.ECDSAWithSHA256, nil
	case P384:
		return x509.ECDSAWithSHA384, nil
	default:
		return 0, fmt.Errorf("a CA cannot have a key of type %s", a)
	}
}
