package city

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

const (
	lookupName  = "lookup.rotate"
	lookupLease = time.Minute // taken anew before every step and page
	lookupPage  = 500         // rows
	lookupPause = 2 * time.Second
	lookupMost  = 10 // times that everything is looked through for rows that came meanwhile
)

// RotateLookup puts a new generation of the secret under which people and accounts
// are found in the place of the one in use, in the order that package keys
// documents, while the service runs: everybody is found all the time, and nobody
// can be registered twice. One that was cut off before its end, on any replica, is
// completed and no other begun. It takes some seconds for the replicas, and four
// readings of all rows.
//
// It fails with kind Unavailable while another process rotates or when ctx ends,
// with kind Conflict when two rows turn out to be the same, and when one cannot be
// read. What is done then remains, everybody is still found, and repeating it goes
// on.
func (c *City) RotateLookup(ctx context.Context, actor string) error {
	from, err := c.LookupSince(ctx)
	if err != nil {
		return fmt.Errorf("rotate lookup secret: %w", err)
	}
	return c.RotateLookupFrom(ctx, from, actor)
}

// LookupSince returns when the generation was made that is in use, or that a
// rotation which is under way is to replace: what RotateLookupFrom takes.
func (c *City) LookupSince(ctx context.Context) (time.Time, error) {
	g, err := c.Ring.Generations(ctx, keys.SecretLookup)
	if err == nil && !g.Previous.IsZero() {
		return g.Previous, nil
	}
	return g.Current, err
}

// RotateLookupFrom is RotateLookup that replaces one generation, told by its time,
// once: when that one is no longer in use it begins nothing, and only completes.
func (c *City) RotateLookupFrom(ctx context.Context, from time.Time, actor string) error {
	holder := db.NewID()
	l := lookupRotation{ring: c.Ring, actor: actor, tables: []reindex{c.Registry.Reindex, c.Login.Reindex}, wait: pause,
		hold: func(ctx context.Context) error {
			mine, err := c.DB.Lease(ctx, lookupName, holder, lookupLease, c.now())
			if err == nil && !mine {
				err = fault.New(fault.Unavailable, "the lookup secret is being rotated by another process")
			}
			return err
		}}
	err := l.run(ctx, from)
	if err == nil {
		if err := l.tidy(ctx); err != nil { // the next rotation's does it
			c.log.WarnContext(ctx, "hashes under a dropped secret remain", slog.Any("error", err))
		}
	}
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := c.DB.Release(over, lookupName, holder); err != nil { // it ends by itself
		c.log.WarnContext(ctx, "release lease", slog.Any("error", err))
	}
	if err != nil {
		return fmt.Errorf("rotate lookup secret: %w", err)
	}
	return nil
}

// pause waits until every replica knows what the keyring says.
func pause(ctx context.Context) error {
	t := time.NewTimer(lookupPause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, "the rotation was cut off: repeat it", ctx.Err())
	case <-t.C:
		return nil
	}
}

// reindex hashes a page of rows anew and returns where the next one begins and how
// many were not up to date.
type reindex func(ctx context.Context, after string, limit int) (next string, n int, err error)

// lookupRotation takes one generation's place, from where the keyring says that
// it stands. Every step can be repeated.
type lookupRotation struct {
	ring   *keys.Ring
	actor  string
	tables []reindex
	wait   func(ctx context.Context) error
	hold   func(ctx context.Context) error // before every step: nobody else may be at it
}

func (l lookupRotation) run(ctx context.Context, from time.Time) error {
	g, err := l.generations(ctx)
	if err != nil {
		return err
	}
	if g.Next.IsZero() && g.Previous.IsZero() && g.Current.Equal(from) {
		if err := l.ring.StageSecret(ctx, keys.SecretLookup, l.actor); err != nil {
			return err
		}
		if g, err = l.generations(ctx); err != nil {
			return err
		}
	}
	if !g.Next.IsZero() {
		// Everything is read once before the switch: what cannot be rotated stops it.
		if err := l.change(ctx, false, l.ring.SwitchSecret); err != nil {
			return err
		}
		if g, err = l.generations(ctx); err != nil {
			return err
		}
	}
	if g.Previous.IsZero() {
		return nil
	}
	return l.change(ctx, true, l.ring.DropSecret)
}

// tidy gives up the hashes under what was dropped, which are of no use any more.
func (l lookupRotation) tidy(ctx context.Context) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	_, err := l.pass(ctx)
	return err
}

// generations returns where the rotation stands, which this process then knows too.
func (l lookupRotation) generations(ctx context.Context) (keys.Generations, error) {
	if err := errors.Join(l.hold(ctx), l.ring.Refresh(ctx)); err != nil {
		return keys.Generations{}, err
	}
	return l.ring.Generations(ctx, keys.SecretLookup)
}

// change takes a step of the keyring once all replicas know of the one before and
// all rows are up to date; if none is set, once no row was found that was not.
func (l lookupRotation) change(ctx context.Context, none bool, step func(ctx context.Context, name, actor string) error) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	for range lookupMost {
		n, err := l.pass(ctx)
		if err != nil {
			return err
		}
		if n == 0 || !none {
			if err := l.hold(ctx); err != nil {
				return err
			}
			return step(ctx, keys.SecretLookup, l.actor)
		}
	}
	return fault.New(fault.Unavailable, "a replica goes on writing under the previous secret: see which one does not follow the keyring")
}

// pass brings all rows up to date and returns how many were not.
func (l lookupRotation) pass(ctx context.Context) (late int, err error) {
	for _, page := range l.tables {
		for after, more := "", true; more; more = after != "" {
			if err := l.hold(ctx); err != nil {
				return late, err
			}
			next, n, err := page(ctx, after, lookupPage)
			if err != nil {
				return late, err
			}
			after, late = next, late+n
		}
	}
	return late, nil
}
