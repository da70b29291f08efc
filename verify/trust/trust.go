// Package trust is the wire format of what a verifier trusts: the root
// statement, the trust bundle and the head, and the file of a stolen key's
// genuine permits. It encodes and signs them, parses them and verifies them from
// a pinned root key down.
//
//	[ payload, [ COSE_Sign1 with detached payload, … ] ]
//
// The rules, with their numbers and vectors, stand in docs/spec/trust.md. The
// package is pure: it takes values and returns values, and has neither clock,
// network nor database. What the lists mean for one permit is decided in package
// verify.
//
// A bundle may come from a USB stick, so sizes, depths and counts are bounded
// before anything is built from the bytes, one encoding of each value is accepted
// (RFC 8949 section 4.2, deterministic CBOR), and Open* read what is inside only
// after a signature that leads to the pin.
package trust

import (
	"crypto"
	"crypto/sha256"
	"errors"
)

// The protected typ of each object (RFC 9596), compared exactly.
const (
	TypeRoot   = "application/signet-root+cose"
	TypeBundle = "application/signet-bundle+cose"
	TypeHead   = "application/signet-head+cose"
)

// Bounds of what is read and of what is signed.
const (
	// MaxRoot, MaxBundle, MaxHead and MaxGenuine are the longest files, in bytes.
	MaxRoot    = 64 << 10
	MaxBundle  = 16 << 20
	MaxHead    = 16 << 10
	MaxGenuine = 64 << 20
	// MaxSignatures is how many signatures one object carries.
	MaxSignatures = 4
	// MaxBundleLife and MaxHeadLife bound exp minus iat, in seconds: what a
	// signer that was stolen and withdrawn can still do ends by then.
	MaxBundleLife = 92 * 86400
	MaxHeadLife   = 31 * 86400
	// Skew is how far a verifier's clock may be behind the signer's, in seconds.
	Skew = 300
)

// What can be wrong. Every error of this package wraps one of them.
var (
	// ErrMalformed says that the bytes, or a value to be signed, break the format.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge says that a bound of size was passed.
	ErrTooLarge = errors.New("too large")
	// ErrSigner says that no signer that the pin leads to has signed.
	ErrSigner = errors.New("no permitted signer")
	// ErrSignature says that a permitted signer's signature does not verify.
	ErrSignature = errors.New("bad signature")
	// ErrExpired says that now is not before the object's end.
	ErrExpired = errors.New("expired")
	// ErrFuture says that the object was made after now: the clock is wrong.
	ErrFuture = errors.New("made after now")
	// ErrRollback says that a version or sequence number fell.
	ErrRollback = errors.New("older than one already seen")
	// ErrFork says that a number came again with other bytes, or that a bundle
	// does not follow the one seen before it.
	ErrFork = errors.New("differs from the one already seen")
)

// Signer is a key that the root permits to sign one kind of object. Times are
// seconds UTC; a signature counts when its object's iat is in From ≤ iat < Until.
type Signer struct {
	KID    [8]byte `cbor:"1,keyasint"` // KIDOf(Public)
	Alg    int64   `cbor:"2,keyasint"` // COSE
	Public []byte  `cbor:"3,keyasint"` // SubjectPublicKeyInfo, DER
	From   int64   `cbor:"4,keyasint"`
	Until  int64   `cbor:"5,keyasint"`
}

// RootStatement is what the root says, in the ceremony and seldom after.
type RootStatement struct {
	Version  uint64   `cbor:"1,keyasint"` // from 1, never falls
	IssuedAt int64    `cbor:"2,keyasint"`
	Expires  int64    `cbor:"3,keyasint"`
	Bundle   []Signer `cbor:"4,keyasint,omitempty"` // trust-list signers
	Status   []Signer `cbor:"5,keyasint,omitempty"` // signers of snapshots and heads
	Log      []Signer `cbor:"6,keyasint,omitempty"` // checkpoint keys
	Next     []byte   `cbor:"7,keyasint,omitempty"` // the next root's SubjectPublicKeyInfo, or nil
}

// Names are a thing's names in Chinese and in English.
type Names struct {
	ZH string `cbor:"1,keyasint"`
	EN string `cbor:"2,keyasint"`
}

// The levels of government.
const (
	LevelCity     = "city"
	LevelDistrict = "district"
)

// Agency is a body that may issue permits.
type Agency struct {
	ID        string `cbor:"1,keyasint"`
	USCC      string `cbor:"2,keyasint,omitempty"`
	Names     `cbor:"3,keyasint"`
	Level     string `cbor:"4,keyasint"` // LevelCity or LevelDistrict
	Parent    string `cbor:"5,keyasint,omitempty"`
	Area      string `cbor:"6,keyasint"` // GB/T 2260, six digits
	Successor string `cbor:"7,keyasint,omitempty"`
}

// The states of a key that a bundle can show. Only KeyCompromised changes a
// verdict; the others are for people.
const (
	KeyPublished   = "published"
	KeyActive      = "active"
	KeyRetiring    = "retiring"
	KeyRetired     = "retired"
	KeyCompromised = "compromised"
)

