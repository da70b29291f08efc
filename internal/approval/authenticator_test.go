package approval_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json/v2"
	"testing"

	"github.com/signet-city/signet/internal/approval"
)

// The flags of authenticator data (WebAuthn section 6.1).
const (
	flagUP = 1 << 0
	flagUV = 1 << 2
	flagBE = 1 << 3
	flagBS = 1 << 4
	flagAT = 1 << 6
)

// authenticator is one passkey in software, and the browser around it. A test
// changes what it says to make it lie.
type authenticator struct {
	key        *ecdsa.PrivateKey
	id, handle []byte
	count      uint32
	flags      byte
	rpID       string
	origin     string
	cross      bool
	kind       string // of the ceremony, "" for the right one
	challenge  string // "" for the right one
}

func newAuthenticator(t testing.TB) *authenticator {
	t.Helper()
	a := &authenticator{key: newKey(t, elliptic.P256()), id: make([]byte, 32), flags: flagUP | flagUV, rpID: rpID, origin: issuer}
	_, _ = rand.Read(a.id)
	return a
}

func (a *authenticator) clientData(t testing.TB, kind, challenge string) []byte {
	t.Helper()
	if a.kind != "" {
		kind = a.kind
	}
	if a.challenge != "" {
		challenge = a.challenge
	}
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": a.cross}, json.Deterministic(true))
	check(t, err)
	return b
}

func (a *authenticator) data(flags byte, attested []byte) []byte {
	hash := sha256.Sum256([]byte(a.rpID))
	b := append(hash[:], flags)
	b = binary.BigEndian.AppendUint32(b, a.count)
	return append(b, attested...)
}

// coseKey is the passkey's public half.
func (a *authenticator) coseKey() []byte {
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	b := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33]...)
	return append(append(b, 0x22, 0x58, 32), point[33:]...)
}

// create answers navigator.credentials.create: attestation "none".
func (a *authenticator) create(t testing.TB, o approval.PasskeyOptions) approval.Enrolment {
	t.Helper()
	a.handle = o.UserHandle
	attested := make([]byte, 16) // AAGUID
	attested = binary.BigEndian.AppendUint16(attested, uint16(len(a.id)))
	attested = append(append(attested, a.id...), a.coseKey()...)
	data := a.data(a.flags|flagAT, attested)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(object, 0x67), "attStmt"...)
	object = append(append(object, 0xa0, 0x68), "authData"...)
	object = binary.BigEndian.AppendUint16(append(object, 0x59), uint16(len(data)))
	object = append(object, data...)
	return approval.Enrolment{ID: a.id, ClientData: a.clientData(t, "webauthn.create", o.Challenge), Attestation: object, Name: "Key"}
}

// get answers navigator.credentials.get for a statement.
func (a *authenticator) get(t testing.TB, statement []byte) *approval.Assertion {
	t.Helper()
	clientData := a.clientData(t, "webauthn.get", approval.ChallengeText(statement))
	data := a.data(a.flags, nil)
	hash := sha256.Sum256(clientData)
	signed := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	check(t, err)
	return &approval.Assertion{ID: a.id, ClientData: clientData, AuthenticatorData: data, Signature: signature, UserHandle: a.handle}
}
