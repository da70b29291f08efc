package console_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json/v2"
	"testing"

	"github.com/signet-city/signet/internal/approval"
)

// The flags of authenticator data (WebAuthn section 6.1).
const (
	flagUP = 1 << 0
	flagUV = 1 << 2
	flagAT = 1 << 6
)

// authenticator is one passkey in software, and the browser around it. A test
// changes what it says to make it lie.
type authenticator struct {
	key    *ecdsa.PrivateKey
	id     []byte
	count  uint32
	flags  byte
	origin string
}

func newAuthenticator(t testing.TB, origin string) *authenticator {
	t.Helper()
	key, _ := newKey(t)
	a := &authenticator{key: key, id: make([]byte, 32), flags: flagUP | flagUV, origin: origin}
	_, _ = rand.Read(a.id)
	return a
}

func (a *authenticator) clientData(t testing.TB, kind, challenge string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false}, json.Deterministic(true))
	must(t, err)
	return b
}

func (a *authenticator) data(flags byte, attested []byte) []byte {
	hash := sha256.Sum256([]byte("localhost"))
	b := binary.BigEndian.AppendUint32(append(hash[:], flags), a.count)
	return append(b, attested...)
}

// create answers navigator.credentials.create: attestation "none".
func (a *authenticator) create(t testing.TB, o approval.PasskeyOptions) approval.Enrolment {
	t.Helper()
	point, err := a.key.PublicKey.Bytes()
	must(t, err)
	attested := binary.BigEndian.AppendUint16(make([]byte, 16), uint16(len(a.id)))
	attested = append(attested, a.id...)
	// COSE_Key: {1: 2, 3: -7, -1: 1, -2: x, -3: y}
	attested = append(append(attested, 0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32), point[1:33]...)
	attested = append(append(attested, 0x22, 0x58, 32), point[33:]...)
	data := a.data(a.flags|flagAT, attested)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt\x64none\x67attStmt\xa0\x68authData\x59"...)
	object = append(binary.BigEndian.AppendUint16(object, uint16(len(data))), data...)
	return approval.Enrolment{ID: a.id, ClientData: a.clientData(t, "webauthn.create", o.Challenge), Attestation: object, Name: "Key"}
}

// get answers navigator.credentials.get, counting up.
func (a *authenticator) get(t testing.TB, challenge []byte) *approval.Assertion {
	t.Helper()
	a.count++
	clientData := a.clientData(t, "webauthn.get", base64.RawURLEncoding.EncodeToString(challenge))
	data := a.data(a.flags, nil)
	hash := sha256.Sum256(clientData)
	signed := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	must(t, err)
	return &approval.Assertion{ID: a.id, ClientData: clientData, AuthenticatorData: data, Signature: signature}
}
