package status

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha512" // for ES384
	"errors"
	"io"
	"reflect"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// Type is the protected typ of a snapshot (RFC 9596), compared exactly.
const Type = "application/elr1+cose"

// The shapes on the wire. Deterministic CBOR puts their members in the order of
// their keys.
type (
	wireFile struct {
		_      struct{} `cbor:",toarray"`
		Signed wireSign1
		Body   []byte
	}
	wireSign1 struct {
		_           struct{} `cbor:",toarray"`
		Protected   []byte
		Unprotected struct{}
		Payload     []byte
		Signature   []byte
	}
	wireProtected struct {
		Alg  int64  `cbor:"1,keyasint"`
		KID  []byte `cbor:"4,keyasint"`
		Type string `cbor:"16,keyasint"`
	}
	wireHeader struct {
		Seq      uint64      `cbor:"1,keyasint"`
		IssuedAt int64       `cbor:"2,keyasint"`
		Expires  int64       `cbor:"3,keyasint"`
		Lists    []wireCover `cbor:"4,keyasint"`
		BodyHash []byte      `cbor:"5,keyasint"`
	}
	wireCover struct {
		_                      struct{} `cbor:",toarray"`
		No, Revoked, Suspended uint32
	}
)

var encMode, decMode = modes()

// modes returns how CBOR is written (RFC 8949 section 4.2) and read. Reading
// alone lets through what is not deterministic; decode compares.
func modes() (cbor.EncMode, cbor.DecMode) {
	tags := cbor.NewTagSet()
	required := cbor.TagOptions{DecTag: cbor.DecTagRequired, EncTag: cbor.EncTagRequired}
	if err := tags.Add(required, reflect.TypeFor[wireSign1](), cose.CBORTagSign1Message); err != nil {
		panic(err)
	}
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty // or null would be read as empty and written as null again
	enc, err := o.EncModeWithTags(tags)
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxNestedLevels:   5,
		MaxArrayElements:  MaxLists,
		MaxMapPairs:       16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecModeWithTags(tags)
	if err != nil {
		panic(err)
	}
	return enc, dec
}

// decode reads b into v and accepts only what encoding v gives back.
func decode(b []byte, v any) bool {
	if decMode.Unmarshal(b, v) != nil {
		return false
	}
	again, err := encMode.Marshal(v)
	return err == nil && bytes.Equal(again, b)
}

// fits says whether the key is one of the algorithm's (RFC 9053 section 2).
func fits(alg int64, pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return k != nil && (alg == int64(cose.AlgorithmES256) && k.Curve == elliptic.P256() ||
			alg == int64(cose.AlgorithmES384) && k.Curve == elliptic.P384())
	case ed25519.PublicKey:
		return alg == int64(cose.AlgorithmEdDSA) && len(k) == ed25519.PublicKeySize
	}
	return false
}

// message returns the COSE_Sign1 with everything but its signature.
func message(alg int64, kid [8]byte, payload []byte) *cose.Sign1Message {
	m := cose.NewSign1Message()
	m.Headers.Protected = cose.ProtectedHeader{
		cose.HeaderLabelAlgorithm: cose.Algorithm(alg),
		cose.HeaderLabelKeyID:     kid[:],
		cose.HeaderLabelType:      Type,
	}
	m.Payload = payload
	return m
}

func sign1(s Signer, payload []byte) (wireSign1, error) {
	if s.Key == nil || !fits(s.Alg, s.Key.Public()) {
		return wireSign1{}, errors.New("key of another kind than the algorithm")
	}
	signer, err := cose.NewSigner(cose.Algorithm(s.Alg), hashed{s.Key, s.Alg})
	if err != nil {
		return wireSign1{}, err
	}
	m := message(s.Alg, s.KID, payload)
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		return wireSign1{}, err
	}
	protected, err := encMode.Marshal(wireProtected{s.Alg, s.KID[:], Type})
	if err != nil {
		return wireSign1{}, err
	}
	return wireSign1{Protected: protected, Payload: payload, Signature: m.Signature}, nil
}

// hashed gives the key the name of the hash, which go-cose leaves out and which
// keys outside the process need.
type hashed struct {
	crypto.Signer
	alg int64
}

func (h hashed) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	switch h.alg {
	case int64(cose.AlgorithmES256):
		opts = crypto.SHA256
	case int64(cose.AlgorithmES384):
		opts = crypto.SHA384
	}
	return h.Signer.Sign(rand, digest, opts)
}

func verifySign1(alg int64, kid [8]byte, payload, signature []byte, pub crypto.PublicKey) error {
	verifier, err := cose.NewVerifier(cose.Algorithm(alg), pub)
	if err != nil {
		return err
	}
	m := message(alg, kid, payload)
	m.Signature = signature
	return m.Verify(nil, verifier)
}
