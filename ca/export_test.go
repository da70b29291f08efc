package ca

import (
	"context"
	"crypto/x509"
	"encoding/json/v2"
	"time"

	"github.com/smallstep/certificates/authority"
	stepdb "github.com/smallstep/certificates/db"

	"github.com/signet-city/signet/internal/db"
)

// Authority returns smallstep's authority of an issuer's active key, to show what
// it would do by itself.
func (c *CA) Authority(ctx context.Context, issuer string) (*authority.Authority, error) {
	s, err := c.active(ctx, issuer)
	if err != nil {
		return nil, err
	}
	return s.authority, nil
}

// AuthDB returns what smallstep sees of our tables.
func (c *CA) AuthDB() stepdb.AuthDB { return authDB{c} }

// Half issues up to the point where a crash is wanted: "intent" after the intent
// is committed, "signed" after the signature, before it is stored. It returns the
// serial number.
func (c *CA) Half(ctx context.Context, r Request, until string) (serial string, err error) {
	if err := checkRequest(&r); err != nil {
		return "", err
	}
	subject, err := c.place(ctx, &r)
	if err != nil {
		return "", err
	}
	csr, err := proof(&r)
	if err != nil {
		return "", err
	}
	s, err := c.active(ctx, r.Issuer)
	if err != nil {
		return "", err
	}
	t, row, err := c.template(ctx, r, subject, csr.PublicKey, s)
	if err != nil {
		return "", err
	}
	if row.requestHash, err = r.hash(csr.PublicKey); err != nil {
		return "", err
	}
	token, err := c.linter.Check(r.Profile, t, s.cert)
	if err != nil {
		return "", err
	}
	hash := token.Hash()
	row.tbsHash = hash[:]
	if err := c.intend(ctx, &row); err != nil || until == "intent" {
		return row.Serial, err
	}
	_, err = c.signIntent(ctx, s, token)
	return row.Serial, err
}

// StoreLate stores a certificate for an intent after all, as a process does that
// was asleep for a while.
func (c *CA) StoreLate(ctx context.Context, serial string, der []byte) error {
	row, err := c.Find(ctx, serial)
	if err != nil {
		return err
	}
	return c.finish(ctx, &row, &x509.Certificate{Raw: der})
}

// TBSHash returns what the row of a certificate says was linted.
func (c Certificate) TBSHash() [32]byte { return [32]byte(c.tbsHash) }

// LeaseShard opens or fills shards as if leased places had been used up.
func (c *CA) LeaseShard(ctx context.Context, issuer string) (int64, error) {
	s, err := c.active(ctx, issuer)
	if err != nil {
		return 0, err
	}
	c.shards.mu.Lock()
	defer c.shards.mu.Unlock()
	l, err := c.leaseShard(ctx, s)
	if err != nil {
		return 0, err
	}
	return l.shard, nil
}

// PublishShard makes one CRL if it is due.
func (c *CA) PublishShard(ctx context.Context, issuer string, shard int64) error {
	return c.publishShard(ctx, issuer, shard)
}

// CRL returns what is published of a shard.
func (c *CA) CRL(ctx context.Context, issuer string, shard int64) (der []byte, number int64, err error) {
	p, err := c.findCRL(ctx, issuer, shard)
	return p.der, p.number, err
}

// Sizes of shards.
const (
	ShardSize  = shardSize
	ShardBlock = shardBlock
)

// CeremonySteps holds a ceremony up to and including a step: it returns as a crash
// would leave it.
func CeremonySteps(ctx context.Context, o CeremonyOptions, steps int) (done bool, err error) {
	h, err := newHolding(o)
	if err != nil {
		return false, err
	}
	all := h.steps()
	for i, step := range all {
		if i == steps {
			return false, nil
		}
		if err := step(ctx); err != nil {
			return false, err
		}
	}
	return steps >= len(all), nil
}

// SlowCRL makes a CRL and returns what publishes it, as a replica does that falls
// asleep between.
func (c *CA) SlowCRL(ctx context.Context, issuer string, shard int64) (publish func() error, err error) {
	s, err := c.active(ctx, issuer)
	if err != nil {
		return nil, err
	}
	now := c.now()
	d := draft{issuer: issuer, shard: shard, from: now.UTC().Truncate(time.Second), until: now.Add(c.crlLife).UTC().Truncate(time.Second)}
	err = c.db.Update(ctx, func(tx db.Tx) error {
		return reserve(ctx, tx, &d, "system", `$3 > 0`, db.Micros(now), db.Micros(now.Add(busy)), int64(1), issuer, d.shard)
	})
	if err != nil {
		return nil, err
	}
	key, err := c.ring.Signer(ctx, s.id)
	if err != nil {
		return nil, err
	}
	if err := d.sign(c.linter, s.cert, key); err != nil {
		return nil, err
	}
	return func() error {
		return c.db.Update(ctx, func(tx db.Tx) error { return d.store(ctx, tx, "system") })
	}, nil
}

// StoreActOnly is ApplyRoot up to where a crash leaves an act signed.
func (c *CA) StoreActOnly(ctx context.Context, response []byte, actor string) error {
	var a RootResponse
	if err := json.Unmarshal(response, &a); err != nil {
		return err
	}
	return c.db.Update(ctx, func(tx db.Tx) error {
		act, err := findAct(ctx, tx, `id = $1`, a.ID)
		if err != nil {
			return err
		}
		q, err := parseRootRequest(act.request)
		if err != nil {
			return err
		}
		done, err := c.compare(q, a, act)
		if err != nil {
			return err
		}
		return c.storeAct(ctx, tx, q, done, response, actor)
	})
}

// CompleteActs is what Run does for acts of the root.
func (c *CA) CompleteActs(ctx context.Context) { c.completeActs(ctx) }

// KeyUseQuery is the query that finds what speaks against a key, IssuedQuery the one that
// looks once more when its certificate is stored.
var (
	KeyUseQuery = keyUseQuery
	IssuedQuery = issuedQuery
)
