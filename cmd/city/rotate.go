package city

import (
	"context"
	"fmt"

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
		if err := c.ensureStandby(ctx, agency, actor); err != nil {
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
// rest; signatures of both verify. It is done once: when from is no longer the
// key in use, because this call was repeated, it only completes what is missing
// and returns the key in use.
func (c *City) Rotate(ctx context.Context, purpose, owner, from, actor string) (keys.Key, error) {
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
// key besides the one in use, and that the bundle names it. It takes up where an
// earlier attempt stopped.
func (c *City) ensureStandby(ctx context.Context, agency, actor string) error {
	list, err := c.Ring.List(ctx, keys.Filter{Purpose: keys.PurposePermit, Owner: agency, States: []keys.State{keys.Staged, keys.Published}})
	if err != nil {
		return err
	}
	for _, k := range list {
		if k.State == keys.Published {
			return c.Trust.Publish(ctx)
		}
	}
	var next keys.Key
	if len(list) > 0 {
		next = list[0]
	} else if next, err = c.Ring.Create(ctx, keys.Spec{Purpose: keys.PurposePermit, Owner: agency, Alg: "ES256", Backend: c.backend, Actor: actor}); err != nil {
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
	} else if next, err = c.Ring.Create(ctx, keys.Spec{Purpose: keys.PurposeToken, Owner: owner, Alg: "ES256", Backend: c.backend, Actor: actor}); err != nil {
		return err
	}
	return c.Ring.Move(ctx, next.ID, keys.Published, actor, "next")
}
