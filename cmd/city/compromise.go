package city

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// Compromise marks a key whose private half a stranger may have had since some
// time, puts the next one in its place, revokes its certificate, and publishes all
// that says so: CRLs, the bundle with the file of its genuine permits, a new head.
// Repeating it completes what is missing. What only the root can do remains: see
// docs/operations.md.
func (c *City) Compromise(ctx context.Context, id string, since time.Time, actor, reason string) (keys.Key, error) {
	c.rotating.Lock()
	defer c.rotating.Unlock()
	k, err := c.Ring.Find(ctx, id)
	if err != nil {
		return k, err
	}
	if k.State != keys.Compromised {
		// Whatever was signed with it before this moment is in the log before the
		// file of genuine permits is made.
		if _, err := c.Log.Seal(ctx); err != nil {
			return k, fmt.Errorf("mark key compromised: %w", err)
		}
		if err := c.Ring.Compromise(ctx, id, since, actor, reason); err != nil {
			return k, err
		}
	}
	// The mark stands; every part of the rest is tried, and may be repeated.
	err = errors.Join(c.replace(ctx, k, actor), c.revokeOf(ctx, k, actor), c.CA.PublishCRLs(ctx), c.Trust.Publish(ctx))
	if err != nil {
		return k, fmt.Errorf("the key is marked compromised, but not all of the rest is done: repeat this: %w", err)
	}
	return c.Ring.Find(ctx, id)
}

// replace puts the next key into the place of one that no longer signs. Where
// there is none the purpose stands still, which is for officers to end.
func (c *City) replace(ctx context.Context, k keys.Key, actor string) error {
	active, err := c.inUse(ctx, k.Purpose, k.Owner)
	if err != nil || active != nil {
		return err
	}
	way, err := c.wayOf(k.Purpose)
	if err != nil {
		return err
	}
	if err := way.prepare(ctx, k.Owner, actor); fault.KindOf(err) == fault.Conflict {
		c.log.ErrorContext(ctx, "no key follows a compromised one", slog.String("purpose", k.Purpose), slog.String("owner", k.Owner), slog.Any("error", err))
		return nil
	} else if err != nil {
		return err
	}
	if _, _, err := c.Ring.Promote(ctx, k.Purpose, k.Owner, actor); err != nil {
		return err
	}
	return way.follow(ctx, k.Owner, actor)
}

// revokeOf revokes the certificate of a stolen key.
func (c *City) revokeOf(ctx context.Context, k keys.Key, actor string) error {
	if k.Certificate == nil {
		return nil
	}
	reason := ca.KeyCompromise
	if k.Purpose == keys.PurposeCA {
		reason = ca.CACompromise
	}
	cert, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return err
	}
	serial := profile.SerialString(cert.SerialNumber)
	row, err := c.CA.Find(ctx, serial)
	if err != nil || row.Status == ca.Revoked && (row.Reason == reason || reason == ca.CACompromise) {
		return err
	}
	return c.CA.Revoke(ctx, serial, reason, actor)
}
