package ca

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// oidInvalidityDate is RFC 5280 section 5.3.2.
var oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}

var errInvalidFrom = fault.New(fault.Invalid, "from when on a key is not to be trusted is said of keyCompromise alone, not of CAs, and lies between the certificate's beginning and now")

// RevokeCompromised revokes a certificate because its key is not its holder's alone any
// more, from a time on, zero for one that nobody knows. It does so also for one that
// is revoked already: whoever learns late of a theft must be able to say so. The reason
// becomes keyCompromise, no other change of a reason is there, and the date of
// revocation stays, since it says when it stood on a list; the time of the theft is the
// invalidity date of RFC 5280 section 5.3.2, and may only move earlier. It fails as
// Revoke does, with kind Invalid for a time that is later than now or lies before the
// certificate, and Conflict for what is known already.
func (c *CA) RevokeCompromised(ctx context.Context, serial string, from time.Time, actor string) error {
	return c.revoke(ctx, revocation{serial: serial, reason: KeyCompromise, actor: actor, from: from})
}

// checkFrom looks at the time from when on a key is not to be trusted.
func (c *CA) checkFrom(old Certificate, r revocation) error {
	if r.from.IsZero() {
		return nil
	}
	if r.reason != KeyCompromise || old.Profile == profile.Issuer || r.from.Before(old.NotBefore) || r.from.After(c.now()) {
		return errInvalidFrom
	}
	return nil
}

// raise makes keyCompromise of the reason of a revoked certificate, or moves the time
// from when on its key is not to be trusted to an earlier one.
func (c *CA) raise(ctx context.Context, tx db.Tx, old Certificate, r revocation) error {
	from := db.Micros(r.from)
	res, err := tx.ExecContext(ctx, `UPDATE ca_certificates SET reason = $1, invalid_from = $2, changed_at = $3, revoke_key = NULL
		WHERE serial = $4 AND status = 'revoked' AND reason = $5 AND reason NOT IN ($6, $7) AND invalid_from = $8 AND (reason <> $1 OR $2 <> CAST(0 AS BIGINT) AND (invalid_from = 0 OR invalid_from > $2))`,
		int64(KeyCompromise), from, db.Micros(c.now()), r.serial, int64(old.Reason), int64(CertificateHold), int64(CACompromise), db.Micros(old.InvalidFrom))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return cmpErr(err, errRevoked)
	}
	return recordChange(ctx, tx, old, audit.Event{Kind: kindRevoke, Actor: r.actor, Data: r.data(old)})
}

// data is what the event says. One that raises a reason says which it was.
func (r revocation) data(old Certificate) map[string]any {
	data := map[string]any{"reason": r.reason.String()}
	if r.cause != "" {
		data["cause"] = r.cause
	}
	if !r.from.IsZero() {
		data["invalid_from"] = r.from.Unix()
	}
	if old.Status == Revoked && !old.Held() {
		data["was"] = old.Reason.String()
	}
	return data
}

// act names a wish among those of an idempotency key.
func (r revocation) act() string {
	if r.from.IsZero() {
		return "revoke:" + r.reason.String()
	}
	return fmt.Sprintf("revoke:%s:%d", r.reason, r.from.Unix())
}

// invalidityDate returns the extension of CRL entries and OCSP answers, nothing for the
// zero time.
func invalidityDate(from time.Time) ([]pkix.Extension, error) {
	if from.IsZero() {
		return nil, nil
	}
	value, err := asn1.MarshalWithParams(from.UTC().Truncate(time.Second), "generalized")
	if err != nil {
		return nil, fmt.Errorf("encode invalidity date: %w", err)
	}
	return []pkix.Extension{{Id: oidInvalidityDate, Value: value}}, nil
}

// inspectRaised compares a certificate that was revoked for good with the events that
// say so: the first revoked it, and each that names what was before made keyCompromise
// of that, or moved the time.
func inspectRaised(row Certificate, records []audit.Record) bool {
	first, raised, from := "", 0, int64(0)
	for _, rec := range records {
		reason, _ := rec.Data["reason"].(string)
		if rec.Kind != kindRevoke || reason == CertificateHold.String() {
			continue
		}
		if _, later := rec.Data["was"]; !later {
			first = reason
		} else if raised++; reason != KeyCompromise.String() {
			return false
		}
		if at, ok := rec.Data["invalid_from"].(int64); ok && (from == 0 || at < from) {
			from = at
		}
	}
	want := first
	if raised > 0 {
		want = KeyCompromise.String()
	}
	var said int64
	if !row.InvalidFrom.IsZero() {
		said = row.InvalidFrom.Unix()
	}
	return want == row.Reason.String() && said == from
}
