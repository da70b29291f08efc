package city

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	bundle "github.com/signet-city/signet/verify/trust"
)

// AuditProof returns the proof of an event in the log of the city at o, or of a
// certificate given as "sha256:" and the hash of its DER. It reads the database
// itself and changes nothing; it fails as audit.Prove does.
func AuditProof(ctx context.Context, o Options, event string) (p audit.Proof, err error) {
	c, err := Open(ctx, o)
	if err != nil {
		return p, err
	}
	p, err = audit.Prove(ctx, c.DB, event)
	return p, errors.Join(err, c.Close())
}

// LogKeys are whom the checker of a proof believes: the log's keys as they are
// written, or those that a root statement under the pinned root names.
type LogKeys struct {
	Keys      []string         // name+hash+key
	Root      crypto.PublicKey // nil for none
	Trust     []byte           // the root statement, or a bundle that carries one; with Root
	Witnesses []string         // each must have cosigned
	Now       time.Time        // for the root statement's dates
}

// CheckProof checks a proof file against nothing but k and returns what it proves.
// It fails with kind Invalid if anything is wrong, and if k names no key.
func CheckProof(file []byte, k LogKeys) (p audit.Proof, r audit.Record, err error) {
	if p, err = audit.ParseProof(file); err != nil {
		return p, r, err
	}
	verifiers, err := k.verifiers(p.Checkpoint.Origin)
	if err != nil {
		return p, r, err
	}
	witnesses, err := audit.WitnessVerifiers(k.Witnesses...)
	if err != nil {
		return p, r, err
	}
	r, err = p.Verify(verifiers, witnesses...)
	return p, r, err
}

// ScanLog reads a whole log from outside, by fetch, against nothing but k: see
// audit.Remote.Scan.
func ScanLog(ctx context.Context, fetch func(ctx context.Context, path string) ([]byte, error), k LogKeys, each func(index int64, entry [32]byte)) (audit.Checkpoint, error) {
	return audit.Remote{Fetch: fetch, Verifiers: k.verifiers}.Scan(ctx, each)
}

// verifiers returns the keys of the log of that name. A root statement names keys
// and no origin: they sign for one city.
func (k LogKeys) verifiers(origin string) ([]note.Verifier, error) {
	verifiers, err := audit.LogVerifiers(k.Keys...)
	if err != nil || k.Root == nil {
		if err == nil && len(verifiers) == 0 {
			err = fault.New(fault.Invalid, "no key of the log is known")
		}
		return verifiers, err
	}
	root, err := bundle.OpenRoot(k.Trust, k.Root, k.Now)
	if err != nil {
		var inside error
		if _, root, inside = bundle.OpenBundle(k.Trust, k.Root, k.Now); inside != nil {
			return nil, fmt.Errorf("open root statement: %w", errors.Join(err, inside))
		}
	}
	for _, s := range root.Log {
		public, err := bundle.ParsePublic(s.Alg, s.Public)
		if err != nil {
			return nil, fmt.Errorf("read root statement: %w", err)
		}
		text, err := keys.VerifierKey(origin, public)
		if err != nil {
			return nil, err
		}
		more, err := audit.LogVerifiers(text)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, more...)
	}
	return verifiers, nil
}
