package oidc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// The life of a cached client: after fresh, one caller reads it again while the
// others still use it; after stale nobody does. Two seconds is the promise.
const (
	clientFresh = time.Second
	clientStale = 1900 * time.Millisecond
	clientMost  = 4096
)

// clientCache keeps the clients that are seen often. Ids that do not exist are
// not kept, so that nobody can push the others out.
type clientCache struct {
	mu      sync.Mutex
	entries map[string]*cachedClient
}

type cachedClient struct {
	client *client
	read   time.Time // when reading it began, by the monotonic clock
	busy   bool      // somebody is reading it again
}

// get returns a client that may be used, or nil and the duty to read it.
func (cc *clientCache) get(id string) *client {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	e := cc.entries[id]
	if e == nil {
		return nil
	}
	age := time.Since(e.read)
	if age < clientFresh || e.busy && age < clientStale {
		return e.client
	}
	e.busy = true
	return nil
}

func (cc *clientCache) put(id string, c *client, read time.Time) {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	for victim := range cc.entries {
		if len(cc.entries) < clientMost {
			break
		}
		delete(cc.entries, victim)
	}
	cc.entries[id] = &cachedClient{client: c, read: read}
}

func (cc *clientCache) forget(id string) {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	delete(cc.entries, id)
}

// findClient returns the client as it was less than two seconds ago.
func (p *Provider) findClient(ctx context.Context, id string) (*client, error) {
	if !isClientID(id) {
		return nil, ErrClient
	}
	if c := p.clients.get(id); c != nil && p.there(c) {
		return c, nil
	}
	var c *client
	read := time.Now()
	err := p.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		c, err = readClient(ctx, tx, id)
		return err
	})
	if err == nil && !p.there(c) {
		err = ErrClient
	}
	if err != nil {
		p.clients.forget(id)
		return nil, fmt.Errorf("find client: %w", err)
	}
	p.clients.put(id, c, read)
	return c, nil
}
