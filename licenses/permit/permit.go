// Package permit is the wire format of the permit in a QR code, EL1: it
// encodes and signs one, parses one and verifies its signature.
//
//	"EL1:" + Base45( zlib( COSE_Sign1 ) )
//
// The rules, with their numbers and vectors, stand in docs/spec/el1.md. The
// package is pure: it takes values and returns values, and holds neither clock
// nor trust. Whether the signer may issue the permit, whether it has expired
// and whether it was revoked is decided in package verify.
//
// A permit comes from anybody with a printer, so Parse bounds the characters,
// the inflated size, the maps and the texts before it works on them, and
// accepts one encoding of each value only (RFC 8949 section 4.2, deterministic
// CBOR). The shape is fixed, so there is no recursion and no generic decoder.
package permit

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// Prefix starts every permit. It is part of what is signed, as the external_aad
// of RFC 9052, so that a signature made for another format never counts here.
const Prefix = "EL1:"

// Bounds of a permit.
const (
	// MaxChars is the longest permit, prefix included: what a QR code of
	// version 40 holds at error correction level M in alphanumeric mode.
	MaxChars = 3391
	// MaxInflated is the longest COSE_Sign1, in bytes.
	MaxInflated = 8192
	// MaxPayload is the longest payload that Encode signs, in bytes. It fits a
	// permit even when it does not compress at all.
	MaxPayload = 2048
	// MaxDictionary is the longest preset dictionary, in bytes.
	MaxDictionary = 16384
)

// What can be wrong with a permit. Errors of Parse wrap one of the first three,
// errors of Verify the last; none of them quotes the permit.
var (
	// ErrMalformed says that the text is not an EL1 permit.
	ErrMalformed = errors.New("malformed permit")
	// ErrTooLarge says that a permit passes a bound of its size.
	ErrTooLarge = errors.New("permit too large")
	// ErrDictionary says that a permit was compressed with a preset dictionary
	// that the reader does not have. A newer trust bundle may have it.
	ErrDictionary = errors.New("unknown permit dictionary")
	// ErrSignature says that the signature does not verify under the key.
	ErrSignature = errors.New("bad permit signature")
)

// Permit is a parsed permit. Until Verify has returned nil, nothing in it is
// known to be true.
type Permit struct {
	Claims
	// KID names the signing key; see the function KID.
	KID [8]byte
	// Alg is the COSE algorithm that the permit names.
	Alg int64

	cose, protected, payload, signature []byte
}

// KID names a permit key: the first 8 bytes of SHA-256 of the agency's signing
// certificate.
func KID(certDER []byte) [8]byte {
	sum := sha256.Sum256(certDER)
	return [8]byte(sum[:8])
}

// Parse reads a permit without verifying its signature. dictionary returns the
// preset dictionary with that Adler-32, or nil; it may itself be nil. The error
// wraps ErrMalformed, ErrTooLarge or ErrDictionary.
func Parse(s string, dictionary func(adler32 uint32) []byte) (*Permit, error) {
	p, err := parse(s, dictionary)
	if err != nil {
		return nil, fmt.Errorf("parse permit: %w", err)
	}
	return p, nil
}

func parse(s string, dictionary func(adler32 uint32) []byte) (*Permit, error) {
	if len(s) > MaxChars {
		return nil, fmt.Errorf("%w: over %d characters", ErrTooLarge, MaxChars)
	}
	body, ok := strings.CutPrefix(s, Prefix)
	if !ok {
		return nil, malformed("no " + Prefix + " prefix")
	}
	packed, ok := decodeBase45(body)
	if !ok {
		return nil, malformed("not Base45")
	}
	cose, err := inflate(packed, dictionary)
	if err != nil {
		return nil, err
	}
	return parseCOSE(cose)
}

// COSE returns the permit's COSE_Sign1 object, tagged. The bytes do not name
// the permit: an ECDSA signature has a twin. The claim ID does.
func (p *Permit) COSE() []byte { return p.cose }

// Verify checks the signature under the key. alg is the COSE algorithm that the
// trust bundle gives for the key, and the permit must name the same. The error
// is ErrSignature.
func (p *Permit) Verify(alg int64, pub crypto.PublicKey) error {
	a, ok := findAlgorithm(alg)
	if !ok || alg != p.Alg || !a.verify(pub, sigStructure(p.protected, p.payload), p.signature) {
		return ErrSignature
	}
	return nil
}

// SigStructureHash names what was signed: SHA-256 of the Sig_structure, cut to
// 16 bytes. It is the same for both twins of an ECDSA signature.
func (p *Permit) SigStructureHash() [16]byte {
	return hashOf(sigStructure(p.protected, p.payload))
}

func hashOf(sigStructure []byte) [16]byte {
	sum := sha256.Sum256(sigStructure)
	return [16]byte(sum[:16])
}

func malformed(reason string) error {
	return fmt.Errorf("%w: %s", ErrMalformed, reason)
}
