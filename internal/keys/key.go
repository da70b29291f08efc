package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/fault"
)

// The purposes that a key can have.
const (
	PurposeCA     = "ca"     // an issuing CA
	PurposeTrust  = "trust"  // trust-list signer
	PurposeStatus = "status" // status signer
	PurposeOCSP   = "ocsp"   // OCSP responder
	PurposeTLS    = "tls"    // the city's own servers
	PurposeToken  = "token"  // access and identity tokens
	PurposeLog    = "log"    // checkpoints of the audit log
	PurposePermit = "permit" // an agency's permits
)

var purposes = []string{PurposeCA, PurposeTrust, PurposeStatus, PurposeOCSP, PurposeTLS, PurposeToken, PurposeLog, PurposePermit}

// The algorithms that a key can have.
const (
	ES256   = "ES256"   // ECDSA on P-256
	ES384   = "ES384"   // ECDSA on P-384
	Ed25519 = "Ed25519" // RFC 8032, in files only
	RS256   = "RS256"   // RSASSA-PKCS1-v1_5 with SHA-256, 3072 bits; in files, for tokens only
)

// rsaBits is the size of RSA keys.
const rsaBits = 3072

// The backends that can hold a private key.
const (
	BackendFile   = "file"   // encrypted in the database
	BackendPKCS11 = "pkcs11" // in a token
)

// State is where a key stands in its life.
type State string

// The states of a key.
const (
	Staged      State = "staged"      // made, known to nobody
	Published   State = "published"   // verifiers learn of it; it signs nothing yet
	Active      State = "active"      // signs
	Retiring    State = "retiring"    // signs nothing new; what it signed is still checked
	Retired     State = "retired"     // its private half is destroyed
	Compromised State = "compromised" // its signatures are no longer believed
)

var states = []State{Staged, Published, Active, Retiring, Retired, Compromised}

// edges are the legal moves.
var edges = map[State][]State{
	Staged:    {Published, Retired, Compromised},
	Published: {Active, Compromised},
	Active:    {Retiring, Compromised},
	Retiring:  {Retired, Compromised},
}

// Key is the public side of a key. A time is zero until it happens.
type Key struct {
	ID, Purpose, Owner, Alg, Backend string

	State       State
	Public      crypto.PublicKey // *ecdsa.PublicKey or ed25519.PublicKey
	Certificate []byte           // DER, nil for none

	Created, Published, Activated, Retiring, Retired, Compromised time.Time

	Paused time.Time // zero while it is not paused
	Since  time.Time // from when on a compromised key is not believed
}

// Place is where at most one key is active.
type Place struct{ Purpose, Owner string }

// Spec says what key Create makes. Actor stands in the audit event.
type Spec struct {
	Purpose, Owner, Alg, Backend, Actor string
}

// Filter says which keys List returns. Empty fields do not restrict.
type Filter struct {
	Purpose, Owner string
	States         []State
}

func (s Spec) check() error {
	var problems []fault.Problem
	add := func(bad bool, path, message string) {
		if bad {
			problems = append(problems, fault.Problem{Path: path, Message: message})
		}
	}
	add(!slices.Contains(purposes, s.Purpose), "purpose", "want one of "+strings.Join(purposes, ", "))
	add(!isName(s.Owner), "owner", "want 1 to 64 of a-z 0-9 . _ - :")
	add(s.Alg != ES256 && s.Alg != ES384 && s.Alg != Ed25519 && s.Alg != RS256, "alg", "want ES256, ES384, Ed25519 or RS256")
	add(s.Alg == RS256 && (s.Purpose != PurposeToken || s.Backend != BackendFile), "alg", "RS256 is for tokens of older sites, in the file backend")
	add(s.Backend != BackendFile && s.Backend != BackendPKCS11, "backend", "want file or pkcs11")
	add(s.Alg == Ed25519 && s.Backend == BackendPKCS11, "alg", "Ed25519 is not to be had through PKCS#11: choose ES256 or ES384, or the file backend")
	add(s.Purpose == PurposeLog && s.Alg != Ed25519, "alg", "checkpoints of the log are signed with Ed25519")
	if problems != nil {
		return fault.InvalidInput("this key cannot be made", problems...)
	}
	return checkActor(s.Actor)
}

// isName bounds what stands in columns, events and AADs. It has no '|', which
// separates the parts of an AAD.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' && c != ':' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func checkActor(actor string) error {
	if actor == "" || !isText(actor, 128) {
		return fault.New(fault.Invalid, "an actor of 1 to 128 characters is required")
	}
	return nil
}

func checkReason(reason string) error {
	if !isText(reason, 500) {
		return fault.New(fault.Invalid, "a reason has at most 500 bytes of printable text")
	}
	return nil
}

func isText(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// algOf returns the algorithm that a public key is for.
func algOf(public crypto.PublicKey) (string, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return ES256, nil
		case elliptic.P384():
			return ES384, nil
		}
	case ed25519.PublicKey:
		return Ed25519, nil
	case *rsa.PublicKey:
		if k.N.BitLen() == rsaBits {
			return RS256, nil
		}
	}
	return "", fmt.Errorf("public key of type %T has no algorithm here", public)
}

// samePublic reports whether a and b are the same key.
func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
