package lint

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/crypto/cryptobyte"
)

// ErrToken is returned by a Token that has signed already.
var ErrToken = errors.New("lint token: it is spent")

// Token is the permission for one signature over one linted certificate.
type Token struct {
	cert   *x509.Certificate // all but its signature
	issuer *x509.Certificate // nil for the root
	spent  atomic.Bool
}

// Hash returns SHA-256 of what may be signed, the TBSCertificate in DER.
func (t *Token) Hash() [32]byte { return sha256.Sum256(t.cert.RawTBSCertificate) }

// hashes of the algorithms that a CA of ours signs with.
var hashes = map[x509.SignatureAlgorithm]crypto.Hash{x509.ECDSAWithSHA256: crypto.SHA256, x509.ECDSAWithSHA384: crypto.SHA384}

// Sign signs what was linted, and nothing else can be: the certificate is put together
// from the very bytes. It fails with ErrToken for all calls but the first, whatever
// became of that, and with another error if the key cannot sign, or is not the issuer's.
func (t *Token) Sign(key crypto.Signer) (*x509.Certificate, error) {
	hash, ok := hashes[t.cert.SignatureAlgorithm]
	if !ok {
		return nil, fmt.Errorf("sign certificate: with %s, which no CA does", t.cert.SignatureAlgorithm)
	}
	if !t.spent.CompareAndSwap(false, true) {
		return nil, ErrToken
	}
	signature, err := crypto.SignMessage(key, rand.Reader, t.cert.RawTBSCertificate, hash)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	by := t.issuer
	if by == nil {
		by = t.cert
	}
	// A module can fail, and a key be the wrong one.
	if err := by.CheckSignature(t.cert.SignatureAlgorithm, t.cert.RawTBSCertificate, signature); err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	var bits cryptobyte.Builder
	bits.AddASN1BitString(signature)
	der, err := assemble(t.cert.RawTBSCertificate, bits.BytesOrPanic())
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return cert, nil
}
