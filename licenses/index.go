package licenses

import (
	"context"
	"fmt"
	"sync"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
)

// counterBlock is how many values one replica leases at once. What is left of a
// block when a process ends is never given.
const counterBlock = 1024

// counters hands out numbers that never repeat, without a row that every issue
// would have to lock.
type counters struct {
	db   *db.DB
	mu   sync.Mutex
	left map[string]*block
}

type block struct{ next, end int64 }

// take returns n values of the named counter, in ascending order.
func (c *counters) take(ctx context.Context, name string, n int) ([]int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == nil {
		c.left = map[string]*block{}
	}
	b := c.left[name]
	if b == nil {
		b = &block{}
		c.left[name] = b
	}
	values := make([]int64, 0, n)
	for len(values) < n {
		if b.next == b.end {
			if err := c.lease(ctx, name, b); err != nil {
				return nil, fmt.Errorf("lease %s: %w", name, err)
			}
		}
		values = append(values, b.next)
		b.next++
	}
	return values, nil
}

func (c *counters) lease(ctx context.Context, name string, b *block) error {
	var end int64
	err := c.db.Update(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO license_counters (name, next) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET next = license_counters.next + $2 RETURNING next`, name, counterBlock).Scan(&end)
	})
	if err == nil {
		b.next, b.end = end-counterBlock, end
	}
	return err
}

const placeCounter = "place"

// ref returns the status list entry of a place. Places are given in order; the
// index within the list is a secret permutation of it and tells nothing.
func (s *Service) ref(place int64) permit.Ref {
	list := uint32(place / status.ListSize)
	return permit.Ref{List: list, Index: status.Permute(s.permute, list, uint32(place%status.ListSize))}
}
