package keys

import (
	"context"
	"errors"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// topic is what the ring's changes are announced under.
const topic = "keys"

// change runs f in a transaction that begin has opened and then follows what it
// did. What f seals or opens is under the key-encryption key that it is given:
// when another replica has rewrapped meanwhile, f runs once more under the new
// one. It fails with kind Invalid when that one is not to be had.
func (r *Ring) change(ctx context.Context, f func(tx db.Tx, k *kek) error) error {
	if err := r.attempt(ctx, f); err != nil {
		return err
	}
	r.follow(ctx)
	return nil
}

// attempt is change without following.
func (r *Ring) attempt(ctx context.Context, f func(tx db.Tx, k *kek) error) error {
	err := r.changeUnder(ctx, r.kek.Load(), f)
	if !errors.Is(err, errWrongKEK) {
		return err
	}
	// On SQLite that may be what a neighbour has written and not committed yet;
	// an update that changes nothing comes back after it.
	if late := r.db.Update(ctx, func(db.Tx) error { return nil }); late != nil {
		return late
	}
	if r.Refresh(ctx) != nil {
		return err
	}
	return r.changeUnder(ctx, r.kek.Load(), f)
}

func (r *Ring) changeUnder(ctx context.Context, k *kek, f func(db.Tx, *kek) error) error {
	return r.db.Update(ctx, func(tx db.Tx) error {
		if err := begin(ctx, tx, k); err != nil {
			return err
		}
		return f(tx, k)
	})
}

// begin opens a change: it takes the lock that orders changes, counts the new
// version, ties an unused keyring to its KEK and tells the other replicas.
func begin(ctx context.Context, tx db.Tx, k *kek) error {
	var check []byte
	err := tx.QueryRowContext(ctx, `UPDATE keyring SET version = version + 1, kek_check = COALESCE(kek_check, $1)
		WHERE one = 1 RETURNING kek_check`, k.check).Scan(&check)
	if err != nil {
		return err
	}
	if !k.matches(check) {
		return errWrongKEK
	}
	return db.Notify(ctx, tx, topic)
}

// changedOne checks a compare-and-swap.
func changedOne(result interface{ RowsAffected() (int64, error) }, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return fault.New(fault.Conflict, "the key was changed meanwhile")
	}
	return nil
}
