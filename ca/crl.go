package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/signet-city/signet/ca/lint"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// busy is how long one replica keeps a shard to itself while it makes a CRL.
const busy = 30 * time.Second

// oidIssuingDistributionPoint is RFC 5280 section 5.2.5.
var oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// draft is a CRL before and after its signature.
type draft struct {
	issuer, key, url string
	shard            int64
	number           int64
	changes          int64 // that it covers
	entries          []x509.RevocationListEntry
	from, until      time.Time
	der              []byte
}

// PublishCRLs makes a new CRL for every shard whose revocations changed or whose
// CRL has lived half its life. Any number of replicas may call it: numbers never
// repeat and never fall. The root's CRL is not among them: its key is away, and every
// act of the root makes one.
func (c *CA) PublishCRLs(ctx context.Context) error {
	type place struct {
		issuer, key string
		shard       int64
	}
	var due []place
	now := c.now()
	err := c.db.Read(ctx, func(tx db.Tx) error {
		due = nil
		rows, err := tx.QueryContext(ctx, `SELECT issuer, shard, issuer_key FROM ca_shards WHERE issuer <> $1 AND busy_until <= $2
			AND (der IS NULL OR covered <> changes OR next_update < $3) ORDER BY issuer, shard`,
			Root, db.Micros(now), db.Micros(now.Add(c.crlLife/2)))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var p place
			if err := rows.Scan(&p.issuer, &p.shard, &p.key); err != nil {
				return err
			}
			due = append(due, p)
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("find due CRLs: %w", err)
	}
	var errs []error
	ended := map[string]bool{}
	for _, p := range due {
		if _, known := ended[p.key]; !known {
			ended[p.key] = c.ended(ctx, p.key)
		}
		if ended[p.key] {
			continue
		}
		if err := c.publishShard(ctx, p.issuer, p.shard); err != nil {
			errs = append(errs, fmt.Errorf("publish CRL %s/%d: %w", p.issuer, p.shard, err))
		}
	}
	return errors.Join(errs...)
}

// ended reports whether a CA key signs nothing any more. The CRLs of its shards are due
// for good: taking a number for each would fill the log with intents.
func (c *CA) ended(ctx context.Context, key string) bool {
	k, err := c.ring.Find(ctx, key)
	return err == nil && (k.State == keys.Retired || k.State == keys.Compromised)
}

// publishShard makes one CRL, unless it is not due or somebody else is at it.
func (c *CA) publishShard(ctx context.Context, issuer string, shard int64) error {
	now := c.now()
	d := draft{issuer: issuer, shard: shard, from: now.UTC().Truncate(time.Second), until: now.Add(c.crlLife).UTC().Truncate(time.Second)}
	due := `(der IS NULL OR covered <> changes OR next_update < $3)`
	err := c.db.Update(ctx, func(tx db.Tx) error {
		return reserve(ctx, tx, &d, "system", due, db.Micros(now), db.Micros(now.Add(busy)), db.Micros(now.Add(c.crlLife/2)), issuer, shard)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reserve number: %w", err)
	}
	s, err := c.signerByID(ctx, d.key)
	if err != nil {
		return err
	}
	key, err := c.ring.Signer(ctx, d.key)
	if fault.KindOf(err) == fault.Conflict {
		// The key was retired: its last CRL stays.
		c.log.WarnContext(ctx, "no CRL from a retired key", slog.String("key", d.key), slog.Int64("shard", shard))
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.sign(c.linter, s.cert, key); err != nil {
		return err
	}
	if err := c.db.Update(ctx, func(tx db.Tx) error { return d.store(ctx, tx, "system") }); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	c.metrics.crls.Inc()
	return nil
}

// reserve takes the next number and what the CRL must hold, and commits the
// intent. Arguments 1 to 5 are now, the end of the reservation, what due compares
// with, issuer and shard. It returns sql.ErrNoRows if due does not hold or another
// replica is at work.
func reserve(ctx context.Context, tx db.Tx, d *draft, actor, due string, args ...any) error {
	err := tx.QueryRowContext(ctx, `UPDATE ca_shards SET reserved = reserved + 1, busy_until = $2
		WHERE issuer = $4 AND shard = $5 AND busy_until <= $1 AND `+due+` RETURNING reserved, changes, issuer_key, url`, args...).
		Scan(&d.number, &d.changes, &d.key, &d.url)
	if err != nil {
		return err
	}
	if d.entries, err = revokedIn(ctx, tx, d.issuer, d.shard, d.from); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, d.event(actor, "intent"))
	return err
}

// revokedIn returns the entries of a shard. Whoever is revoked stays on the CRL
// after expiring: a permit may be checked long after its signer's certificate.
func revokedIn(ctx context.Context, tx db.Tx, issuer string, shard int64, now time.Time) ([]x509.RevocationListEntry, error) {
	rows, err := tx.QueryContext(ctx, `SELECT serial, revoked_at, reason, invalid_from FROM ca_certificates
		WHERE issuer = $1 AND shard = $2 AND status = 'revoked' ORDER BY serial`, issuer, shard)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []x509.RevocationListEntry
	for rows.Next() {
		var serial string
		var at, reason, from int64
		if err := rows.Scan(&serial, &at, &reason, &from); err != nil {
			return nil, err
		}
		n, err := profile.ParseSerial(serial)
		if err != nil {
			return nil, err
		}
		e := x509.RevocationListEntry{SerialNumber: n, RevocationTime: db.Time(at).Truncate(time.Second), ReasonCode: int(reason)}
		if e.RevocationTime.After(now) {
			e.RevocationTime = now // by a replica whose clock is ahead
		}
		if e.ExtraExtensions, err = invalidityDate(db.Time(from)); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

func (d *draft) event(actor, step string) audit.Event {
	return audit.Event{Kind: "crl.publish." + step, Actor: actor, Object: fmt.Sprintf("crl:%s/%d", d.issuer, d.shard), Data: map[string]any{
		"number": d.number, "entries": int64(len(d.entries)), "issuer_key": d.key, "this_update": d.from.Unix(), "next_update": d.until.Unix(),
	}}
}

// sign makes the CRL and checks it as a stranger would. The root has one list for
// everything, which needs no scope: the root itself, which names no address, must
// find it too.
func (d *draft) sign(linter *lint.Linter, cert *x509.Certificate, key crypto.Signer) error {
	list := &x509.RevocationList{Number: big.NewInt(d.number), ThisUpdate: d.from, NextUpdate: d.until, RevokedCertificateEntries: d.entries}
	if d.issuer != Root {
		scope, err := distributionPoint(d.url)
		if err != nil {
			return err
		}
		list.ExtraExtensions = []pkix.Extension{{Id: oidIssuingDistributionPoint, Critical: true, Value: scope}}
	}
	var err error
	if d.der, err = x509.CreateRevocationList(rand.Reader, list, cert, key); err != nil {
		return fmt.Errorf("sign CRL: %w", err)
	}
	return d.verify(linter, cert)
}

// verify reads the CRL back: a CRL that lacks an entry, or that nobody can check,
// must not be published.
func (d *draft) verify(linter *lint.Linter, cert *x509.Certificate) error {
	list, err := x509.ParseRevocationList(d.der)
	if err != nil {
		return fmt.Errorf("verify CRL: %w", err)
	}
	if err := list.CheckSignatureFrom(cert); err != nil {
		return fmt.Errorf("verify CRL: %w", err)
	}
	if list.Number.Cmp(big.NewInt(d.number)) != 0 || len(list.RevokedCertificateEntries) != len(d.entries) {
		return errors.New("verify CRL: it has another number or other entries than it should")
	}
	for i, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(d.entries[i].SerialNumber) != 0 || e.ReasonCode != d.entries[i].ReasonCode {
			return errors.New("verify CRL: it has another number or other entries than it should")
		}
	}
	if found := linter.RevocationList(d.der); len(found) > 0 {
		return fmt.Errorf("verify CRL: %w", &lint.Error{Findings: found})
	}
	return nil
}

// distributionPoint encodes the scope of a shard: one address, which stands in the
// shard's certificates.
func distributionPoint(url string) ([]byte, error) {
	type name struct {
		Full []asn1.RawValue `asn1:"optional,tag:0"`
	}
	type scope struct {
		Name name `asn1:"optional,tag:0"`
	}
	uri := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}
	b, err := asn1.Marshal(scope{name{[]asn1.RawValue{uri}}})
	if err != nil {
		return nil, fmt.Errorf("encode distribution point: %w", err)
	}
	return b, nil
}

// store publishes the CRL, unless one with a higher number is out already.
func (d *draft) store(ctx context.Context, tx db.Tx, actor string) error {
	res, err := tx.ExecContext(ctx, `UPDATE ca_shards SET number = $1, covered = $2, der = $3, this_update = $4, next_update = $5,
		busy_until = CASE WHEN reserved = $1 THEN 0 ELSE busy_until END WHERE issuer = $6 AND shard = $7 AND number < $1`,
		d.number, d.changes, d.der, db.Micros(d.from), db.Micros(d.until), d.issuer, d.shard)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	e := d.event(actor, "outcome")
	e.Data["published"] = n == 1
	_, err = audit.Append(ctx, tx, e)
	return err
}

// publishedCRL is a CRL as it is served.
type publishedCRL struct {
	der    []byte
	number int64
	from   time.Time
	until  time.Time
}

var errNoCRL = fault.New(fault.NotFound, "no such CRL")

func (c *CA) findCRL(ctx context.Context, issuer string, shard int64) (p publishedCRL, err error) {
	if _, known := c.issuers[issuer]; !known && issuer != Root {
		return p, errNoCRL
	}
	var from, until int64
	err = c.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT der, number, this_update, next_update FROM ca_shards
			WHERE issuer = $1 AND shard = $2 AND der IS NOT NULL`, issuer, shard).Scan(&p.der, &p.number, &from, &until)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return publishedCRL{}, errNoCRL
	}
	p.from, p.until = db.Time(from), db.Time(until)
	return p, err
}
