package approval

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/signet-city/signet/internal/fault"
)

// TypeCOSE is the protected typ of a statement's COSE_Sign1 (RFC 9596).
const TypeCOSE = "application/signet-approval+cose"

// MaxCOSE bounds a COSE_Sign1, in bytes: its payload is detached.
const MaxCOSE = 512

type (
	wireSign1 struct {
		_           struct{} `cbor:",toarray"`
		Protected   []byte
		Unprotected struct{}
		Payload     cbor.RawMessage // null: detached
		Signature   []byte
	}
	wireProtected struct {
		Alg  int64   `cbor:"1,keyasint"`
		KID  [8]byte `cbor:"4,keyasint"`
		Type string  `cbor:"16,keyasint"`
	}
)

// tagSign1 is the head of tag 18, which stands before the array.
const tagSign1 = 0xD2

// algorithmOf returns the COSE algorithm of a public key: ES256 on P-256, ES384 on
// P-384, nothing else.
func algorithmOf(public crypto.PublicKey) (cose.Algorithm, crypto.Hash, error) {
	if k, ok := public.(*ecdsa.PublicKey); ok && k != nil {
		switch k.Curve {
		case elliptic.P256():
			return cose.AlgorithmES256, crypto.SHA256, nil
		case elliptic.P384():
			return cose.AlgorithmES384, crypto.SHA384, nil
		}
	}
	return 0, 0, fault.New(fault.Invalid, "the key is not an EC key on P-256 or P-384")
}

// KeyID returns the kid of a public key: the first 8 bytes of SHA-256 of its
// SubjectPublicKeyInfo. It fails with kind Invalid for a key that approves nothing.
func KeyID(public crypto.PublicKey) (kid [8]byte, err error) {
	if _, _, err := algorithmOf(public); err != nil {
		return kid, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return kid, fault.Wrap(fault.Invalid, "the key cannot be encoded", err)
	}
	sum := sha256.Sum256(spki)
	copy(kid[:], sum[:])
	return kid, nil
}

// SignCOSE signs a statement on the officer's own machine, which has read it: the
// answer is a COSE_Sign1 whose payload, the statement, is detached. It fails with
// ErrMalformed or ErrTooLarge for bytes that are no statement, and with kind Invalid
// for a key of another kind.
func SignCOSE(statement []byte, key crypto.Signer) ([]byte, error) {
	if _, err := ParseStatement(statement); err != nil {
		return nil, err
	}
	return signAs(TypeCOSE, statement, key)
}

// signAs signs content for one purpose.
func signAs(typ string, content []byte, key crypto.Signer) ([]byte, error) {
	alg, hash, err := algorithmOf(key.Public())
	if err != nil {
		return nil, err
	}
	kid, err := KeyID(key.Public())
	if err != nil {
		return nil, err
	}
	signer, err := cose.NewSigner(alg, hashed{key, hash})
	if err != nil {
		return nil, err
	}
	m := message(typ, alg, kid, content)
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	protected, err := encMode.Marshal(wireProtected{int64(alg), kid, typ})
	if err != nil {
		return nil, err
	}
	b, err := encMode.Marshal(wireSign1{Protected: protected, Payload: null, Signature: m.Signature})
	if err != nil {
		return nil, err
	}
	return append([]byte{tagSign1}, b...), nil
}

// VerifyCOSE checks that a COSE_Sign1 is over these bytes by this key. It fails
// with ErrMalformed or ErrTooLarge for what cannot be read and with ErrSignature for
// what does not verify. The statement itself is for ParseStatement.
func VerifyCOSE(statement, sign1 []byte, public crypto.PublicKey) error {
	return verifyAs(TypeCOSE, statement, sign1, public)
}

// verifyAs is VerifyCOSE for one purpose.
func verifyAs(typ string, content, sign1 []byte, public crypto.PublicKey) error {
	p, signature, err := parseSign1(sign1, typ)
	if err != nil {
		return err
	}
	alg, _, err := algorithmOf(public)
	if err != nil {
		return err
	}
	kid, err := KeyID(public)
	if err != nil {
		return err
	}
	if p.Alg != int64(alg) || p.KID != kid {
		return fmt.Errorf("%w: another key's", ErrSignature)
	}
	verifier, err := cose.NewVerifier(alg, public)
	if err != nil {
		return fmt.Errorf("%w: algorithm not available", ErrSignature)
	}
	m := message(typ, alg, kid, content)
	m.Signature = signature
	if err := m.Verify(nil, verifier); err != nil {
		return ErrSignature
	}
	return nil
}

var null = cbor.RawMessage{0xF6}

// parseSign1 reads a COSE_Sign1, bounds first.
func parseSign1(b []byte, typ string) (p wireProtected, signature []byte, err error) {
	if len(b) > MaxCOSE {
		return p, nil, fmt.Errorf("%w: signature over %d bytes", ErrTooLarge, MaxCOSE)
	}
	rest, ok := bytes.CutPrefix(b, []byte{tagSign1})
	if !ok {
		return p, nil, malformed("not a COSE_Sign1")
	}
	var w wireSign1
	if err := decode(rest, &w); err != nil {
		return p, nil, err
	}
	if !bytes.Equal(w.Payload, null) {
		return p, nil, malformed("the payload is not detached")
	}
	if err := decode(w.Protected, &p); err != nil {
		return p, nil, err
	}
	switch {
	case p.Type != typ:
		return p, nil, malformed("typ of another kind of object")
	case p.Alg == int64(cose.AlgorithmES256) && len(w.Signature) == 64, p.Alg == int64(cose.AlgorithmES384) && len(w.Signature) == 96:
		return p, w.Signature, nil
	default:
		return p, nil, malformed("algorithm or length of the signature")
	}
}

// message returns the COSE_Sign1 with everything but its signature.
func message(typ string, alg cose.Algorithm, kid [8]byte, content []byte) *cose.Sign1Message {
	m := cose.NewSign1Message()
	m.Headers.Protected = cose.ProtectedHeader{cose.HeaderLabelAlgorithm: alg, cose.HeaderLabelKeyID: kid[:], cose.HeaderLabelType: typ}
	m.Payload = content
	return m
}

// hashed tells the key which hash it is given. go-cose tells it nothing, and a key
// on a token may refuse that.
type hashed struct {
	crypto.Signer
	hash crypto.Hash
}

// Sign implements crypto.Signer.
func (h hashed) Sign(rand io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return h.Signer.Sign(rand, digest, h.hash)
}
