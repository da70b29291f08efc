package status_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"io"
	"testing"

	"github.com/veraison/go-cose"

	"github.com/signet-city/signet/licenses/status"
)

// The keys of the vectors. They are fixed and public, and sign nothing else.
var (
	p256Key    = mustKey(elliptic.P256(), "ELR1 vectors P-256")
	otherKey   = mustKey(elliptic.P256(), "ELR1 vectors, another P-256")
	p384Key    = mustKey(elliptic.P384(), "ELR1 vectors P-384")
	ed25519Key = ed25519.NewKeyFromSeed(seed("ELR1 vectors Ed25519", 32))
)

func p256Signer() status.Signer { return signer(int64(cose.AlgorithmES256), p256Key) }

// signers gives each algorithm its key.
func signers() map[int64]status.Signer {
	return map[int64]status.Signer{
		int64(cose.AlgorithmES256): p256Signer(),
		int64(cose.AlgorithmES384): signer(int64(cose.AlgorithmES384), p384Key),
		int64(cose.AlgorithmEdDSA): signer(int64(cose.AlgorithmEdDSA), ed25519Key),
	}
}

func signer(alg int64, key crypto.Signer) status.Signer {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	return status.Signer{KID: [8]byte(sum[:8]), Alg: alg, Key: steady{key}}
}

// steady signs the same message the same way each time (RFC 6979), so that the
// vectors stay as they are when they are made again.
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

func seed(label string, n int) []byte {
	sum := sha256.Sum256([]byte(label))
	return append(make([]byte, n-len(sum)), sum[:]...)
}

func mustKey(curve elliptic.Curve, label string) *ecdsa.PrivateKey {
	k, err := ecdsa.ParseRawPrivateKey(curve, seed(label, (curve.Params().BitSize+7)/8))
	if err != nil {
		panic(err)
	}
	return k
}

func spki(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// rawSignature signs as JOSE does: r and s, 32 bytes each.
func rawSignature(t testing.TB, content []byte) []byte {
	t.Helper()
	s, err := cose.NewSigner(cose.AlgorithmES256, p256Key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Sign(rand.Reader, content)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
