package city

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// Enroll gives an agency its permit keys: one in use and a published standby, so
// that a later rotation needs no lead time. Repeating it completes what is
// missing. The bundle with both keys is published before it returns.
func (c *City) Enroll(ctx context.Context, agency, actor string) (keys.Key, error) {
	c.rotating.Lock()
	defer c.rotating.Unlock()
	if _, err := c.Registry.FindAgency(ctx, agency); err != nil {
		return keys.Key{}, fmt.Errorf("enroll agency: %w", err)
	}
	active, err := c.inUse(ctx, keys.PurposePermit, agency)
	if err != nil {
		return keys.Key{}, fmt.Errorf("enroll agency: %w", err)
	}
	if active == nil {
		// Both are in the first bundle that names either: the first rotation may come
		// at any time.
		if err := c.ensurePublished(ctx, agency, 2, actor); err != nil {
			return keys.Key{}, fmt.Errorf("enroll agency: %w", err)
		}
		now, _, err := c.Ring.Promote(ctx, keys.PurposePermit, agency, actor)
		if err != nil {
			return keys.Key{}, fmt.Errorf("enroll agency: %w", err)
		}
		active = &now
	}
	if err := c.ensureStandby(ctx, agency, actor); err != nil {
		return keys.Key{}, fmt.Errorf("enroll agency: %w", err)
	}
	return *active, nil
}

// Rotate puts the next key of a purpose into use and the one named by from to
// rest; signatures of both verify, also for those who hold the oldest bundle or key
// set that is still good: it fails with kind Conflict while there is one that does
// not name the next key, unless hurry is set. It is done once: when from is no longer the
// key in use, because this call was repeated, it only completes what is missing
// and returns the key in use.
func (c *City) Rotate(ctx context.Context, purpose, owner, from, actor string, hurry bool) (keys.Key, error) {
	c.rotating.Lock()
	defer c.rotating.Unlock()
	old, err := c.Ring.Find(ctx, from)
	if err != nil {
		return keys.Key{}, fmt.Errorf("rotate key: %w", err)
	}
	if old.Purpose != purpose || old.Owner != owner {
		return keys.Key{}, fault.New(fault.Invalid, "the key named by from has another purpose or owner")
	}
	way, err := c.wayOf(purpose)
	if err != nil {
		return keys.Key{}, err
	}
	active, err := c.inUse(ctx, purpose, owner)
	if err != nil {
		return keys.Key{}, fmt.Errorf("rotate key: %w", err)
	}
	if active == nil || active.ID == from {
		if err := way.prepare(ctx, owner, actor); err != nil {
			return keys.Key{}, fmt.Errorf("rotate key: %w", err)
		}
		if err := c.checkKnown(ctx, purpose, owner, hurry); err != nil {
			return keys.Key{}, err
		}
		now, _, err := c.Ring.Promote(ctx, purpose, owner, actor)
		if err != nil {
			return keys.Key{}, fmt.Errorf("rotate key: %w", err)
		}
		active = &now
	} else if old.State != keys.Retiring && old.State != keys.Retired && old.State != keys.Compromised {
		return keys.Key{}, fault.New(fault.Conflict, "the key named by from is not in use")
	}
	if err := way.follow(ctx, owner, actor); err != nil {
		return keys.Key{}, fmt.Errorf("rotate key: %w", err)
	}
	return *active, nil
}

// jwksKept is how long a relying party keeps a key set (oidc.serveJWKS), with a
// margin for replicas.
const jwksKept = 6 * time.Minute

// checkKnown fails with kind Conflict while somebody may hold something good that
// does not name the key which is to be used next.
func (c *City) checkKnown(ctx context.Context, purpose, owner string, hurry bool) error {
	if hurry {
		return nil
	}
	list, err := c.Ring.List(ctx, keys.Filter{Purpose: purpose, Owner: owner})
	if err != nil {
		return err
	}
	var next *keys.Key
	var first time.Time // when the first key of this place came into use
	for _, k := range list {
		if k.State == keys.Published && k.Paused.IsZero() && (next == nil || k.Published.Before(next.Published)) {
			next = &k
		}
		if !k.Activated.IsZero() && (first.IsZero() || k.Activated.Before(first)) {
			first = k.Activated
		}
	}
	if next == nil || !next.Published.After(first) {
		return nil // there from the beginning, or Promote says that there is none
	}
	var until time.Time
	switch purpose {
	case keys.PurposeToken:
		until = next.Published.Add(jwksKept)
	case keys.PurposePermit:
		until, err = c.Trust.HeldBefore(ctx, next.Published.Add(time.Second)) // bundles count seconds
	case keys.PurposeTrust, keys.PurposeStatus, keys.PurposeLog:
		until, err = c.Trust.HeldBefore(ctx, next.Published) // the statement in the bundle was there before
	}
	if err != nil {
		return err
	}
	if c.now().Before(until) {
		return fault.New(fault.Conflict, "until "+until.UTC().Format(time.RFC3339)+" somebody may hold what does not name the next key, and would refuse what it signs: rotate after that, or anyhow with --before-verifiers-know")
	}
	return nil
}

