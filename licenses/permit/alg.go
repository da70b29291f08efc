package permit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha256" // for the table
	_ "crypto/sha512" // for the table
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// The COSE algorithms that a permit may be signed with (RFC 9053 section 2).
const (
	ES256 int64 = -7
	ES384 int64 = -35
	EdDSA int64 = -8 // with Ed25519
)

// algorithm is one row of the table.
type algorithm struct {
	name  string // in the keyring
	id    int64
	size  int            // of a signature, in bytes
	curve elliptic.Curve // nil for Ed25519
	hash  crypto.Hash
}

var algorithms = [...]algorithm{
	{"ES256", ES256, 64, elliptic.P256(), crypto.SHA256},
	{"ES384", ES384, maxSignature, elliptic.P384(), crypto.SHA384},
	{"Ed25519", EdDSA, ed25519.SignatureSize, nil, 0},
}

// maxSignature is the longest signature in the table, in bytes.
const maxSignature = 96

// Algorithm returns the COSE algorithm of a key's algorithm by its name in the
// keyring: ES256, ES384 or Ed25519.
func Algorithm(name string) (int64, error) {
	for _, a := range algorithms {
		if a.name == name {
			return a.id, nil
		}
	}
	return 0, fmt.Errorf("permit algorithm %q not supported", name)
}

func findAlgorithm(id int64) (algorithm, bool) {
	for _, a := range algorithms {
		if a.id == id {
			return a, true
		}
	}
	return algorithm{}, false
}

// fits says whether the key is one of this algorithm's.
func (a algorithm) fits(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return a.curve != nil && k != nil && k.Curve == a.curve
	case ed25519.PublicKey:
		return a.curve == nil && len(k) == ed25519.PublicKeySize
	}
	return false
}

// digest returns what the primitive signs: the hash, or all for Ed25519.
func (a algorithm) digest(message []byte) []byte {
	if a.hash == 0 {
		return message
	}
	h := a.hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// sign returns the signature in COSE's form: for ECDSA, r and s side by side,
// each as long as the curve's order.
func (a algorithm) sign(key crypto.Signer, message []byte) ([]byte, error) {
	sig, err := key.Sign(rand.Reader, a.digest(message), a.hash)
	if err != nil {
		return nil, err
	}
	if a.curve != nil {
		return rawSignature(sig, a.size/2)
	}
	if len(sig) != a.size {
		return nil, errors.New("signature of the wrong length")
	}
	return sig, nil
}

// verify checks a signature of the algorithm's size.
func (a algorithm) verify(pub crypto.PublicKey, message, sig []byte) bool {
	if !a.fits(pub) {
		return false
	}
	if k, ok := pub.(ed25519.PublicKey); ok {
		return ed25519.Verify(k, message, sig)
	}
	r := new(big.Int).SetBytes(sig[:a.size/2])
	s := new(big.Int).SetBytes(sig[a.size/2:])
	return ecdsa.Verify(pub.(*ecdsa.PublicKey), a.digest(message), r, s)
}

// rawSignature turns the DER of an ECDSA signature into r and s of size bytes.
func rawSignature(der []byte, size int) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) > 0 || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > size*8 || sig.S.BitLen() > size*8 {
		return nil, errors.New("signature not in DER")
	}
	raw := make([]byte, 2*size)
	sig.R.FillBytes(raw[:size])
	sig.S.FillBytes(raw[size:])
	return raw, nil
}
