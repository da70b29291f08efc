package trust

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// The shapes on the wire. Deterministic CBOR puts the members of a map in the
// order of their keys.
type (
	wireFile struct {
		_          struct{} `cbor:",toarray"`
		Payload    []byte
		Signatures []wireSign1
	}
	wireSign1 struct { // tagged 18
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

const maxSignature = 4096 // bytes: room for ML-DSA beside what is verified today

var null = cbor.RawMessage{0xF6}

// signature is one signature of a file that was read.
type signature struct {
	wireProtected
	value []byte
}

// file is a file that was read; none of its signatures is verified.
type file struct {
	payload    []byte
	signatures []signature
}

// parseFile reads the outer array and the COSE headers, bounds first.
func parseFile(b []byte, limit int, typ string) (*file, error) {
	if len(b) > limit {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, limit)
	}
	var w wireFile
	if err := decode(b, &w); err != nil {
		return nil, err
	}
	if n := len(w.Signatures); n < 1 || n > MaxSignatures {
		return nil, malformed("number of signatures")
	}
	f := &file{payload: w.Payload, signatures: make([]signature, len(w.Signatures))}
	seen := map[[8]byte]bool{}
	for i, s := range w.Signatures {
		p, err := s.protected(typ)
		if err != nil {
			return nil, err
		}
		if seen[p.KID] {
			return nil, malformed("two signatures by one key")
		}
		seen[p.KID] = true
		f.signatures[i] = signature{p, s.Signature}
	}
	return f, nil
}

func (s wireSign1) protected(typ string) (wireProtected, error) {
	var p wireProtected
	if len(s.Protected) > 128 || len(s.Signature) == 0 || len(s.Signature) > maxSignature {
		return p, malformed("signature or its header too long or empty")
	}
	if !bytes.Equal(s.Payload, null) {
		return p, malformed("signature with a payload of its own")
	}
	if err := decode(s.Protected, &p); err != nil {
		return p, err
	}
	if p.Type != typ {
		return p, malformed("typ of another kind of object")
	}
	return p, nil
}

// verify holds the file against the keys that may sign it. Each signature by one
// of them must verify, and there must be one. Signatures by other keys count for
// nothing.
func (f *file) verify(typ string, permitted []Signer) error {
	found := false
	for _, s := range f.signatures {
		for _, k := range permitted {
			if k.KID != s.KID {
				continue
			}
			if err := s.verify(typ, f.payload, k); err != nil {
				return err
			}
			found = true
		}
	}
	if !found {
		return ErrSigner
	}
	return nil
}

// verify checks one signature. The algorithm is the key's; the header must agree.
func (s signature) verify(typ string, payload []byte, k Signer) error {
	if s.Alg != k.Alg {
		return fmt.Errorf("%w: algorithm is not the key's", ErrSignature)
	}
	pub, err := ParsePublic(k.Alg, k.Public)
	if err != nil {
		return err
	}
	verifier, err := cose.NewVerifier(cose.Algorithm(k.Alg), pub)
	if err != nil {
		return fmt.Errorf("%w: algorithm not available", ErrSignature)
	}
	m := message(typ, k.Alg, k.KID, payload)
	m.Signature = s.value
	if err := m.Verify(nil, verifier); err != nil {
		return ErrSignature
	}
	return nil
}

// message returns the COSE_Sign1 with everything but its signature.
func message(typ string, alg int64, kid [8]byte, payload []byte) *cose.Sign1Message {
	m := cose.NewSign1Message()
	m.Headers.Protected = cose.ProtectedHeader{
		cose.HeaderLabelAlgorithm: cose.Algorithm(alg),
		cose.HeaderLabelKeyID:     kid[:],
		cose.HeaderLabelType:      typ,
	}
	m.Payload = payload
	return m
}

// sign returns the file of a payload with a signature by each signer.
func sign(typ string, payload []byte, limit int, signers []KeySigner) ([]byte, error) {
	if n := len(signers); n < 1 || n > MaxSignatures {
		return nil, malformed("number of signers")
	}
	w := wireFile{Payload: payload}
	for _, s := range signers {
		one, err := sign1(typ, payload, s)
		if err != nil {
			return nil, err
		}
		w.Signatures = append(w.Signatures, one)
	}
	b, err := encMode.Marshal(w)
	if err != nil {
		return nil, err
	}
	if _, err := parseFile(b, limit, typ); err != nil {
		return nil, err
	}
	return b, nil
}

func sign1(typ string, payload []byte, s KeySigner) (wireSign1, error) {
	if err := s.check(); err != nil {
		return wireSign1{}, err
	}
	signer, err := cose.NewSigner(cose.Algorithm(s.Alg), hashed{s.Key, hashes[s.Alg]})
	if err != nil {
		return wireSign1{}, err
	}
	m := message(typ, s.Alg, s.KID, payload)
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		return wireSign1{}, fmt.Errorf("sign: %w", err)
	}
	protected, err := encMode.Marshal(wireProtected{s.Alg, s.KID, typ})
	if err != nil {
		return wireSign1{}, err
	}
	return wireSign1{Protected: protected, Payload: null, Signature: m.Signature}, nil
}

// hashed tells the key which hash it is given. go-cose tells it nothing, and a
// signer may refuse that.
type hashed struct {
	crypto.Signer
	hash crypto.Hash
}

// hashes of the algorithms; Ed25519 signs the message itself.
var hashes = map[int64]crypto.Hash{
	int64(cose.AlgorithmES256): crypto.SHA256,
	int64(cose.AlgorithmES384): crypto.SHA384,
}

// Sign implements crypto.Signer.
func (h hashed) Sign(rand io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return h.Signer.Sign(rand, digest, h.hash)
}

func (s KeySigner) check() error {
	if s.Key == nil {
		return malformed("signer without a key")
	}
	alg, err := AlgOf(s.Key.Public())
	if err != nil {
		return err
	}
	spki, err := spkiOf(s.Key.Public())
	if err != nil {
		return err
	}
	if alg != s.Alg || KIDOf(spki) != s.KID {
		return malformed("signer's algorithm or kid is not its key's")
	}
	return nil
}

func spkiOf(pub crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, malformed("public key")
	}
	return spki, nil
}
