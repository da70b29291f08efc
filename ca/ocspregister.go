package ca

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
)

// finding is what the register says about a certificate.
type finding struct {
	status  int       // of package ocsp
	reason  int       // CRLReason, of a revoked one
	at      time.Time // when it was revoked
	from    time.Time // from when on its key is not to be trusted; zero: not said
	changes int64     // of its shard, when the register was asked
	shard   *shardCount
}

// same reports whether an answer made of f still holds for g.
func (f finding) same(g finding) bool {
	return f.status == g.status && f.reason == g.reason && f.at.Equal(g.at) && f.from.Equal(g.from)
}

// reasonInOCSP maps reasons of RFC 5280 section 5.3.1 by hand. There is no reason
// 7, and 8 (removeFromCRL) says that something is revoked no longer: it can stand
// in no answer. Whatever else the register holds is revoked without a reason.
func reasonInOCSP(r Reason) int {
	switch r {
	case 1:
		return ocsp.KeyCompromise
	case 2:
		return ocsp.CACompromise
	case 3:
		return ocsp.AffiliationChanged
	case 4:
		return ocsp.Superseded
	case 5:
		return ocsp.CessationOfOperation
	case 6:
		return ocsp.CertificateHold
	case 9:
		return ocsp.PrivilegeWithdrawn
	case 10:
		return ocsp.AACompromise
	default:
		return ocsp.Unspecified
	}
}

// look asks the register. Only what stands there as issued by this very key, with
// its bytes, is good; a status that is not known here is a revoked one.
func (r *responder) look(ctx context.Context, k *ocspKey, serial *big.Int) (f finding, err error) {
	var status Status
	var reason, at, from, shard int64
	var signed bool
	err = r.ca.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT c.status, c.reason, c.revoked_at, c.invalid_from, c.shard, c.der IS NOT NULL, s.changes
			FROM ca_certificates c JOIN ca_shards s ON s.issuer = c.issuer AND s.shard = c.shard
			WHERE c.serial = $1 AND c.issuer = $2 AND c.issuer_key = $3`, profile.SerialString(serial), k.issuer, k.id).
			Scan(&status, &reason, &at, &from, &shard, &signed, &f.changes)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return finding{status: ocsp.Unknown}, nil
	}
	if err != nil {
		return finding{}, fmt.Errorf("look up certificate: %w", err)
	}
	switch {
	case status == Intent || status == Abandoned || !signed:
		return finding{status: ocsp.Unknown}, nil
	case status == Issued:
		f.status = ocsp.Good
	default:
		f.status, f.reason, f.at = ocsp.Revoked, reasonInOCSP(Reason(reason)), db.Time(at).UTC().Truncate(time.Second)
		f.from = db.Time(from)
	}
	f.shard = r.count(k.issuer, shard)
	f.shard.raise(f.changes)
	return f, nil
}
