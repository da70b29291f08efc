package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json/v2"
	"testing"

	"github.com/signet-city/signet/oidc/login"
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
}

func newAuthenticator(t testing.TB, origin string) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	a := &authenticator{key: key, id: make([]byte, 32), handle: make([]byte, 32), flags: flagUP | flagUV, rpID: "localhost", origin: origin}
	_, _ = rand.Read(a.id)
	_, _ = rand.Read(a.handle)
	return a
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *authenticator) clientData(t testing.TB, kind, challenge string) []byte {
	t.Helper()
	if a.kind != "" {
		kind = a.kind
	}
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": a.cross})
	check(t, err)
	return b
}

func (a *authenticator) data(flags byte, attested []byte) []byte {
	hash := sha256.Sum256([]byte(a.rpID))
	b := append(hash[:], flags)
	b = binary.BigEndian.AppendUint32(b, a.count)
	return append(b, attested...)
}

// create answers navigator.credentials.create: attestation "none".
func (a *authenticator) create(t testing.TB, o map[string]any, name string) map[string]any {
	t.Helper()
	var err error
	a.handle, err = base64.RawURLEncoding.DecodeString(o["user_handle"].(string))
	check(t, err)
	attested := make([]byte, 16) // AAGUID
	attested = binary.BigEndian.AppendUint16(attested, uint16(len(a.id)))
	attested = append(attested, a.id...)
	attested = append(attested, login.COSEKey(&a.key.PublicKey)...)
	data := a.data(a.flags|flagAT, attested)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(object, 0x67), "attStmt"...)
	object = append(append(object, 0xa0, 0x68), "authData"...)
	object = binary.BigEndian.AppendUint16(append(object, 0x59), uint16(len(data)))
	object = append(object, data...)
	return map[string]any{"id": b64(a.id), "client_data": b64(a.clientData(t, "webauthn.create", o["challenge"].(string))),
		"attestation": b64(object), "name": name}
}

// get answers navigator.credentials.get.
func (a *authenticator) get(t testing.TB, challenge string) map[string]any {
	t.Helper()
	clientData := a.clientData(t, "webauthn.get", challenge)
	data := a.data(a.flags, nil)
	hash := sha256.Sum256(clientData)
	signed := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	check(t, err)
	return map[string]any{"id": b64(a.id), "client_data": b64(clientData), "authenticator_data": b64(data),
		"signature": b64(signature), "user_handle": b64(a.handle), "next": "/wallet"}
}

// challenge asks for one.
func (c *client) challenge(path string) map[string]any {
	c.t.Helper()
	a := c.json(path, map[string]any{})
	want(c.t, a, 200)
	var o map[string]any
	decode(c.t, a.body, &o)
	return o
}

// enrol enrols the passkey for whoever is signed in.
func (c *client) enrol(a *authenticator, name string) answer {
	c.t.Helper()
	return c.json("/account/passkeys/finish", a.create(c.t, c.challenge("/account/passkeys/begin"), name))
}

// present signs in by the passkey, counting up.
func (c *client) present(a *authenticator) answer {
	c.t.Helper()
	o := c.challenge("/login/passkey/begin")
	a.count++
	return c.json("/login/passkey/finish", a.get(c.t, o["challenge"].(string)))
}
