package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Reason is why a certificate was revoked: a CRLReason of RFC 5280 section 5.3.1.
type Reason int64

// The reasons that Revoke takes. There is no 7 in RFC 5280, and 8 (removeFromCRL)
// is for delta CRLs, of which there are none: what is released is simply absent
// from the next CRL.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2 // of CAs alone
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6 // until Release, or until it is revoked for good
	PrivilegeWithdrawn   Reason = 9
	AACompromise         Reason = 10 // of keys that attest what others are: agencies' permit keys alone
)

var reasonNames = map[Reason]string{
	Unspecified: "unspecified", KeyCompromise: "keyCompromise", CACompromise: "cACompromise", AffiliationChanged: "affiliationChanged",
	Superseded: "superseded", CessationOfOperation: "cessationOfOperation", CertificateHold: "certificateHold",
	PrivilegeWithdrawn: "privilegeWithdrawn", AACompromise: "aACompromise",
}

// fits reports whether certificates of a profile are revoked for the reason. CAs and
// OCSP signers are not held: whoever keeps their answers for a while would miss
// the release, and everything under them with it.
func (r Reason) fits(kind profile.Kind) bool {
	switch r {
	case CACompromise:
		return kind == profile.Issuer
	case AACompromise:
		return kind == profile.PermitSigning
	case CertificateHold:
		return kind != profile.Root && kind != profile.Issuer && kind != profile.OCSP
	default:
		return kind != profile.Root
	}
}

// String returns the reason's name in RFC 5280.
func (r Reason) String() string { return reasonNames[r] }

// ParseReason is the inverse of String. It fails with kind Invalid for every other
// text, and for reasons that Revoke does not take.
func ParseReason(s string) (Reason, error) {
	for r, name := range reasonNames {
		if name == s {
			return r, nil
		}
	}
	return 0, errReason
}

var (
	errSerial = fault.New(fault.Invalid, "a serial number is 1 to 20 bytes in lowercase hex")
	errReason = fault.New(fault.Invalid, "this is no reason for which certificates are revoked here")

	errRevoked = fault.New(fault.Conflict, "the certificate is revoked already")
)

// Revoke puts a certificate on the next CRL of its shard: for good, or with
// CertificateHold until Release. What is held can be revoked for another reason,
// and the date stays that of the hold. It fails, and changes nothing, with kind
// Invalid for a serial number or a reason that is none or does not fit the
// certificate, ErrNotFound for a certificate that was never issued here, and
// Conflict for one that is revoked already, but for KeyCompromise: see
// RevokeCompromised. It acts for the city: its hold of what an agency holds takes that
// hold over, so that the agency cannot release it any more.
func (c *CA) Revoke(ctx context.Context, serial string, reason Reason, actor string) error {
	return c.revoke(ctx, revocation{serial: serial, reason: reason, actor: actor})
}

// revocation is one wish. With a key, the same wish of the same actor under the
// same key succeeds again.
type revocation struct {
	serial string
	reason Reason
	actor  string
	agency string // for which the actor acts, "" for the city
	key    string
	from   time.Time // from when on the key is not to be trusted; zero: not said
	cause  string    // for the log, beside the reason; "" for none
}

func (c *CA) revoke(ctx context.Context, r revocation) error {
	if _, ok := reasonNames[r.reason]; !ok {
		return errReason
	}
	var did bool
	r.from = r.from.Truncate(time.Second)
	err := r.check()
	if err == nil {
		err = c.db.Update(ctx, func(tx db.Tx) (err error) {
			did, err = c.revokeIn(ctx, tx, r)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("revoke certificate: %w", err)
	}
	if did {
		c.metrics.revoked.Inc()
		c.statusChanged(ctx, r.serial)
	}
	return nil
}

// revokeIn does the work in the caller's transaction and reports whether there
// was any.
func (c *CA) revokeIn(ctx context.Context, tx db.Tx, r revocation) (bool, error) {
	old, err := findCertificate(ctx, tx, `serial = $1 AND status IN ('issued', 'revoked')`, r.serial)
	if err != nil {
		return false, err
	}
	if !r.reason.fits(old.Profile) {
		return false, errReason
	}
	if err := c.checkFrom(old, r); err != nil {
		return false, err
	}
	if done, err := c.repeatedChange(ctx, tx, r, r.act()); done || err != nil {
		return false, err
	}
	var key any
	if r.key != "" {
		key = r.actor + "|" + r.key // where the previous release looks for it
		if old.Status == Revoked && old.revokeKey == key && old.Reason == r.reason && r.from.IsZero() {
			return false, nil
		}
	}
	if old.Held() && r.reason == CertificateHold && r.agency == "" {
		return false, c.takeHold(ctx, tx, old, r)
	}
	if old.Status == Revoked && !old.Held() && r.reason == KeyCompromise {
		err := c.raise(ctx, tx, old, r)
		return err == nil, err
	}
	now := db.Micros(c.now())
	res, err := tx.ExecContext(ctx, `UPDATE ca_certificates SET revoked_at = CASE WHEN status = 'revoked' THEN revoked_at ELSE $1 END,
		status = 'revoked', reason = $2, changed_at = $1, revoke_key = $3, held_by = $6, invalid_from = $7
		WHERE serial = $4 AND (status = 'issued' OR status = 'revoked' AND reason = $5 AND $2 <> $5)`,
		now, int64(r.reason), key, r.serial, int64(CertificateHold), r.agency, db.Micros(r.from))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return false, cmpErr(err, errRevoked)
	}
	return true, recordChange(ctx, tx, old, audit.Event{Kind: kindRevoke, Actor: r.actor, Data: r.data(old)})
}

// Find returns the certificate with the serial number, whatever its status, or
// ErrNotFound. It fails with kind Invalid for what is no serial number.
func (c *CA) Find(ctx context.Context, serial string) (cert Certificate, err error) {
	if _, err := profile.ParseSerial(serial); err != nil {
		return Certificate{}, errSerial
	}
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		cert, err = findCertificate(ctx, tx, `serial = $1`, serial)
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("find certificate: %w", err)
	}
	return cert, err
}

// CheckClient fails with kind Denied unless one of the chains that a TLS handshake
// verified leads to the root through certificates of this CA that are not revoked.
func (c *CA) CheckClient(ctx context.Context, chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		if len(chain) < 2 || !slices.ContainsFunc(c.roots.Load().all(), func(r rootOf) bool { return chain[len(chain)-1].Equal(r.cert) }) {
			continue
		}
		ok, err := c.inForce(ctx, chain[:len(chain)-1])
		if err != nil {
			return fmt.Errorf("check client certificate: %w", err)
		}
		if ok {
			return nil
		}
	}
	return fault.New(fault.Denied, "the client certificate is not of this city, or is revoked")
}

// inForce reports whether we issued all of these certificates and revoked none.
func (c *CA) inForce(ctx context.Context, chain []*x509.Certificate) (bool, error) {
	for _, cert := range chain {
		row, err := c.Find(ctx, profile.SerialString(cert.SerialNumber))
		switch kind := fault.KindOf(err); {
		case kind == fault.NotFound || kind == fault.Invalid:
			return false, nil
		case err != nil:
			return false, err
		case row.Status != Issued || !bytes.Equal(row.DER, cert.Raw):
			return false, nil
		}
	}
	return true, nil
}

// maxList is the most that Search returns at once.
const maxList = 1000
