package ca

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Kinds of events about a certificate's status.
const (
	kindRevoke  = "certificate.revoke"
	kindRelease = "certificate.release"
)

var (
	errNotHeld = fault.New(fault.Conflict, "the certificate is not held")
	errForGood = fault.New(fault.Conflict, "the certificate is revoked for good")
	errKeyUsed = fault.New(fault.Conflict, "the idempotency key was used for another request")
)

// Held reports whether the certificate is revoked until further notice. Its status
// is Revoked: nobody who knows of no hold takes it for a good one.
func (c Certificate) Held() bool { return c.Status == Revoked && c.Reason == CertificateHold }

// Release takes a hold back: the certificate is good again, and is absent from the
// next CRL of its shard. With a key, the same release of the same actor succeeds
// again and does nothing; "" is none. It fails, and changes nothing, with kind
// Invalid for what is no serial number, ErrNotFound for a certificate that was
// never issued here, and Conflict for one that is not held or is revoked for good.
func (c *CA) Release(ctx context.Context, serial, actor, key string) error {
	r := revocation{serial: serial, actor: actor, key: key}
	var did bool
	err := r.check()
	if err == nil {
		err = c.db.Update(ctx, func(tx db.Tx) (err error) {
			did, err = c.releaseIn(ctx, tx, r)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("release certificate: %w", err)
	}
	if did {
		c.metrics.released.Inc()
		c.statusChanged(ctx, serial)
	}
	return nil
}

func (c *CA) releaseIn(ctx context.Context, tx db.Tx, r revocation) (bool, error) {
	old, err := findCertificate(ctx, tx, `serial = $1 AND status IN ('issued', 'revoked')`, r.serial)
	if err != nil {
		return false, err
	}
	if done, err := c.repeatedChange(ctx, tx, r, "release"); done || err != nil {
		return false, err
	}
	res, err := tx.ExecContext(ctx, `UPDATE ca_certificates SET status = 'issued', reason = 0, revoked_at = 0, changed_at = $1, revoke_key = NULL
		WHERE serial = $2 AND status = 'revoked' AND reason = $3`, db.Micros(c.now()), r.serial, int64(CertificateHold))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		if old.Status == Revoked {
			return false, cmpErr(err, errForGood)
		}
		return false, cmpErr(err, errNotHeld)
	}
	return true, recordChange(ctx, tx, old, audit.Event{Kind: kindRelease, Actor: r.actor, Data: map[string]any{}})
}

// check looks at what needs no database.
func (r revocation) check() error {
	if _, err := profile.ParseSerial(r.serial); err != nil {
		return errSerial
	}
	if !isText(r.actor, 1, 128) || !isText(r.key, 0, 128) {
		return fault.New(fault.Invalid, "the actor, or the idempotency key, is missing, too long or not printable")
	}
	return nil
}

// repeatedChange remembers the actor's key and reports whether this very wish was
// fulfilled under it before. It must not be fulfilled twice: a hold that is repeated
// late, when it was released meanwhile, would come back. It fails with kind
// Conflict if the key was used for another wish.
func (c *CA) repeatedChange(ctx context.Context, tx db.Tx, r revocation, act string) (bool, error) {
	if r.key == "" {
		return false, nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_status_keys (actor, request_key, serial, act, at) VALUES ($1, $2, '', '', $3)
		ON CONFLICT (actor, request_key) DO NOTHING`, r.actor, r.key, db.Micros(c.now()))
	if err != nil {
		return false, err
	}
	var serial, before string
	err = tx.QueryRowContext(ctx, `SELECT serial, act FROM ca_status_keys WHERE actor = $1 AND request_key = $2`, r.actor, r.key).Scan(&serial, &before)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, errUnderWay
	case err != nil:
		return false, err
	case serial == r.serial && before == act:
		return true, nil
	case serial != "":
		return false, errKeyUsed
	}
	_, err = tx.ExecContext(ctx, `UPDATE ca_status_keys SET serial = $1, act = $2 WHERE actor = $3 AND request_key = $4`, r.serial, act, r.actor, r.key)
	return false, err
}

// recordChange raises the counter of the certificate's shard, so that its CRL is
// made anew and OCSP answers are looked over, and writes the event.
func recordChange(ctx context.Context, tx db.Tx, old Certificate, e audit.Event) error {
	if _, err := tx.ExecContext(ctx, `UPDATE ca_shards SET changes = changes + 1 WHERE issuer = $1 AND shard = $2`, old.Issuer, old.Shard); err != nil {
		return err
	}
	e.Object = "certificate:" + old.Serial
	e.Data["issuer"], e.Data["shard"], e.Data["agency"] = old.Issuer, old.Shard, old.Agency
	_, err := audit.Append(ctx, tx, e)
	return err
}

// statusChanged tells the rest of this process, once the change is committed.
func (c *CA) statusChanged(ctx context.Context, serial string) {
	c.ocsp.changed(ctx, serial)
	select {
	case c.kick <- struct{}{}:
	default:
	}
}
