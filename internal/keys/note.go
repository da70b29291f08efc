package keys

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/fault"
)

// noteSigner signs notes (C2SP signed-note) with the checkpoint key.
type noteSigner struct {
	name   string
	hash   uint32
	signer crypto.Signer
}

// Name implements note.Signer.
func (s *noteSigner) Name() string { return s.name }

// KeyHash implements note.Signer.
func (s *noteSigner) KeyHash() uint32 { return s.hash }

// Sign implements note.Signer.
func (s *noteSigner) Sign(msg []byte) ([]byte, error) {
	return s.signer.Sign(rand.Reader, msg, crypto.Hash(0)) // Ed25519 takes the message itself
}

// NoteSigner returns the signer of checkpoints under name: the one active key of
// purpose PurposeLog. It fails with kind Unavailable when there is none or it is
// paused.
func (r *Ring) NoteSigner(_ context.Context, name string) (note.Signer, error) {
	e, err := r.logKey()
	if err != nil {
		return nil, fmt.Errorf("sign notes: %w", err)
	}
	if err := e.signer.usable(); err != nil {
		return nil, fmt.Errorf("sign notes: %w", err)
	}
	verifier, err := VerifierKey(name, e.key.Public)
	if err != nil {
		return nil, fmt.Errorf("sign notes: %w", err)
	}
	hash, err := strconv.ParseUint(strings.Split(verifier, "+")[1], 16, 32)
	if err != nil {
		return nil, fmt.Errorf("sign notes: %w", err)
	}
	return &noteSigner{name: name, hash: uint32(hash), signer: e.signer}, nil
}

// NoteVerifier returns the verifier key, as note.NewVerifier takes it, of what
// NoteSigner signs now.
func (r *Ring) NoteVerifier(_ context.Context, name string) (string, error) {
	e, err := r.logKey()
	if err != nil {
		return "", fmt.Errorf("verify notes: %w", err)
	}
	return VerifierKey(name, e.key.Public)
}

func (r *Ring) logKey() (*entry, error) {
	var found *entry
	for p, e := range r.current.Load().active {
		if p.Purpose != PurposeLog {
			continue
		}
		if found != nil {
			return nil, fault.New(fault.Conflict, "the keys of two owners are active for the log")
		}
		found = e
	}
	if found == nil {
		return nil, fault.New(fault.Unavailable, "there is no active key for the log")
	}
	return found, nil
}

// VerifierKey returns name+hash+key, as note.NewVerifier takes it, and lets the note package check the name.
func VerifierKey(name string, public crypto.PublicKey) (string, error) {
	key, ok := public.(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("log key of type %T is not Ed25519", public)
	}
	text, err := note.NewEd25519VerifierKey(name, key)
	if err != nil {
		return "", err
	}
	if _, err := note.NewVerifier(text); err != nil {
		return "", fault.Wrap(fault.Invalid, "a note's name is not empty and has no space and no +", err)
	}
	return text, nil
}