// way is how the keys of a purpose follow one another: prepare makes sure that
// one is published, so that it may be put into use; follow does what is due once
// it was. Both may be repeated.
type way struct {
	prepare, follow func(ctx context.Context, owner, actor string) error
}

func (c *City) wayOf(purpose string) (way, error) {
	publish := func(ctx context.Context, _, _ string) error { return c.Trust.Publish(ctx) }
	nothing := func(context.Context, string, string) error { return nil }
	named := func(ctx context.Context, owner, _ string) error { return c.needPublished(ctx, purpose, owner) }
	switch purpose {
	case keys.PurposePermit:
		return way{c.ensureStandby, c.ensureStandby}, nil
	case keys.PurposeToken:
		return way{c.ensureNextToken, c.ensureNextToken}, nil
	case keys.PurposeTLS, keys.PurposeOCSP:
		return way{func(ctx context.Context, owner, actor string) error {
			return c.CA.PrepareService(ctx, purpose, owner, actor)
		}, nothing}, nil
	case keys.PurposeTrust, keys.PurposeStatus:
		return way{named, publish}, nil
	case keys.PurposeLog:
		return way{named, func(ctx context.Context, _, _ string) error {
			_, err := c.Log.Seal(ctx)
			return err
		}}, nil
	case keys.PurposeCA:
		return way{named, nothing}, nil
	default:
		return way{}, fault.New(fault.Invalid, "there are no keys of this purpose")
	}
}

// needPublished fails with kind Conflict where only the offline root can make the
// next key known.
func (c *City) needPublished(ctx context.Context, purpose, owner string) error {
	list, err := c.Ring.List(ctx, keys.Filter{Purpose: purpose, Owner: owner, States: []keys.State{keys.Published}})
	if err == nil && len(list) == 0 {
		err = fault.New(fault.Conflict, "no next key is published: the root must name or certify one first (signet root ask)")
	}
	return err
}

// inUse returns the active key, nil for none.
func (c *City) inUse(ctx context.Context, purpose, owner string) (*keys.Key, error) {
	list, err := c.Ring.List(ctx, keys.Filter{Purpose: purpose, Owner: owner, States: []keys.State{keys.Active}})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// ensureStandby makes sure that the agency has a certified and published permit
// key besides the one in use, and that the bundle names it.
func (c *City) ensureStandby(ctx context.Context, agency, actor string) error {
	return c.ensurePublished(ctx, agency, 1, actor)
}

// ensurePublished makes sure that the agency has so many certified and published
// permit keys, and that the bundle names them. It takes up where an earlier attempt
// stopped.
func (c *City) ensurePublished(ctx context.Context, agency string, want int, actor string) error {
	list, err := c.Ring.List(ctx, keys.Filter{Purpose: keys.PurposePermit, Owner: agency, States: []keys.State{keys.Staged, keys.Published}})
	if err != nil {
		return err
	}
	var staged []keys.Key
	for _, k := range list {
		if k.State == keys.Staged {
			staged = append(staged, k)
		} else if k.Paused.IsZero() {
			want--
		}
	}
	for ; want > 0; want-- {
		var next keys.Key
		if len(staged) > 0 {
			next, staged = staged[0], staged[1:]
		} else if next, err = c.Ring.Create(ctx, keys.Spec{Purpose: keys.PurposePermit, Owner: agency, Alg: c.policies[keys.PurposePermit].Alg, Backend: c.backend, Actor: actor}); err != nil {
			return err
		}
		if next.Certificate == nil {
			if err := c.certify(ctx, agency, next, actor); err != nil {
				return err
			}
		}
		if err := c.Ring.Move(ctx, next.ID, keys.Published, actor, "standby"); err != nil {
			return err
		}
	}
	return c.Trust.Publish(ctx)
}

// ensureNextToken makes sure that a token key is published besides the one in
// use: relying parties fetch the JWKS when they meet an unknown key.
func (c *City) ensureNextToken(ctx context.Context, owner, actor string) error {
	list, err := c.Ring.List(ctx, keys.Filter{Purpose: keys.PurposeToken, Owner: owner, States: []keys.State{keys.Staged, keys.Published}})
	if err != nil {
		return err
	}
	for _, k := range list {
		if k.State == keys.Published {
			return nil
		}
	}
	var next keys.Key
	if len(list) > 0 {
		next = list[0]
	} else if next, err = c.Ring.Create(ctx, c.tokenSpec(owner, actor)); err != nil {
		return err
	}
	return c.Ring.Move(ctx, next.ID, keys.Published, actor, "next")
}
