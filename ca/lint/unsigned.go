package lint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-city/signet/ca/profile"
)

// stand is what a certificate gets in place of its signature: one that a key made
// over something else and is forgotten since. The rules look at its form alone, and a
// signature anew for each certificate, with x509's check of it, would cost about a
// third of what they do.
type stand struct {
	public    crypto.PublicKey
	signature []byte // the BIT STRING in DER
}

// newStand makes the stand-in for signatures by keys on a curve.
func newStand(curve elliptic.Curve) (stand, error) {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return stand{}, fmt.Errorf("make throwaway key: %w", err)
	}
	digest := sha256.Sum256(nil)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return stand{}, fmt.Errorf("sign with throwaway key: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1BitString(signature)
	bits, err := b.Bytes()
	return stand{public: key.Public(), signature: bits}, err
}

// assemble puts a signature, a BIT STRING in DER, beside what is signed (RFC 5280
// section 4.1). The algorithm outside is the one inside.
func assemble(tbs, signature []byte) ([]byte, error) {
	rest, body, algorithm := cryptobyte.String(tbs), cryptobyte.String(nil), cryptobyte.String(nil)
	if !rest.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) ||
		!body.SkipASN1(cbasn1.INTEGER) || !body.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return nil, errors.New("what would be signed names no algorithm")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddBytes(signature)
	})
	return b.Bytes()
}

// build returns the certificate that template becomes under issuer, nil for the
// self-signed root. All but its signature is as it will be.
func (l *Linter) build(template, issuer *x509.Certificate) (*x509.Certificate, error) {
	signs := template.PublicKey
	if issuer != nil {
		signs = issuer.PublicKey
	}
	a, err := profile.AlgorithmOf(signs)
	if err != nil {
		return nil, fmt.Errorf("lint: %w", err)
	}
	s, ok := l.stands[a]
	if !ok {
		return nil, fmt.Errorf("lint: a CA cannot have a key of type %s", a)
	}
	parent := *template
	if issuer != nil {
		parent = *issuer
	}
	parent.PublicKey = s.public
	reader := &tbsReader{public: s.public}
	if _, err := x509.CreateCertificate(rand.Reader, template, &parent, template.PublicKey, reader); !errors.Is(err, errRead) {
		return nil, fmt.Errorf("lint: build certificate: %w", err)
	}
	der, err := assemble(reader.tbs, s.signature)
	if err != nil {
		return nil, fmt.Errorf("lint: build certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("lint: parse certificate: %w", err)
	}
	return cert, nil
}

// errRead is how a tbsReader ends the making of a certificate.
var errRead = errors.New("what would be signed was read")

// tbsReader takes the place of a key to see what is to be signed. It signs nothing.
type tbsReader struct {
	public crypto.PublicKey
	tbs    []byte
}

// Public implements crypto.Signer.
func (r *tbsReader) Public() crypto.PublicKey { return r.public }

// Sign implements crypto.Signer. It is not called: x509 prefers SignMessage.
func (r *tbsReader) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("nothing is signed here")
}

// SignMessage implements crypto.MessageSigner. It keeps msg and fails with errRead.
func (r *tbsReader) SignMessage(_ io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) {
	r.tbs = slices.Clone(msg)
	return nil, errRead
}
