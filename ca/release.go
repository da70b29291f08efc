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
	kindHold    = "certificate.hold" // the city has taken over what an agency held
)

var (
	errNotHeld = fault.New(fault.Conflict, "the certificate is not held")
	errForGood = fault.New(fault.Conflict, "the certificate is revoked for good")
	errCitys   = fault.New(fault.Denied, "the city has set this hold, and releases it")
	errKeyUsed = fault.New(fault.Conflict, "the idempotency key was used for another request")
)

// Held reports whether the certificate is revoked until further notice. Its status
// is Revoked: nobody who knows of no hold takes it for a good one.
func (c Certificate) Held() bool { return c.Status == Revoked && c.Reason == CertificateHold }

// Release takes a hold back: the certificate is good again, and is absent from the
// next CRL of its shard. With a key, the same release of the same actor succeeds
// again and does nothing; "" is none. It fails, and changes nothing, with kind
// Invalid for what is no serial number, ErrNotFound for a certificate that was
// never issued here, and Conflict for one that is not held or is revoked for good. It
// acts for the city, which releases whatever is held.
func (c *CA) Release(ctx context.Context, serial, actor, key string) error {
	return c.release(ctx, revocation{serial: serial, actor: actor, key: key})
}

// release fails with kind Denied, beside what Release says, where an agency has not
// set the hold itself (RFC 5280 section 5.3.1): what the city holds may be held
// against the agency.
func (c *CA) release(ctx context.Context, r revocation) error {
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
		c.statusChanged(ctx, r.serial)
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
	res, err := tx.ExecContext(ctx, `UPDATE ca_certificates SET status = 'issued', reason = 0, revoked_at = 0, changed_at = $1, revoke_key = NULL, held_by = ''
		WHERE serial = $2 AND status = 'revoked' AND reason = $3 AND ($4 = '' OR held_by = $4)`, db.Micros(c.now()), r.serial, int64(CertificateHold), r.agency)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return false, cmpErr(err, r.whyNotReleased(old))
	}
	return true, recordChange(ctx, tx, old, audit.Event{Kind: kindRelease, Actor: r.actor, Data: map[string]any{}})
}

// whyNotReleased says why a certificate was not released. The city releases what is
// held: where it did not, somebody has just revoked it for good, or released it.
func (r revocation) whyNotReleased(old Certificate) error {
	switch {
	case old.Held() && r.agency != "":
		return errCitys
	case old.Status == Revoked:
		return errForGood
	}
	return errNotHeld
}

// takeHold makes an agency's hold the city's. Nothing changes for anybody who asks
// about the certificate. It fails with kind Conflict where the hold is the city's.
func (c *CA) takeHold(ctx context.Context, tx db.Tx, old Certificate, r revocation) error {
	var key any
	if r.key != "" {
		key = r.actor + "|" + r.key
	}
	res, err := tx.ExecContext(ctx, `UPDATE ca_certificates SET held_by = '', changed_at = $1, revoke_key = $2
		WHERE serial = $3 AND status = 'revoked' AND reason = $4 AND held_by <> ''`, db.Micros(c.now()), key, r.serial, int64(CertificateHold))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return cmpErr(err, errRevoked)
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: kindHold, Actor: r.actor, Object: "certificate:" + old.Serial, Data: map[string]any{
		"issuer": old.Issuer, "shard": old.Shard, "agency": old.Agency}})
	return err
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
