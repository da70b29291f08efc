package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// A secret that rotates has up to three generations, each a secret of its own:
// the current one under its name, and the others under its name and a suffix.
//
// Whoever keeps values of Lookup in rows rotates SecretLookup so:
//
//  1. StageSecret. Replicas know of the next secret within two seconds. Writers
//     go on under the current one (Lookup), readers ask for all (Lookups).
//  2. Two seconds later: hash every row again under the next one.
//  3. SwitchSecret. Writers write under the new one from now on; the readers
//     still know the previous one, under which slow replicas may have written.
//  4. Two seconds later: hash again the rows written meanwhile, under the
//     current one, until none is left.
//  5. DropSecret. What is left under the previous secret is never found again.
const (
	suffixNext     = ".next"
	suffixPrevious = ".previous"
)

// Generations says since when the generations of a secret have been there. A
// time is zero for one that is not there.
type Generations struct{ Current, Next, Previous time.Time }

// checkRotates refuses the other secrets: what the permutations of status lists
// have numbered, and what SecretData has sealed, would be lost with them.
func checkRotates(name string) error {
	if name != SecretLookup {
		return fault.New(fault.Invalid, "this secret does not rotate: what was made with it would be lost")
	}
	return nil
}

// Generations returns what there is of a secret, from the database. It fails
// with kind Invalid for one that does not rotate.
func (r *Ring) Generations(ctx context.Context, name string) (Generations, error) {
	if err := checkRotates(name); err != nil {
		return Generations{}, fmt.Errorf("find generations: %w", err)
	}
	var g generations
	err := r.db.Read(ctx, func(tx db.Tx) (err error) {
		g, err = readGenerations(ctx, tx, name)
		return err
	})
	if err != nil {
		return Generations{}, fmt.Errorf("find generations: %w", err)
	}
	return Generations{Current: g.current.time(), Next: g.next.time(), Previous: g.previous.time()}, nil
}

// StageSecret makes the next generation of a secret. It fails with kind Invalid
// for one that does not rotate and Conflict if it was never made, its next
// generation exists, or its previous one was not dropped yet.
func (r *Ring) StageSecret(ctx context.Context, name, actor string) error {
	if err := checkGeneration(name, actor); err != nil {
		return fmt.Errorf("stage secret: %w", err)
	}
	event := audit.Event{Kind: "keys.secret.stage", Actor: actor, Object: "secret:" + name}
	err := r.makeSecret(ctx, name+suffixNext, event, func(ctx context.Context, tx db.Tx) error {
		g, err := readGenerations(ctx, tx, name)
		switch {
		case err != nil:
			return err
		case g.current == nil:
			return fault.New(fault.Conflict, "the secret was never made")
		case g.next != nil:
			return fault.New(fault.Conflict, "the secret's next generation is staged already")
		case g.previous != nil:
			return errNotDropped
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("stage secret: %w", err)
	}
	return nil
}

var errNotDropped = fault.New(fault.Conflict, "the secret's previous generation was not dropped yet")

// SwitchSecret puts the next generation of a secret into use and keeps the
// current one as the previous. It fails with kind Invalid for one that does not
// rotate and Conflict if nothing is staged or the previous one was not dropped
// yet, as when two switch at once.
func (r *Ring) SwitchSecret(ctx context.Context, name, actor string) error {
	if err := checkGeneration(name, actor); err != nil {
		return fmt.Errorf("switch secret: %w", err)
	}
	err := r.change(ctx, func(tx db.Tx, k *kek) error {
		g, err := readGenerations(ctx, tx, name)
		switch {
		case err != nil:
			return err
		case g.next == nil || g.current == nil:
			return fault.New(fault.Conflict, "no next generation of the secret is staged")
		case g.previous != nil:
			return errNotDropped
		}
		if err := g.shift(ctx, tx, k); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "keys.secret.switch", Actor: actor, Object: "secret:" + name})
		return err
	})
	if err != nil {
		return fmt.Errorf("switch secret: %w", err)
	}
	return nil
}

// DropSecret destroys the previous generation of a secret. It fails with kind
// Invalid for one that does not rotate and Conflict if there is none.
func (r *Ring) DropSecret(ctx context.Context, name, actor string) error {
	if err := checkGeneration(name, actor); err != nil {
		return fmt.Errorf("drop secret: %w", err)
	}
	err := r.change(ctx, func(tx db.Tx, _ *kek) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM key_secrets WHERE name = $1`, name+suffixPrevious)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return fault.New(fault.Conflict, "the secret has no previous generation")
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "keys.secret.drop", Actor: actor, Object: "secret:" + name})
		return err
	})
	if err != nil {
		return fmt.Errorf("drop secret: %w", err)
	}
	return nil
}

func checkGeneration(name, actor string) error {
	if err := checkRotates(name); err != nil {
		return err
	}
	return checkActor(actor)
}

// generations holds the rows of one secret, nil for those that are not there.
type generations struct{ current, next, previous *sealedSecret }

func (s *sealedSecret) time() time.Time {
	if s == nil {
		return time.Time{}
	}
	return db.Time(s.created)
}

func readGenerations(ctx context.Context, tx db.Tx, name string) (g generations, err error) {
	list, err := readSecrets(ctx, tx)
	if err != nil {
		return g, err
	}
	for i := range list {
		switch list[i].name {
		case name:
			g.current = &list[i]
		case name + suffixNext:
			g.next = &list[i]
		case name + suffixPrevious:
			g.previous = &list[i]
		}
	}
	return g, nil
}

// shift makes the next one current and the current one previous. Each is sealed
// again, since its bytes are bound to its name. Whoever holds the lock of begin
// finds the rows as it read them.
func (g generations) shift(ctx context.Context, tx db.Tx, k *kek) error {
	previous, err := g.current.rename(k, g.current.name+suffixPrevious)
	if err != nil {
		return err
	}
	current, err := g.next.rename(k, g.current.name)
	if err != nil {
		return err
	}
	if err := previous.insert(ctx, tx); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `UPDATE key_secrets SET sealed = $1, created = $2 WHERE name = $3`,
		current.sealed, current.created, current.name)
	if err := changedOne(result, err); err != nil {
		return err
	}
	result, err = tx.ExecContext(ctx, `DELETE FROM key_secrets WHERE name = $1`, g.next.name)
	return changedOne(result, err)
}

func (s *sealedSecret) rename(k *kek, name string) (sealedSecret, error) {
	value, err := k.openSecret(*s)
	if err != nil {
		return sealedSecret{}, fault.Wrap(fault.Conflict, "the secret "+s.name+" cannot be opened", err)
	}
	defer clear(value)
	return sealedSecret{name, seal(k.aead, value, secretAAD(name)), s.created}, nil
}
