package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/fault"
)

// algCosignature is the type of an Ed25519 key of a witness, C2SP tlog-cosignature.
const algCosignature = 0x04

// LogVerifiers reads the keys of logs, each name+hash+key as C2SP signed-note
// writes it. It fails with kind Invalid for any other text, and for the key of a
// witness: a witness vouches for a log, it does not make one.
func LogVerifiers(keys ...string) ([]note.Verifier, error) {
	var list []note.Verifier
	for _, key := range keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "this is no key of a log: want name+hash+key, Ed25519", err)
		}
		list = append(list, v)
	}
	return list, nil
}

// WitnessVerifiers reads the keys of witnesses (C2SP tlog-cosignature, type 0x04).
// It fails with kind Invalid for any other text.
func WitnessVerifiers(keys ...string) ([]note.Verifier, error) {
	var list []note.Verifier
	for _, key := range keys {
		v, err := parseCosigner(key)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// cosigner verifies the cosignatures of one witness. It is a note.Verifier.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

var errCosigner = fault.New(fault.Invalid, "this is no key of a witness: want name+hash+key, Ed25519 cosignature/v1")

// parseCosigner reads name+hash+key.
func parseCosigner(text string) (*cosigner, error) {
	name, rest, _ := strings.Cut(text, "+")
	hash, key, _ := strings.Cut(rest, "+")
	material, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || len(material) != 1+ed25519.PublicKeySize || material[0] != algCosignature || !isNoteName(name) {
		return nil, errCosigner
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), material...))
	id := binary.BigEndian.Uint32(sum[:])
	if hash != fmt.Sprintf("%08x", id) {
		return nil, errCosigner
	}
	return &cosigner{name, id, material[1:]}, nil
}

// isNoteName reports whether s may stand for a key in a signed note.
func isNoteName(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsSpace) && !strings.Contains(s, "+")
}

// Name implements note.Verifier.
func (c *cosigner) Name() string { return c.name }

// KeyHash implements note.Verifier.
func (c *cosigner) KeyHash() uint32 { return c.hash }

// id names the key: name+hash.
func (c *cosigner) id() string { return fmt.Sprintf("%s+%08x", c.name, c.hash) }

// Verify implements note.Verifier. What is signed is two lines of its own and the
// text of the note, so that a witness's key can be used for nothing else.
func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	if at > 1<<63-1 {
		return false
	}
	message := append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), text...)
	return ed25519.Verify(c.key, message, sig[8:])
}
