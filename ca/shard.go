package ca

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

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

// leaseShard takes a block of the key's shard that has room, or opens the next
// one and publishes its CRL before any certificate names it.
func (c *CA) leaseShard(ctx context.Context, s *signer) (*shardLease, error) {
	var l *shardLease
	var opened bool
	err := c.db.Update(ctx, func(tx db.Tx) (err error) {
		l, opened, err = leaseBlock(ctx, tx, c.base, s.issuer, s.id)
		return err
	})
	if db.IsUnique(err) {
		return nil, errUnderWay // another replica opened the same shard just now
	}
	if err == nil && opened {
		err = c.publishShard(ctx, s.issuer, l.shard)
	}
	return l, err
}

func leaseBlock(ctx context.Context, tx db.Tx, base, issuer, key string) (l *shardLease, opened bool, err error) {
	l = &shardLease{left: shardBlock}
	err = tx.QueryRowContext(ctx, `UPDATE ca_shards SET leased = leased + $1 WHERE issuer = $2 AND shard =
		(SELECT min(shard) FROM ca_shards WHERE issuer = $2 AND issuer_key = $3 AND leased + $1 <= $4)
		AND leased + $1 <= $4 RETURNING shard, url`, shardBlock, issuer, key, shardSize).Scan(&l.shard, &l.url)
	if !errors.Is(err, sql.ErrNoRows) {
		return l, false, err
	}
	err = tx.QueryRowContext(ctx, `SELECT COALESCE(max(shard), 0) + 1 FROM ca_shards WHERE issuer = $1`, issuer).Scan(&l.shard)
	if err != nil {
		return nil, false, err
	}
	l.url = crlURL(base, issuer, l.shard)
	return l, true, insertShard(ctx, tx, issuer, l.shard, key, l.url)
}

// insertShard opens a shard with its first block leased to the caller.
func insertShard(ctx context.Context, tx db.Tx, issuer string, shard int64, key, url string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_shards (issuer, shard, issuer_key, url, leased) VALUES ($1, $2, $3, $4, $5)`,
		issuer, shard, key, url, shardBlock)
	return err
}
