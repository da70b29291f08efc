package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// Answers about a certificate must be signed by the very key that signed the
// certificate, or by a delegate that this key has certified (RFC 6960 section
// 4.2.2.2). After an issuer's rotation its older certificates still need answers.
// So an issuer has one OCSP key in use, and that key has one certificate from each
// of the issuer's CA keys that are published, active or retiring: from the next one
// before it takes over, and from a retiring one until it is retired. While there is
// none, in the minute after a key was published, say, the CA key signs itself,
// which the RFC allows as well.

// cover gives an OCSP key the certificates that it lacks. They end when the key's
// own certificate does: its successor has new ones by then. It may be repeated.
func (c *CA) cover(ctx context.Context, s service, k keys.Key) error {
	if s.purpose != keys.PurposeOCSP {
		return nil
	}
	hash, err := hashKey(k.Public)
	if err != nil {
		return err
	}
	cas, err := c.ring.List(ctx, keys.Filter{Purpose: keys.PurposeCA, Owner: s.owner, States: []keys.State{keys.Published, keys.Active, keys.Retiring}})
	if err != nil {
		return err
	}
	var errs []error
	for _, ca := range cas {
		err := c.delegate(ctx, s, k, hash, ca)
		if err != nil && !errors.Is(err, errUnderWay) { // another replica is at it
			errs = append(errs, fmt.Errorf("delegate from key %s: %w", ca.ID, err))
		}
	}
	return errors.Join(errs...)
}

// delegate lets one CA key certify the OCSP key k, unless it has done so.
func (c *CA) delegate(ctx context.Context, s service, k keys.Key, hash []byte, ca keys.Key) error {
	by, err := c.signer(ca)
	if err != nil || !c.now().Before(by.cert.NotAfter) {
		return nil // not certified by a root of this city, or at its end: it delegates nothing
	}
	until := k.Created.Add(time.Duration(s.days)*24*time.Hour - time.Second)
	if !until.After(c.now()) {
		return nil // the key waits for its successor
	}
	var n int64
	err = c.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM ca_certificates WHERE key_hash = $1 AND issuer_key = $2
			AND profile = $3 AND status IN ('issued', 'revoked') AND not_after > $4`, hash, ca.ID, string(profile.OCSP), db.Micros(c.now())).Scan(&n)
	})
	if err != nil || n > 0 { // one that was revoked is not given again: renew replaces the key
		return err
	}
	signer, err := c.ring.Signer(ctx, k.ID)
	if err != nil {
		return err
	}
	r := s.request
	r.Key, r.Actor, r.IdempotencyKey, r.NotAfter, r.by = signer, "system", "ocsp:"+k.ID+":"+ca.ID, until, ca.ID
	_, err = c.Issue(ctx, r)
	return err
}

// revoked reports whether the certificate of a service's key was revoked: then
// the key is replaced, whatever its age.
func (c *CA) revoked(ctx context.Context, cert *x509.Certificate) (bool, error) {
	row, err := c.Find(ctx, profile.SerialString(cert.SerialNumber))
	return row.Status == Revoked, err
}

// issuingKey returns who signs a request: the issuer's key in use or, for the OCSP
// certificates of older and coming ones, the key that the request names.
func (c *CA) issuingKey(ctx context.Context, r Request) (*signer, error) {
	if r.by == "" {
		return c.active(ctx, r.Issuer)
	}
	s, err := c.signerByID(ctx, r.by)
	if err == nil && (s.issuer != r.Issuer || r.Profile != profile.OCSP) {
		err = fault.New(fault.Denied, "this key does not sign this certificate")
	}
	return s, err
}
