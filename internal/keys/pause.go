package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// errPaused is what the signers of a paused key fail with.
var errPaused = fault.New(fault.Unavailable, "this key is paused")

// Pause stops a key from signing until Resume, on every replica once it has
// followed. The key keeps its state and goes no further towards use; it can
// still retire and be marked compromised. Pausing a paused key changes nothing.
// It fails with kind NotFound for an unknown id and Conflict for a key that is
// retired or compromised.
func (r *Ring) Pause(ctx context.Context, id, actor, reason string) error {
	if err := errors.Join(checkActor(actor), checkReason(reason)); err != nil {
		return fmt.Errorf("pause key: %w", err)
	}
	now := db.Micros(r.now())
	err := r.change(ctx, func(tx db.Tx, _ *kek) error {
		k, err := findKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := unusable(k.State); err != nil || !k.Paused.IsZero() {
			return err
		}
		return k.setPaused(ctx, tx, now, audit.Event{Kind: "keys.pause", Actor: actor, Data: map[string]any{"reason": reason}})
	})
	if err != nil {
		return fmt.Errorf("pause key: %w", err)
	}
	return nil
}

// Resume lets a paused key sign again, as far as its state does. It fails with
// kind NotFound for an unknown id and Conflict for a key that is not paused or
// that is retired or compromised.
func (r *Ring) Resume(ctx context.Context, id, actor, reason string) error {
	if err := errors.Join(checkActor(actor), checkReason(reason)); err != nil {
		return fmt.Errorf("resume key: %w", err)
	}
	err := r.change(ctx, func(tx db.Tx, _ *kek) error {
		k, err := findKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := unusable(k.State); err != nil {
			return err
		}
		if k.Paused.IsZero() {
			return fault.New(fault.Conflict, "this key is not paused")
		}
		return k.setPaused(ctx, tx, 0, audit.Event{Kind: "keys.resume", Actor: actor, Data: map[string]any{"reason": reason}})
	})
	if err != nil {
		return fmt.Errorf("resume key: %w", err)
	}
	return nil
}

func (k *Key) setPaused(ctx context.Context, tx db.Tx, at int64, event audit.Event) error {
	result, err := tx.ExecContext(ctx, `UPDATE keys SET paused = $1 WHERE id = $2 AND state = $3 AND paused = $4`,
		at, k.ID, string(k.State), db.Micros(k.Paused))
	if err := changedOne(result, err); err != nil {
		return err
	}
	event.Object = "key:" + k.ID
	event.Data["purpose"], event.Data["owner"], event.Data["state"] = k.Purpose, k.Owner, string(k.State)
	_, err = audit.Append(ctx, tx, event)
	return err
}
