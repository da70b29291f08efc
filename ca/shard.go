package ca

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// Shards are filled in blocks, so that certificates do not wait for one row. What
// a process has leased and not used is lost, which harms nothing.
const (
	shardSize  = 10000
	shardBlock = 100
)

// shards hands out places in shards, by CA key.
type shards struct {
	mu    sync.Mutex
	block map[string]*shardLease
}

type shardLease struct {
	shard int64
	url   string
	left  int
}

// nextShard returns the shard that the next certificate under s names, and the
// address of its CRL.
func (c *CA) nextShard(ctx context.Context, s *signer) (shard int64, url string, err error) {
	c.shards.mu.Lock()
	defer c.shards.mu.Unlock()
	if c.shards.block == nil {
		c.shards.block = map[string]*shardLease{}
	}
	l := c.shards.block[s.id]
	if l == nil || l.left == 0 {
		if l, err = c.leaseShard(ctx, s); err != nil {
			return 0, "", fmt.Errorf("lease shard: %w", err)
		}
		c.shards.block[s.id] = l
	}
	l.left--
	return l.shard, l.url, nil
}

// A new shard's CRL is made in milliseconds, here or by another replica: so often, and
// after so long, it is looked for.
const (
	shardLooks = 10
	shardPause = 50 * time.Millisecond
)

// leaseShard takes a block of the key's shard that has room, or opens the next one. No
// certificate names a shard before its CRL is published: whoever opened it may have
// failed at that, or be at it still. It fails with errUnderWay while another replica is.
func (c *CA) leaseShard(ctx context.Context, s *signer) (*shardLease, error) {
	for look := 1; ; look++ {
		var l *shardLease
		var bare int64
		err := c.db.Update(ctx, func(tx db.Tx) (err error) {
			l, bare, err = leaseBlock(ctx, tx, c.base, s.issuer, s.id)
			return err
		})
		if l != nil || err != nil && !db.IsUnique(err) { // another replica opened the same shard just now
			return l, err
		}
		if err == nil {
			if err := c.publishShard(ctx, s.issuer, bare); err != nil {
				return nil, err
			}
		}
		if look == 1 {
			continue // by now it is there, unless another replica is at it
		}
		if look >= shardLooks {
			return nil, errUnderWay
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(shardPause):
		}
	}
}

// leaseBlock takes a block of the first shard that has room. If that has no CRL, or there
// is none and one was opened, it returns no lease and the number of the shard.
func leaseBlock(ctx context.Context, tx db.Tx, base, issuer, key string) (l *shardLease, bare int64, err error) {
	l = &shardLease{left: shardBlock}
	err = tx.QueryRowContext(ctx, `UPDATE ca_shards SET leased = leased + $1 WHERE issuer = $2 AND shard =
		(SELECT min(shard) FROM ca_shards WHERE issuer = $2 AND issuer_key = $3 AND leased + $1 <= $4)
		AND leased + $1 <= $4 AND der IS NOT NULL RETURNING shard, url`, shardBlock, issuer, key, shardSize).Scan(&l.shard, &l.url)
	if err == nil {
		return l, 0, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, 0, err
	}
	err = tx.QueryRowContext(ctx, `SELECT COALESCE(min(shard), 0) FROM ca_shards WHERE issuer = $1 AND issuer_key = $2 AND leased + $3 <= $4`,
		issuer, key, shardBlock, shardSize).Scan(&bare)
	if err != nil || bare > 0 {
		return nil, bare, err
	}
	err = tx.QueryRowContext(ctx, `SELECT COALESCE(max(shard), 0) + 1 FROM ca_shards WHERE issuer = $1`, issuer).Scan(&bare)
	if err != nil {
		return nil, 0, err
	}
	return nil, bare, insertShard(ctx, tx, newShard{issuer: issuer, shard: bare, key: key, url: crlURL(base, issuer, bare)})
}

// newShard is a shard that is opened, with how many places are leased to whoever does so.
type newShard struct {
	issuer, key, url string
	shard, leased    int64
}

func insertShard(ctx context.Context, tx db.Tx, s newShard) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_shards (issuer, shard, issuer_key, url, leased) VALUES ($1, $2, $3, $4, $5)`,
		s.issuer, s.shard, s.key, s.url, s.leased)
	return err
}
