package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// ocspFollow is how old the table of CA keys may be when an answer is signed, and how
// often what other replicas changed is read.
const ocspFollow = 2 * time.Second

// ocspTable says who answers for which CA key. It is replaced, never changed.
type ocspTable struct {
	at    time.Time
	byID  map[certIssuer]*ocspKey
	byKey map[string]*ocspKey
	bad   map[string]bool // keys and delegates whose answers are no longer believed
}

// certIssuer is the issuer's half of a CertID, asked at an issuer's address.
type certIssuer struct {
	issuer    string
	hash      crypto.Hash
	name, key [32]byte
}

// ocspKey is a CA key with who signs for it: a delegate that this very key has
// certified (RFC 6960 section 4.2.2.2), or the CA key itself while there is none.
type ocspKey struct {
	id, issuer string
	cert       *x509.Certificate
	delegate   *x509.Certificate // nil: the CA key signs
	signer     string            // key of the ring; "" while the OCSP key is away
	away       error             // why it is
}

// run follows until ctx ends. However long CRLs take, what others revoke is seen.
func (r *responder) run(ctx context.Context) {
	ticker := time.NewTicker(ocspFollow)
	defer ticker.Stop()
	for {
		r.follow(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// follow reads what other replicas have changed: keys, delegates and the counters
// of the shards.
func (r *responder) follow(ctx context.Context) {
	err := errors.Join(r.readCounters(ctx), r.readTable(ctx, true))
	if err != nil && ctx.Err() == nil {
		r.ca.log.ErrorContext(ctx, "follow OCSP", slog.Any("cause", err))
	}
}

// place is a shard of an issuer's CRLs.
type place struct {
	issuer string
	shard  int64
}

// count returns the counter of a shard.
func (r *responder) count(issuer string, shard int64) *shardCount {
	p := place{issuer, shard}
	if n, ok := r.counts.Load(p); ok {
		return n.(*shardCount)
	}
	n, _ := r.counts.LoadOrStore(p, &shardCount{})
	return n.(*shardCount)
}

// readCounters takes notice of revocations: each raises the counter of its shard
// in its own transaction, so that an answer which was made before can be told.
func (r *responder) readCounters(ctx context.Context) error {
	return r.raise(ctx, `SELECT issuer, shard, changes FROM ca_shards`)
}

// changed takes notice of a change to one certificate, once it is committed.
func (r *responder) changed(ctx context.Context, serial string) {
	err := r.raise(context.WithoutCancel(ctx), `SELECT s.issuer, s.shard, s.changes FROM ca_certificates c
		JOIN ca_shards s ON s.issuer = c.issuer AND s.shard = c.shard WHERE c.serial = $1`, serial)
	if err != nil { // follow will find it
		r.ca.log.ErrorContext(ctx, "notice revocation for OCSP", slog.String("serial", serial), slog.Any("cause", err))
	}
}

func (r *responder) raise(ctx context.Context, query string, args ...any) error {
	return r.ca.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var p place
			var n int64
			if err := rows.Scan(&p.issuer, &p.shard, &n); err != nil {
				return err
			}
			r.count(p.issuer, p.shard).raise(n)
		}
		return rows.Err()
	})
}

// current returns the table, after it has read it again if it is old.
func (r *responder) current(ctx context.Context) (*ocspTable, error) {
	t := r.table.Load()
	if t != nil && r.ca.now().Sub(t.at).Abs() < ocspFollow {
		return t, nil
	}
	err := r.readTable(ctx, false)
	if t = r.table.Load(); t != nil {
		return t, nil // an old one is better than none
	}
	return nil, err
}

// readTable makes the table anew, at once or if it is still old when its turn comes.
func (r *responder) readTable(ctx context.Context, anyway bool) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	old, now := r.table.Load(), r.ca.now()
	if !anyway && old != nil && now.Sub(old.at).Abs() < ocspFollow {
		return nil
	}
	next, err := r.makeTable(ctx, now)
	if err != nil {
		if old != nil { // ask again later, not at every request
			kept := *old
			kept.at = now
			r.table.Store(&kept)
		}
		return fmt.Errorf("read OCSP signers: %w", err)
	}
	r.table.Store(next)
	if old != nil && next.worse(old) {
		r.epoch.Add(1) // what was signed so far is given to nobody
	}
	return nil
}

// worse reports whether something that signed is not believed any more.
func (t *ocspTable) worse(old *ocspTable) bool {
	for id := range t.bad {
		if !old.bad[id] {
			return true
		}
	}
	return false
}

