package oidc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/fault"
)

// How clients' keys are fetched: they are fresh for some minutes, may be asked for
// again after one minute when a signature names another key, and count for an hour
// when they cannot be had.
const (
	jwksFresh = 10 * time.Minute
	jwksPause = time.Minute
	jwksStale = time.Hour
	jwksMost  = 4096 // key sets that are kept
)

// clientKeys keeps the key sets that clients publish, by address.
type clientKeys struct {
	mu   sync.Mutex
	sets map[string]*clientKeySet
}

// clientKeySet is what one address gave. Its lock is held while fetching, so that one
// caller fetches and the others wait for it.
type clientKeySet struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // zero: never
	tried   time.Time
}

func (ck *clientKeys) of(address string) *clientKeySet {
	ck.mu.Lock()
	defer ck.mu.Unlock()
	set := ck.sets[address]
	if set == nil {
		for victim := range ck.sets {
			if len(ck.sets) < jwksMost {
				break
			}
			delete(ck.sets, victim)
		}
		set = &clientKeySet{}
		ck.sets[address] = set
	}
	return set
}

var errNoKeys = fault.New(fault.Unavailable, "the client's keys could not be fetched: try again in a moment")

// keysOf returns the keys of a client, as they were at most age ago if they can be
// fetched again.
func (p *Provider) keysOf(ctx context.Context, c *client, age time.Duration) ([]jose.JSONWebKey, error) {
	if c.JWKSURI == "" {
		return c.keys, nil
	}
	if p.o.Fetcher == nil {
		return nil, errNoKeys
	}
	set := p.clientKeys.of(c.JWKSURI)
	set.mu.Lock()
	defer set.mu.Unlock()
	now := p.o.Now()
	if !set.fetched.IsZero() && now.Sub(set.fetched) < age || !set.tried.IsZero() && now.Sub(set.tried) < jwksPause {
		return set.usable(now)
	}
	set.tried = now
	// Whoever asks may be a stranger, and leave: the fetch ends by its own limit, and
	// the next one still has to wait.
	keys, err := p.fetchKeys(context.WithoutCancel(ctx), c.JWKSURI)
	if err != nil {
		p.log.WarnContext(ctx, "fetch client's keys", slog.String("client", c.ID), slog.Any("cause", err))
		return set.usable(now)
	}
	set.keys, set.fetched = keys, now
	return keys, nil
}

func (set *clientKeySet) usable(now time.Time) ([]jose.JSONWebKey, error) {
	if set.fetched.IsZero() || now.Sub(set.fetched) > jwksStale {
		return nil, errNoKeys
	}
	return set.keys, nil
}

func (p *Provider) fetchKeys(ctx context.Context, address string) ([]jose.JSONWebKey, error) {
	b, err := p.o.Fetcher.Fetch(ctx, address, maxJWKS)
	if err != nil {
		return nil, err
	}
	keys, err := parseJWKS(b)
	if err != nil {
		return nil, fmt.Errorf("parse key set: %w", err)
	}
	return keys, nil
}

// signedBy reports whether a client has signed s. A signature that names a key which
// is not there may be of a new one: the keys are fetched again, at most once a minute.
func (p *Provider) signedBy(ctx context.Context, c *client, s *clientJWS) (bool, error) {
	for _, age := range []time.Duration{jwksFresh, jwksPause} {
		keys, err := p.keysOf(ctx, c, age)
		if err != nil {
			return false, err
		}
		for i := range keys {
			if (s.Kid == "" || keys[i].KeyID == "" || keys[i].KeyID == s.Kid) && s.verifies(&keys[i]) {
				return true, nil
			}
		}
		if c.JWKSURI == "" {
			break
		}
	}
	return false, nil
}
