package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json/v2"
	"testing"
)

// The flags of authenticator data (WebAuthn section 6.1).
const (
	FlagUP = 1 << 0 // the person is there
	FlagUV = 1 << 2 // and was verified
	FlagBE = 1 << 3 // may be backed up
	FlagBS = 1 << 4 // is
	FlagAT = 1 << 6 // attested credential data follow
)

// Authenticator is one passkey in software, on P-256, and the browser around it. A
// test changes what it says to make it lie.
type Authenticator struct {
	Key        *ecdsa.PrivateKey
	ID, Handle []byte
	Count      uint32
	Flags      byte
	RPID       string
	Origin     string
	Cross      bool
	Kind       string // of the ceremony, "" for the right one
	Challenge  string // "" for the right one
}

// NewAuthenticator returns a passkey for localhost that has not signed yet, whose
// person is there and verified.
func NewAuthenticator(t testing.TB, origin string) *Authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authenticator{Key: key, ID: make([]byte, 32), Handle: make([]byte, 32), Flags: FlagUP | FlagUV, RPID: "localhost", Origin: origin}
	_, _ = rand.Read(a.ID)
	_, _ = rand.Read(a.Handle)
	return a
}

// Created is what navigator.credentials.create answers.
type Created struct{ ID, ClientData, Attestation []byte }

// Got is what navigator.credentials.get answers.
type Got struct{ ID, ClientData, AuthenticatorData, Signature, UserHandle []byte }

// Create answers navigator.credentials.create, with attestation "none". The
// challenge is in base64url, as clients' pages hold it.
func (a *Authenticator) Create(t testing.TB, challenge string, handle []byte) Created {
	t.Helper()
	a.Handle = handle
	attested := binary.BigEndian.AppendUint16(make([]byte, 16), uint16(len(a.ID))) // the AAGUID is zero
	attested = append(append(attested, a.ID...), a.COSEKey(t)...)
	data := a.data(a.Flags|FlagAT, attested)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt\x64none\x67attStmt\xa0\x68authData\x59"...)
	object = append(binary.BigEndian.AppendUint16(object, uint16(len(data))), data...)
	return Created{ID: a.ID, ClientData: a.clientData(t, "webauthn.create", challenge), Attestation: object}
}

// Get answers navigator.credentials.get. It does not count: the test does.
func (a *Authenticator) Get(t testing.TB, challenge string) Got {
	t.Helper()
	clientData := a.clientData(t, "webauthn.get", challenge)
	data := a.data(a.Flags, nil)
	hash := sha256.Sum256(clientData)
	signed := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.Key, signed[:])
	if err != nil {
		t.Fatal(err)
	}
	return Got{ID: a.ID, ClientData: clientData, AuthenticatorData: data, Signature: signature, UserHandle: a.Handle}
}

// COSEKey is the passkey's public half: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
func (a *Authenticator) COSEKey(t testing.TB) []byte {
	t.Helper()
	point, err := a.Key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33]...)
	return append(append(b, 0x22, 0x58, 32), point[33:]...)
}

func (a *Authenticator) clientData(t testing.TB, kind, challenge string) []byte {
	t.Helper()
	if a.Kind != "" {
		kind = a.Kind
	}
	if a.Challenge != "" {
		challenge = a.Challenge
	}
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": a.Cross}, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (a *Authenticator) data(flags byte, attested []byte) []byte {
	hash := sha256.Sum256([]byte(a.RPID))
	b := binary.BigEndian.AppendUint32(append(hash[:], flags), a.Count)
	return append(b, attested...)
}

// Text writes bytes as WebAuthn's JSON does: base64url without padding.
func Text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
