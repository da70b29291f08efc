package approval

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/signet-city/signet/internal/db"
)

// Bounds of APR1.
const (
	MaxStatement = MaxResolved + 2<<10 // bytes of a statement
	MaxLife      = 7 * 24 * 3600       // seconds between a statement's times

	maxPerson = 64
	maxOrigin = 255
	maxKind   = 64
	lastTime  = 253402300799 // 9999-12-31T23:59:59Z
)

// statementVersion is the first member of every statement.
const statementVersion = "signet-approval/1"

// Errors of APR1. What wraps them says which rule was broken.
var (
	ErrMalformed = errors.New("malformed approval statement")
	ErrTooLarge  = errors.New("approval statement too large")
	ErrSignature = errors.New("approval statement's signature is not right")
)

// Statement is what an approver signs: docs/spec/apr1.md.
type Statement struct {
	Kind      string
	Resolved  jsontext.Value // canonical JSON: what would be done
	Request   string         // id
	Requester string         // person
	Approver  string         // person
	Nonce     [32]byte
	IssuedAt  int64  // seconds since 1970: when the request was made
	Expires   int64  // from then on it is worth nothing
	Origin    string // of the service, https://HOST[:PORT]
}

// wireStatement is a statement in deterministic CBOR.
type wireStatement struct {
	Version   string   `cbor:"1,keyasint"`
	Kind      string   `cbor:"2,keyasint"`
	Hash      [32]byte `cbor:"3,keyasint"`
	Resolved  []byte   `cbor:"4,keyasint"`
	Request   string   `cbor:"5,keyasint"`
	Requester string   `cbor:"6,keyasint"`
	Approver  string   `cbor:"7,keyasint"`
	Nonce     [32]byte `cbor:"8,keyasint"`
	IssuedAt  int64    `cbor:"9,keyasint"`
	Expires   int64    `cbor:"10,keyasint"`
	Origin    string   `cbor:"11,keyasint"`
}

// Encode returns the statement's bytes. It fails with ErrMalformed or ErrTooLarge
// for a statement that no reader would accept.
func (s Statement) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return encMode.Marshal(wireStatement{statementVersion, s.Kind, sha256.Sum256(s.Resolved), s.Resolved, s.Request, s.Requester, s.Approver,
		s.Nonce, s.IssuedAt, s.Expires, s.Origin})
}

// ParseStatement reads a statement. It accepts only what Encode returns, and fails
// with ErrMalformed or ErrTooLarge.
func ParseStatement(b []byte) (Statement, error) {
	if len(b) > MaxStatement {
		return Statement{}, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxStatement)
	}
	var w wireStatement
	if err := decode(b, &w); err != nil {
		return Statement{}, err
	}
	if w.Version != statementVersion {
		return Statement{}, malformed("another version")
	}
	if sha256.Sum256(w.Resolved) != w.Hash {
		return Statement{}, malformed("the hash is not that of the resolved request")
	}
	s := Statement{Kind: w.Kind, Resolved: w.Resolved, Request: w.Request, Requester: w.Requester, Approver: w.Approver, Nonce: w.Nonce,
		IssuedAt: w.IssuedAt, Expires: w.Expires, Origin: w.Origin}
	return s, s.check()
}

func (s Statement) check() error {
	_, err := db.IDBytes(s.Request)
	switch {
	case len(s.Resolved) > MaxResolved:
		return fmt.Errorf("%w: resolved request over %d bytes", ErrTooLarge, MaxResolved)
	case !isKind(s.Kind):
		return malformed("kind")
	case err != nil:
		return malformed("request's id")
	case !isVisible(s.Requester, maxPerson) || !isVisible(s.Approver, maxPerson):
		return malformed("requester or approver")
	case s.Kind == KindBreakGlass && (s.Requester != quorumName || s.Approver != quorumName):
		return malformed("only the quorum breaks the glass")
	case s.Kind != KindBreakGlass && (s.Requester == quorumName || s.Approver == quorumName || s.Requester == s.Approver):
		return malformed("requester and approver are not two people")
	case s.IssuedAt < 0 || s.Expires > lastTime || s.Expires <= s.IssuedAt || s.Expires-s.IssuedAt > MaxLife:
		return malformed("times")
	case !isVisible(s.Origin, maxOrigin) || !strings.Contains(s.Origin, "://"):
		return malformed("origin")
	case !isCanonical(s.Resolved):
		return malformed("resolved request is not canonical JSON")
	}
	return nil
}

// Challenge returns the WebAuthn challenge that stands for a statement.
func Challenge(statement []byte) [32]byte {
	return sha256.Sum256(append([]byte("APR1\x00"), statement...))
}

// ChallengeText returns Challenge as it stands in a browser's client data.
func ChallengeText(statement []byte) string {
	c := Challenge(statement)
	return base64.RawURLEncoding.EncodeToString(c[:])
}

// isKind reports whether s is dotted lowercase words.
func isKind(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(s) <= maxKind
}

// isVisible reports whether s is visible ASCII without spaces, and there.
func isVisible(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= most
}

var encMode, decMode = modes()

// modes returns how CBOR is written (RFC 8949 section 4.2) and how it is read.
// Reading alone lets through what is not deterministic; decode compares.
func modes() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	must(err)
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8RejectInvalid,
		MaxNestedLevels: 4, MaxArrayElements: 16, MaxMapPairs: 16, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	must(err)
	return enc, dec
}

func must(err error) {
	if err != nil {
		panic(err) // impossible: the options are constants
	}
}

// decode reads b into v and accepts only what encoding v gives back.
func decode(b []byte, v any) error {
	if decMode.Unmarshal(b, v) != nil {
		return malformed("not the CBOR of this object")
	}
	again, err := encMode.Marshal(v)
	if err != nil || !bytes.Equal(again, b) {
		return malformed("not deterministic CBOR")
	}
	return nil
}

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }
