package keys

import (
	"context"
	"crypto"
	"crypto/cipher"
	"fmt"
	"log/slog"

	"github.com/signet-city/signet/internal/fault"
)

// snapshot is the keyring as of one version. Nothing in it changes but the
// signers' private halves, which can only go away.
type snapshot struct {
	version int64
	byID    map[string]*entry
	active  map[place]*entry
	undead  []string // retired keys whose object is still on the token
	secrets map[string][]byte
	data    cipher.AEAD // under SecretData, nil before it is made
}

// place is where at most one key is active.
type place struct{ purpose, owner string }

type entry struct {
	key    Key
	signer *signer
}

// build makes the snapshot of c. Private keys that old holds are taken over, so
// that each is decrypted once.
func (r *Ring) build(ctx context.Context, c contents, old *snapshot) *snapshot {
	s := &snapshot{version: c.version, byID: make(map[string]*entry, len(c.rows)), active: map[place]*entry{}, secrets: map[string][]byte{}}
	for i := range c.rows {
		e, err := r.entry(&c.rows[i], old)
		if err != nil && !old.complained(e.key.ID, err) {
			r.log.ErrorContext(ctx, "key unusable", slog.String("key", c.rows[i].key.ID), slog.Any("error", err))
		}
		s.byID[e.key.ID] = e
		if e.key.State == Active {
			s.active[place{e.key.Purpose, e.key.Owner}] = e
		}
		if row := &c.rows[i]; row.key.State == Retired && row.key.Backend == BackendPKCS11 && row.destroyed == 0 {
			s.undead = append(s.undead, row.key.ID)
		}
	}
	for _, sealed := range c.secrets {
		value, err := unseal(r.kek.aead, sealed.sealed, secretAAD(sealed.name))
		if err == nil && len(value) != keySize {
			err = errSealed
		}
		if err != nil {
			r.log.ErrorContext(ctx, "secret unusable", slog.String("secret", sealed.name), slog.Any("error", err))
			continue
		}
		s.secrets[sealed.name] = value
	}
	if value := s.secrets[SecretData]; value != nil {
		s.data, _ = newAEAD(value) // never fails for 32 bytes
	}
	if old != nil {
		old.dropLost(s)
	}
	return s
}

// entry makes what the ring knows of a row. An error says why its signer cannot
// sign although its state would let it.
func (r *Ring) entry(row *row, old *snapshot) (*entry, error) {
	e := &entry{key: row.key}
	if old != nil && old.byID[row.key.ID] != nil {
		before := old.byID[row.key.ID]
		if before.signer.half.Load().err == nil && before.key.sameAs(&row.key) {
			e.signer = before.signer
		}
	}
	if e.signer == nil {
		e.signer = r.metrics.signer(row.key.Purpose, row.key.Public)
	}
	if err := unusable(row.key.State); err != nil {
		e.signer.drop(err)
		return e, nil
	}
	if e.signer.half.Load() != nil {
		return e, nil
	}
	private, err := r.privateHalf(row)
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
func (r *Ring) privateHalf(row *row) (crypto.Signer, error) {
	if row.err != nil {
		return nil, row.err
	}
	if row.key.Backend == BackendFile {
		return r.kek.disclose(&row.key, row.wrapped, row.private)
	}
	if r.token == nil {
		return nil, fault.New(fault.Unavailable, "this key is on a token: configure pkcs11")
	}
	if err := r.kek.checkBound(&row.key, row.wrapped); err != nil {
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
