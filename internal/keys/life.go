package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// moves holds the statement for each state that a key can move to: its time,
// and for retired the end of the private half.
var moves = map[State]string{
	Published:   moveTo("published"),
	Active:      moveTo("activated"),
	Retiring:    moveTo("retiring"),
	Compromised: moveTo("since = $5, compromised"),
	Retired: moveTo(`wrapped_key = NULL, private_key = NULL,
		destroyed = CASE WHEN backend = 'file' THEN CAST($2 AS BIGINT) ELSE 0 END, retired`),
}

func moveTo(column string) string {
	return `UPDATE keys SET state = $1, ` + column + ` = $2 WHERE id = $3 AND state = $4`
}

// Move takes a key along one legal edge of its life. Retiring one destroys its
// private half: in the transaction for the file backend, after it on a token.
// Compromised means from now on, see Compromise. It fails with kind NotFound for
// an unknown id, Invalid for an unknown state, Conflict for an edge that is not
// legal, a second active key, or a paused key that would go forward, and
// Unavailable when the key is retired but its object could not be destroyed,
// which Run then tries again.
func (r *Ring) Move(ctx context.Context, id string, to State, actor, reason string) error {
	if err := errors.Join(checkActor(actor), checkReason(reason)); err != nil {
		return fmt.Errorf("move key: %w", err)
	}
	if !slices.Contains(states, to) {
		return fmt.Errorf("move key: %w", fault.New(fault.Invalid, "there is no such state"))
	}
	now := db.Micros(r.now())
	err := r.move(ctx, id, step{to: to, at: now, since: now, actor: actor, reason: reason})
	if err != nil {
		return fmt.Errorf("move key: %w", err)
	}
	if to == Retired {
		if err := r.destroyRetired(ctx); err != nil {
			return fmt.Errorf("move key: %w", err)
		}
	}
	return nil
}

// Compromise marks a key whose private half a stranger may have had since some
// time: it never signs again, and what it signed from then on is not to be
// believed. It fails with kind NotFound for an unknown id, Invalid for a since
// that is to come or before the key was made, and Conflict for a key that is
// retired or compromised already.
func (r *Ring) Compromise(ctx context.Context, id string, since time.Time, actor, reason string) error {
	if err := errors.Join(checkActor(actor), checkReason(reason)); err != nil {
		return fmt.Errorf("mark key compromised: %w", err)
	}
	s := step{to: Compromised, at: db.Micros(r.now()), since: db.Micros(since), actor: actor, reason: reason}
	if s.since > s.at {
		return fmt.Errorf("mark key compromised: %w", fault.New(fault.Invalid, "the time since when is still to come"))
	}
	if err := r.move(ctx, id, s); err != nil {
		return fmt.Errorf("mark key compromised: %w", err)
	}
	return nil
}

func (r *Ring) move(ctx context.Context, id string, s step) error {
	err := r.change(ctx, func(tx db.Tx, _ *kek) error {
		k, err := findKey(ctx, tx, id)
		if err != nil {
			return err
		}
		return move(ctx, tx, &k, s)
	})
	if db.IsUnique(err) {
		return fault.Wrap(fault.Conflict, "another key is active for this purpose and owner: promote this one", err)
	}
	return err
}

// step is one move of a key.
type step struct {
	to            State
	at, since     int64 // since only counts for compromised
	actor, reason string
}

func move(ctx context.Context, tx db.Tx, k *Key, s step) error {
	if err := s.check(k); err != nil {
		return err
	}
	args := []any{string(s.to), s.at, k.ID, string(k.State)}
	data := map[string]any{"purpose": k.Purpose, "owner": k.Owner, "from": string(k.State), "to": string(s.to), "reason": s.reason}
	if s.to == Compromised {
		args = append(args, s.since)
		data["since"] = s.since
	}
	result, err := tx.ExecContext(ctx, moves[s.to], args...)
	if err := changedOne(result, err); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "keys.move", Actor: s.actor, Object: "key:" + k.ID, Data: data})
	return err
}

