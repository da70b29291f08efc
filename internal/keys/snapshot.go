package keys

import (
	"context"
	"crypto"
	"crypto/cipher"
	"fmt"
	"log/slog"

	"github.com/signet-city/signet/internal/fault"
)

// snapshot is the keyring as of one version. Nothing in it changes but its
// signers, which it shares with its successor: their private halves can only go
// away.
type snapshot struct {
	version int64
	lame    bool // built without the key-encryption key: nothing new could be opened
	byID    map[string]*entry
	active  map[Place]*entry
	undead  []string // retired keys whose object is still on the token
	secrets map[string][]byte
	data    cipher.AEAD // under SecretData, nil before it is made
}

type entry struct {
	key    Key
	signer *signer
}

// build makes the snapshot of c. Private keys that old holds are taken over, so
// that each is decrypted once. Without a key-encryption key nothing else can be:
// new keys are unusable, and the secrets are those of old.
func (r *Ring) build(ctx context.Context, c contents, old *snapshot, k *kek) *snapshot {
	s := &snapshot{version: c.version, lame: k == nil, byID: make(map[string]*entry, len(c.rows)), active: map[Place]*entry{}}
	for i := range c.rows {
		e, err := r.entry(&c.rows[i], old, k)
		if err != nil && !old.complained(e.key.ID, err) {
			r.log.ErrorContext(ctx, "key unusable", slog.String("key", c.rows[i].key.ID), slog.Any("error", err))
		}
		s.byID[e.key.ID] = e
		if e.key.State == Active {
			s.active[Place{e.key.Purpose, e.key.Owner}] = e
		}
		if row := &c.rows[i]; row.key.State == Retired && row.key.Backend == BackendPKCS11 && row.destroyed == 0 {
			s.undead = append(s.undead, row.key.ID)
		}
	}
	if k == nil {
		s.secrets = old.secrets
	} else {
		s.secrets = r.openSecrets(ctx, c.secrets, k)
	}
	if value := s.secrets[SecretData]; value != nil {
		s.data, _ = newAEAD(value) // never fails for 32 bytes
	}
	if old != nil {
		old.dropLost(s)
	}
	return s
}

// openSecrets decrypts every secret that can be.
func (r *Ring) openSecrets(ctx context.Context, list []sealedSecret, k *kek) map[string][]byte {
	secrets := make(map[string][]byte, len(list))
	for _, s := range list {
		value, err := k.openSecret(s)
		if err != nil {
			r.log.ErrorContext(ctx, "secret unusable", slog.String("secret", s.name), slog.Any("error", err))
			continue
		}
		secrets[s.name] = value
	}
	return secrets
}

// entry makes what the ring knows of a row. An error says why its signer cannot
// sign although its state would let it.
func (r *Ring) entry(row *row, old *snapshot, k *kek) (*entry, error) {
	e := &entry{key: row.key}
	if old != nil && old.byID[row.key.ID] != nil {
		before := old.byID[row.key.ID]
		if before.signer.half.Load().err == nil && before.key.sameAs(&row.key) {
			e.signer = before.signer
		}
	}
	if e.signer == nil {
		var g gate
		if row.key.Backend == BackendPKCS11 {
			g = r.gate
		}
		e.signer = r.metrics.signer(row.key.Purpose, row.key.Public, g)
	}
	e.signer.paused.Store(!row.key.Paused.IsZero())
	if err := unusable(row.key.State); err != nil {
		e.signer.drop(err)
		return e, nil
	}
	if e.signer.half.Load() != nil {
		return e, nil
	}
	private, err := r.privateHalf(row, k)
	if err != nil {
		err = fmt.Errorf("use key %s: %w", row.key.ID, err)
	}
	e.signer.half.Store(&half{private, err})
	return e, err
}

// sameAs reports whether everything that an envelope binds is equal in k and
// other, so that what was decrypted for one belongs to the other.
func (k *Key) sameAs(other *Key) bool {
	return k.ID == other.ID && k.Purpose == other.Purpose && k.Owner == other.Owner && k.Alg == other.Alg &&
		k.Backend == other.Backend && samePublic(k.Public, other.Public)
}

// unusable returns why a key in this state does not sign, nil if it does.
func unusable(s State) error {
	switch s {
	case Staged, Published, Active, Retiring:
		return nil
	case Retired:
		return fault.New(fault.Conflict, "this key is retired: it has no private half any more")
	default:
		return fault.New(fault.Conflict, "this key is compromised: it never signs again")
	}
}

// privateHalf decrypts a key from its row, or names one on the token.
func (r *Ring) privateHalf(row *row, k *kek) (crypto.Signer, error) {
	if row.err != nil {
		return nil, row.err
	}
	if k == nil {
		return nil, errWrongKEK
	}
	if row.key.Backend == BackendFile {
		return k.disclose(&row.key, row.wrapped, row.private)
	}
	if r.token == nil {
		return nil, fault.New(fault.Unavailable, "this key is on a token: configure pkcs11")
	}
	if err := k.checkBound(&row.key, row.wrapped); err != nil {
		return nil, err
	}
	return &tokenKey{token: r.token, id: row.key.ID, public: row.key.Public}, nil
}

// complained reports whether s has the same trouble with a key already.
func (s *snapshot) complained(id string, err error) bool {
	if s == nil || s.byID[id] == nil {
		return false
	}
	before := s.byID[id].signer.half.Load().err
	return before != nil && before.Error() == err.Error()
}

// dropLost takes away what old could do and next does not know any more.
func (s *snapshot) dropLost(next *snapshot) {
	for id, e := range s.byID {
		if now := next.byID[id]; now == nil || now.signer != e.signer {
			e.signer.drop(errNoKey)
		}
	}
}
