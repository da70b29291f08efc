package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// ErrSameKEK is returned by Rewrap where the next key-encryption key is the one in
// use: it was rewrapped before.
var ErrSameKEK = fault.New(fault.Conflict, "the next key-encryption key is the one in use already")

var errNoNextKEK = fault.New(fault.Conflict, "there is no next key-encryption key: put one where the configuration says")

// Rewrap puts Options.NextKEK in the place of the key-encryption key, in one
// transaction: every data key, token's binding and secret is opened under the
// one and sealed under the other; the private keys, under their data keys, stay
// as they are. Replicas that know the next key follow without losing a
// signature; one that does not goes on with what it has decrypted, and complains
// until it is given the key. Afterwards the former key opens nothing of this
// database, but still what was copied from it before.
//
// It fails with kind Conflict without a next key, with one that is in use
// already, and when a key or secret cannot be opened: a key can then be marked
// compromised, after which its bytes do not matter. Nothing is changed then.
func (r *Ring) Rewrap(ctx context.Context, actor string) error {
	if err := checkActor(actor); err != nil {
		return fmt.Errorf("rewrap keyring: %w", err)
	}
	next, err := r.nextKEK()
	if err == nil && next == nil {
		err = errNoNextKEK
	}
	if err != nil {
		return fmt.Errorf("rewrap keyring: %w", err)
	}
	err = r.attempt(ctx, func(tx db.Tx, k *kek) error {
		if next.matches(k.check) {
			return ErrSameKEK
		}
		return rewrap(ctx, tx, k, next, actor)
	})
	if err != nil {
		return fmt.Errorf("rewrap keyring: %w", err)
	}
	r.adopt(next)
	r.follow(ctx)
	return nil
}

// adopt takes k into use between two refreshes, never amid one.
func (r *Ring) adopt(k *kek) {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	r.kek.Store(k)
}

func rewrap(ctx context.Context, tx db.Tx, old, next *kek, actor string) error {
	wrapped, err := rewrapKeys(ctx, tx, old, next)
	if err != nil {
		return err
	}
	secrets, err := readSecrets(ctx, tx)
	if err != nil {
		return err
	}
	for _, s := range secrets {
		sealed, err := reseal(old, next, s.sealed, secretAAD(s.name))
		if err != nil {
			return fault.Wrap(fault.Conflict, "the secret "+s.name+" cannot be opened", err)
		}
		result, err := tx.ExecContext(ctx, `UPDATE key_secrets SET sealed = $1 WHERE name = $2`, sealed, s.name)
		if err := changedOne(result, err); err != nil {
			return err
		}
	}
	result, err := tx.ExecContext(ctx, `UPDATE keyring SET kek_check = $1 WHERE one = 1`, next.check)
	if err := changedOne(result, err); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "keys.rewrap", Actor: actor, Object: "keyring",
		Data: map[string]any{"keys": int64(wrapped), "secrets": int64(len(secrets))}})
	return err
}

// rewrapKeys returns how many keys it rewrapped.
func rewrapKeys(ctx context.Context, tx db.Tx, old, next *kek) (n int, err error) {
	rows, err := readRows(ctx, tx, `WHERE wrapped_key IS NOT NULL`)
	if err != nil {
		return 0, err
	}
	for i := range rows {
		k := &rows[i].key
		part := "data"
		if k.Backend == BackendPKCS11 {
			part = "token"
		}
		wrapped, err := reseal(old, next, rows[i].wrapped, k.aad(part))
		if err != nil && k.State == Compromised {
			continue // nobody will ever open it
		}
		if err != nil {
			return 0, fault.Wrap(fault.Conflict, "the key "+k.ID+" cannot be opened: mark it compromised", err)
		}
		result, err := tx.ExecContext(ctx, `UPDATE keys SET wrapped_key = $1 WHERE id = $2 AND state = $3`, wrapped, k.ID, string(k.State))
		if err := changedOne(result, err); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// reseal opens what is under one key-encryption key and seals it under another.
func reseal(old, next *kek, sealed, aad []byte) ([]byte, error) {
	plain, err := unseal(old.aead, sealed, aad)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return seal(next.aead, plain, aad), nil
}

// nextKEK asks for the key-encryption key that may follow, nil for none.
func (r *Ring) nextKEK() (*kek, error) {
	if r.next == nil {
		return nil, nil
	}
	b, err := r.next()
	if err != nil {
		return nil, fmt.Errorf("read next key-encryption key: %w", err)
	}
	if b == nil {
		return nil, nil
	}
	return newKEK(b)
}

// kekFor returns the key-encryption key that check is of: the one in use, or
// the next one, if another replica has rewrapped.
func (r *Ring) kekFor(ctx context.Context, check []byte) (*kek, error) {
	k := r.kek.Load()
	if k.matches(check) {
		return k, nil
	}
	next, err := r.nextKEK()
	if err != nil {
		return nil, errors.Join(errWrongKEK, err)
	}
	if next == nil || !next.matches(check) {
		return nil, errWrongKEK
	}
	r.log.InfoContext(ctx, "keyring was rewrapped: the next key-encryption key is in use")
	return next, nil
}