func (r *responder) makeTable(ctx context.Context, now time.Time) (*ocspTable, error) {
	t := &ocspTable{at: now, byID: map[certIssuer]*ocspKey{}, byKey: map[string]*ocspKey{}, bad: map[string]bool{}}
	for _, f := range []keys.Filter{{Purpose: keys.PurposeCA}, {Purpose: keys.PurposeOCSP, States: []keys.State{keys.Compromised}}} {
		list, err := r.ca.ring.List(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			if k.State == keys.Compromised {
				t.bad[k.ID] = true
			}
			if k.Purpose != keys.PurposeCA || k.Certificate == nil || r.ca.issuers[k.Owner].ID == "" {
				continue
			}
			if s, err := r.ca.signer(k); err == nil { // or it is no CA of this city
				t.byKey[k.ID] = &ocspKey{id: k.ID, issuer: k.Owner, cert: s.cert, signer: k.ID}
			}
		}
	}
	if err := r.delegates(ctx, t, now); err != nil {
		return nil, err
	}
	for _, k := range t.byKey {
		if err := t.name(k); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// ocspUser is the OCSP key in use at an issuer.
type ocspUser struct {
	key  string
	hash []byte
	away error // why there is none
}

// delegates finds the certificates of the OCSP keys in use, by CA key.
func (r *responder) delegates(ctx context.Context, t *ocspTable, now time.Time) error {
	users, hashes := map[string]ocspUser{}, []any{}
	for issuer := range r.ca.issuers {
		k, _, err := r.ca.ring.Active(ctx, keys.PurposeOCSP, issuer)
		if err != nil {
			users[issuer] = ocspUser{away: err}
			continue
		}
		hash, err := hashKey(k.Public)
		if err != nil {
			return err
		}
		users[issuer], hashes = ocspUser{key: k.ID, hash: hash}, append(hashes, hash)
	}
	if old := r.table.Load(); old != nil { // its delegates may have been revoked since
		for _, k := range old.byKey {
			if k.delegate == nil {
				continue
			}
			hash, err := hashKey(k.delegate.PublicKey)
			if err != nil {
				return err
			}
			hashes = append(hashes, hash)
		}
	}
	found, err := r.findDelegates(ctx, t, hashes, users, now)
	if err != nil {
		return err
	}
	for _, k := range t.byKey {
		u := users[k.issuer]
		if u.away != nil {
			k.signer, k.away = "", u.away
		} else if cert := found[k.id]; cert != nil {
			k.signer, k.delegate = u.key, cert
		}
	}
	return nil
}

// findDelegates returns the certificates of the keys in use that are in force, by
// the CA key that signed them. Those that were revoked go to t.bad.
func (r *responder) findDelegates(ctx context.Context, t *ocspTable, hashes []any, users map[string]ocspUser, now time.Time) (map[string]*x509.Certificate, error) {
	found := map[string]*x509.Certificate{}
	if len(hashes) == 0 {
		return found, nil
	}
	holes := make([]string, len(hashes))
	for i := range hashes {
		holes[i] = fmt.Sprintf("$%d", i+1)
	}
	var rows []Certificate
	err := r.ca.db.Read(ctx, func(tx db.Tx) (err error) {
		rows, err = listCertificates(ctx, tx, `key_hash IN (`+strings.Join(holes, ", ")+`) AND der IS NOT NULL ORDER BY not_after, serial`, hashes...)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		switch {
		case row.Status == Revoked:
			t.bad[row.Serial] = true
		case row.Profile == profile.OCSP && row.Status == Issued && bytes.Equal(row.keyHash, users[row.Issuer].hash) && !row.NotBefore.After(now) && row.NotAfter.After(now):
			if found[row.IssuerKey], err = x509.ParseCertificate(row.DER); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// name enters a CA key under every CertID that can ask for it.
func (t *ocspTable) name(k *ocspKey) error {
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(k.cert.RawSubjectPublicKeyInfo, &info); err != nil {
		return fmt.Errorf("parse issuer's key: %w", err)
	}
	for _, hash := range ocspHashes {
		id := certIssuer{issuer: k.issuer, hash: hash}
		h := hash.New()
		h.Write(k.cert.RawSubject)
		h.Sum(id.name[:0])
		h.Reset()
		h.Write(info.Key.RightAlign())
		h.Sum(id.key[:0])
		t.byID[id] = k
	}
	return nil
}

// signerOf returns who signs for a CA key now. It fails with kind Unavailable
// while the key is away, and Conflict when there is none any more.
func (r *responder) signerOf(ctx context.Context, k *ocspKey) (ocspSigner, error) {
	if k.away != nil {
		return ocspSigner{}, fault.Wrap(fault.Unavailable, "the key that signs these answers is away", k.away)
	}
	key, err := r.ca.ring.Signer(ctx, k.signer)
	if err != nil {
		return ocspSigner{}, err
	}
	return ocspSigner{ca: k.cert, delegate: k.delegate, key: key}, nil
}
