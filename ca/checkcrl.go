package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
)

// checkedShard is what the register says of a shard.
type checkedShard struct {
	issuer, key, url string
	shard, number    int64
}

// known is what the register says of a revoked certificate.
type known struct {
	reason  int
	changed time.Time
}

// crls fetches the CRL of every shard that was published.
func (k *checker) crls(ctx context.Context) error {
	var list []checkedShard
	err := k.c.db.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT issuer, issuer_key, url, shard, number FROM ca_shards WHERE number > 0 ORDER BY issuer, shard LIMIT $1`, checkShard)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var s checkedShard
			if err := rows.Scan(&s.issuer, &s.key, &s.url, &s.shard, &s.number); err != nil {
				return err
			}
			list = append(list, s)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, s := range list {
		if spent, err := k.spent(ctx, s.key); spent || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := k.crl(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// crl fetches one CRL and compares it.
func (k *checker) crl(ctx context.Context, s checkedShard) error {
	k.found.CRLs++
	der := k.fetch(ctx, http.MethodGet, s.url, "application/pkix-crl", nil)
	if der == nil {
		return nil
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		k.problem(s.url, "is no CRL")
		return nil
	}
	if err := list.CheckSignatureFrom(k.issuers[s.key]); err != nil {
		k.problem(s.url, "is not signed by its CA")
		return nil
	}
	now := k.c.now()
	switch {
	case list.ThisUpdate.After(now.Add(checkSkew)) || !list.NextUpdate.After(now):
		k.problem(s.url, "is not in force: from %s until %s", list.ThisUpdate.UTC().Format(time.RFC3339), list.NextUpdate.UTC().Format(time.RFC3339))
	case overdue(s.issuer, list, now):
		k.problem(s.url, "should have a successor: it ends at %s", list.NextUpdate.UTC().Format(time.RFC3339))
	}
	if !list.Number.IsInt64() || list.Number.Int64() < s.number {
		k.problem(s.url, "has number %v, and %d was published", list.Number, s.number)
	} else if before, fell := k.c.checks.fell(s.url, list.Number.Int64()); fell {
		k.problem(s.url, "has number %v, and had %d before", list.Number, before)
	}
	if s.issuer != Root {
		scope, err := distributionPoint(s.url)
		if err != nil {
			return err
		}
		if !hasScope(list, scope) {
			k.problem(s.url, "is the CRL of another address")
		}
	}
	return k.entries(ctx, s, list)
}

// overdue reports whether a CRL is in the last quarter of its life: its successor is made
// after half of it. The root's takes people, who are told a month before.
func overdue(issuer string, list *x509.RevocationList, now time.Time) bool {
	last := list.NextUpdate.Sub(list.ThisUpdate) / 4
	if issuer == Root {
		last = min(last, checkNotice)
	}
	return list.NextUpdate.Sub(now) < last
}

func hasScope(list *x509.RevocationList, scope []byte) bool {
	for _, e := range list.Extensions {
		if e.Id.Equal(oidIssuingDistributionPoint) {
			return e.Critical && bytes.Equal(e.Value, scope)
		}
	}
	return false
}

// entries compares the entries of a CRL with the register. Whatever changed a
// moment ago may stand in it or not.
func (k *checker) entries(ctx context.Context, s checkedShard, list *x509.RevocationList) error {
	register, err := k.register(ctx, s)
	if err != nil {
		return err
	}
	settled := k.c.now().Add(-checkGrace)
	there := make(map[string]int, len(list.RevokedCertificateEntries))
	for _, e := range list.RevokedCertificateEntries {
		serial := profile.SerialString(e.SerialNumber)
		if _, twice := there[serial]; twice {
			k.problem(s.url, "lists %s twice", serial)
		}
		there[serial] = e.ReasonCode
		one, ok := register[serial]
		if !ok && k.releasedSince(ctx, serial, settled) || ok && (one.reason == e.ReasonCode || !one.changed.Before(settled)) {
			continue
		}
		k.problem(s.url, "lists %s, which the register does not, or for another reason", serial)
	}
	for serial, one := range register {
		if _, ok := there[serial]; !ok && one.changed.Before(settled) {
			k.problem(s.url, "does not list %s, which is revoked", serial)
		}
	}
	// Of all entries those are kept that are asked about: there may be a million.
	k.lists[s.url] = map[string]int{}
	for _, row := range k.sample {
		if reason, ok := there[row.Serial]; ok {
			k.lists[s.url][row.Serial] = reason
		}
	}
	return nil
}

// releasedSince reports whether a hold ended after a time.
func (k *checker) releasedSince(ctx context.Context, serial string, since time.Time) bool {
	row, err := k.c.Find(ctx, serial)
	return err == nil && row.Status == Issued && !row.ChangedAt.Before(since)
}

// register returns what is revoked in a shard.
func (k *checker) register(ctx context.Context, s checkedShard) (map[string]known, error) {
	found := map[string]known{}
	err := k.c.db.Read(ctx, func(tx db.Tx) error {
		clear(found)
		rows, err := tx.QueryContext(ctx, `SELECT serial, reason, changed_at FROM ca_certificates
			WHERE issuer = $1 AND shard = $2 AND status = 'revoked'`, s.issuer, s.shard)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var serial string
			var reason, at int64
			if err := rows.Scan(&serial, &reason, &at); err != nil {
				return err
			}
			found[serial] = known{int(reason), db.Time(at)}
		}
		return rows.Err()
	})
	return found, err
}