func (s step) check(k *Key) error {
	switch {
	case !slices.Contains(edges[k.State], s.to):
		return fault.New(fault.Conflict, fmt.Sprintf("a key that is %s cannot become %s", k.State, s.to))
	case !k.Paused.IsZero() && (s.to == Published || s.to == Active):
		return fault.New(fault.Conflict, fmt.Sprintf("a paused key cannot become %s: resume it first", s.to))
	case s.to == Compromised && s.since < db.Micros(k.Created):
		return fault.New(fault.Invalid, "the key did not exist yet at the time since when")
	}
	return nil
}

// Promote puts the longest published key of a purpose and owner that is not
// paused into use and lets the one in use, if any, retire. It returns both, the
// latter with an empty ID for none. It fails with kind Conflict when no key is
// published.
func (r *Ring) Promote(ctx context.Context, purpose, owner, actor string) (active, retiring Key, err error) {
	if err := errors.Join(checkActor(actor), checkPlace(purpose, owner)); err != nil {
		return Key{}, Key{}, fmt.Errorf("promote key: %w", err)
	}
	s := step{at: db.Micros(r.now()), actor: actor, reason: "promotion"}
	err = r.change(ctx, func(tx db.Tx, _ *kek) (err error) {
		active, retiring, err = promote(ctx, tx, purpose, owner, s)
		return err
	})
	if err != nil {
		return Key{}, Key{}, fmt.Errorf("promote key: %w", err)
	}
	return active, retiring, nil
}

// promote demotes first: both engines check the index of active keys after each
// statement.
func promote(ctx context.Context, tx db.Tx, purpose, owner string, s step) (active, retiring Key, err error) {
	rows, err := readRows(ctx, tx, `WHERE purpose = $1 AND owner = $2 AND state IN ('published', 'active')`, purpose, owner)
	if err != nil {
		return active, retiring, err
	}
	list, err := keysOf(rows)
	if err != nil {
		return active, retiring, err
	}
	for i := range list {
		if list[i].State == Active {
			retiring = list[i]
		}
	}
	next := nextOf(list)
	if next == nil {
		return active, retiring, fault.New(fault.Conflict, "no key is published for this purpose and owner")
	}
	active = *next
	if retiring.ID != "" {
		if err := s.apply(ctx, tx, &retiring, Retiring); err != nil {
			return active, retiring, err
		}
	}
	return active, retiring, s.apply(ctx, tx, &active, Active)
}

// nextOf returns the key of one place's list that Promote would put into use,
// nil for none.
func nextOf(list []Key) (next *Key) {
	for i := range list {
		k := &list[i]
		if k.State == Published && k.Paused.IsZero() && (next == nil || k.Published.Before(next.Published)) {
			next = k
		}
	}
	return next
}

// apply moves k and sets what that changed in it.
func (s step) apply(ctx context.Context, tx db.Tx, k *Key, to State) error {
	s.to = to
	if err := move(ctx, tx, k, s); err != nil {
		return err
	}
	k.State = to
	if to == Active {
		k.Activated = db.Time(s.at)
	} else {
		k.Retiring = db.Time(s.at)
	}
	return nil
}

func checkPlace(purpose, owner string) error {
	if !slices.Contains(purposes, purpose) || !isName(owner) {
		return fault.New(fault.Invalid, "there can be no key of such a purpose or owner")
	}
	return nil
}

// destroyRetired destroys the objects that retired keys left on the token.
func (r *Ring) destroyRetired(ctx context.Context) error {
	s := r.current.Load()
	if r.token == nil || len(s.undead) == 0 {
		return nil
	}
	for _, id := range s.undead {
		if err := r.token.destroy(id); err != nil {
			return fault.Wrap(fault.Unavailable, "the key is retired, but its object on the token is not destroyed yet", err)
		}
		now := db.Micros(r.now())
		err := r.change(ctx, func(tx db.Tx, _ *kek) error {
			_, err := tx.ExecContext(ctx, `UPDATE keys SET destroyed = $1 WHERE id = $2 AND state = 'retired' AND destroyed = 0`, now, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("destroy key on token: %w", err)
		}
		r.log.InfoContext(ctx, "key destroyed on the token", slog.String("key", id))
	}
	return nil
}