// Key is an agency's permit key.
type Key struct {
	KID           [8]byte  `cbor:"1,keyasint"` // the first 8 bytes of CertHash
	Alg           int64    `cbor:"2,keyasint"` // COSE
	Public        []byte   `cbor:"3,keyasint"` // SubjectPublicKeyInfo, DER
	CertHash      [32]byte `cbor:"4,keyasint"` // SHA-256 of the certificate's DER
	Agency        string   `cbor:"5,keyasint"`
	SignFrom      int64    `cbor:"6,keyasint"`
	SignUntil     int64    `cbor:"7,keyasint"`
	VerifyUntil   int64    `cbor:"8,keyasint"` // not before the latest exp that the key signs
	State         string   `cbor:"9,keyasint"`
	CompromisedAt int64    `cbor:"10,keyasint,omitempty"`
	Genuine       []byte   `cbor:"11,keyasint,omitempty"` // SHA-256 of the file of genuine permits, or nil
}

// Authority lets an agency issue a type in an area, for permits with
// From ≤ iat < Until; Until 0 is open.
type Authority struct {
	Agency string `cbor:"1,keyasint"`
	Type   string `cbor:"2,keyasint"`
	Area   string `cbor:"3,keyasint"` // the agency's own, or within it
	From   int64  `cbor:"4,keyasint"`
	Until  int64  `cbor:"5,keyasint,omitempty"`
}

// The kinds of holder of a type.
const (
	HolderFirm   = "firm"
	HolderPerson = "person"
)

// Type is a licence type. Codes, field numbers and the dictionary are
// append-only: permits in people's pockets use them.
type Type struct {
	Code         uint64 `cbor:"1,keyasint"` // what stands in a permit
	ID           string `cbor:"2,keyasint"`
	Names        `cbor:"3,keyasint"`
	HolderKind   string     `cbor:"4,keyasint"` // HolderFirm or HolderPerson
	Fields       []Field    `cbor:"5,keyasint,omitempty"`
	Lists        []CodeList `cbor:"6,keyasint,omitempty"`
	Dictionary   []byte     `cbor:"7,keyasint,omitempty"` // deflate preset dictionary, or nil
	MaxStatusAge int64      `cbor:"8,keyasint"`           // the oldest status allowed, in seconds
	Reissue      int64      `cbor:"9,keyasint,omitempty"` // re-issue period of a type without an end date, in seconds
}

// Field is one numbered field of a type.
type Field struct {
	No    uint64 `cbor:"1,keyasint"` // 4 and up
	Name  string `cbor:"2,keyasint"` // as in the licence's data
	Names `cbor:"3,keyasint"`
	List  string `cbor:"4,keyasint,omitempty"` // id of the code list of its values, or ""
}

// CodeList lets values that recur travel as numbers.
type CodeList struct {
	ID    string `cbor:"1,keyasint"`
	Codes []Code `cbor:"2,keyasint"`
}

// Code is one value of a list.
type Code struct {
	Code  uint64 `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint"` // as in the licence's data
	Names `cbor:"3,keyasint"`
}

// StatusList says where a status list is published.
type StatusList struct {
	No  uint32 `cbor:"1,keyasint"`
	URI string `cbor:"2,keyasint"`
}

// Bundle is what an offline verifier carries. The order of the slices means
// nothing to SignBundle, which sorts them; what Parse and Open return is sorted.
type Bundle struct {
	Seq       uint64       `cbor:"1,keyasint"` // from 1, never falls
	IssuedAt  int64        `cbor:"2,keyasint"`
	Expires   int64        `cbor:"3,keyasint"`
	Previous  []byte       `cbor:"4,keyasint,omitempty"` // Hash of the bundle before, nil for the first
	Agencies  []Agency     `cbor:"5,keyasint,omitempty"`
	Keys      []Key        `cbor:"6,keyasint,omitempty"`
	Authority []Authority  `cbor:"7,keyasint,omitempty"`
	Types     []Type       `cbor:"8,keyasint,omitempty"`
	Lists     []StatusList `cbor:"9,keyasint,omitempty"`
	Root      []byte       `cbor:"10,keyasint"` // the current root statement's file
}

// Head says which bundle and snapshot are current. A status signer signs it, and
// can add no key by it.
type Head struct {
	BundleSeq    uint64   `cbor:"1,keyasint"`
	BundleHash   [32]byte `cbor:"2,keyasint"`
	SnapshotSeq  uint64   `cbor:"3,keyasint"`
	SnapshotHash [32]byte `cbor:"4,keyasint"`
	Checkpoint   []byte   `cbor:"5,keyasint,omitempty"` // the log's signed note
	IssuedAt     int64    `cbor:"6,keyasint"`
	Expires      int64    `cbor:"7,keyasint"`
}

// KIDOf names a root key or a signer: the first 8 bytes of SHA-256 of its
// SubjectPublicKeyInfo.
func KIDOf(spkiDER []byte) [8]byte {
	sum := sha256.Sum256(spkiDER)
	return [8]byte(sum[:8])
}

// Hash names a file of this package: SHA-256 of all its bytes.
func Hash(file []byte) [32]byte { return sha256.Sum256(file) }

// KeySigner is a key about to sign. Its KID is KIDOf of its public half.
type KeySigner struct {
	KID [8]byte
	Alg int64
	Key crypto.Signer
}
