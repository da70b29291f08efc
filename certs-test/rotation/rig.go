package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bytes"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/keys"
)

const free = "127.0.0.1:0"

// rig is one city under load.
type rig struct {
	*total
	name, dir, database string
	replicas            int
	pause               time.Duration

	where  city.Where
	cities []*city.City
	bases  []string // of each replica's plain listener
	secure string
	demo   city.Demo
	before *verifier // holds what was published before the first rotation
}

func (r *rig) run(ctx context.Context) (err error) {
	ctx, stop := context.WithCancel(ctx)
	var serving sync.WaitGroup
	failed := make(chan error, 4)
	defer func() {
		stop()
		serving.Wait()
		for _, c := range r.cities {
			err = errors.Join(err, c.Close())
		}
		close(failed)
		for one := range failed {
			err = errors.Join(err, one)
		}
	}()
	if err := r.open(ctx, &serving, failed); err != nil {
		return err
	}
	if r.before, err = r.settled(ctx); err != nil {
		return err
	}
	loading, unload := context.WithCancel(ctx)
	var load sync.WaitGroup
	for _, work := range r.workers() {
		load.Go(func() { r.loop(loading, work) })
	}
	err = r.rotateAll(ctx)
	unload()
	load.Wait()
	return err
}

// open makes the city and serves it from every replica.
func (r *rig) open(ctx context.Context, serving *sync.WaitGroup, failed chan error) error {
	r.where = city.Where{Data: filepath.Join(r.dir, "city"), Database: r.database}
	addresses := city.Addresses{HTTPS: free, HTTP: free, MTLS: free, Debug: free}
	first, l, err := city.OpenDemo(ctx, city.Options{}, city.DemoOptions{Where: r.where, Addresses: addresses})
	if err != nil {
		return err
	}
	sockets := []*city.Listeners{l}
	r.cities = []*city.City{first}
	for range r.replicas - 1 {
		c, err := city.Open(ctx, city.Options{Where: r.where})
		if err != nil {
			return err
		}
		r.cities = append(r.cities, c)
		l, err := city.Listen(addresses)
		if err != nil {
			return err
		}
		sockets = append(sockets, l)
	}
	if r.demo, err = city.WriteDemo(r.where); err != nil {
		return err
	}
	ready := make(chan struct{}, r.replicas)
	for i, c := range r.cities {
		r.bases = append(r.bases, fmt.Sprintf("http://127.0.0.1:%d", city.Port(sockets[i].HTTP)))
		serving.Go(func() {
			err := c.Serve(ctx, sockets[i], city.ServeOptions{Ready: func() error { ready <- struct{}{}; return nil }})
			if err != nil && ctx.Err() == nil {
				failed <- err
			}
		})
	}
	r.secure = fmt.Sprintf("https://127.0.0.1:%d", city.Port(sockets[0].HTTPS))
	for range r.cities {
		select {
		case <-ready:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settled waits until the schedule has published the next token key, and returns
// the verifier that holds what is published then.
func (r *rig) settled(ctx context.Context) (*verifier, error) {
	for end := time.Now().Add(30 * time.Second); ; {
		v, err := r.fetch(ctx, r.bases[0])
		if err == nil && len(v.jwks.Keys) > 1 {
			return v, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no next token key was published: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// rotateAll rotates every purpose, by a replica in turn.
func (r *rig) rotateAll(ctx context.Context) error {
	n := 0
	step := func(purpose string, f func(c *city.City) error) error {
		start := time.Now()
		if err := f(r.cities[n%len(r.cities)]); err != nil {
			return fmt.Errorf("rotate %s: %w", purpose, err)
		}
		n++
		r.rotated(purpose)
		fmt.Fprintf(os.Stderr, "rotation: %s: %-6s in %4d ms, requests so far %d\n", r.name, purpose, time.Since(start).Milliseconds(), r.requests.Load())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(r.pause):
			return nil
		}
	}
	rotate := func(purpose, owner string) error {
		return step(purpose, func(c *city.City) error {
			active, _, err := c.Ring.Active(ctx, purpose, owner)
			if err != nil {
				return err
			}
			_, err = c.Rotate(ctx, purpose, owner, active.ID, "officer:bench", false)
			return err
		})
	}
	var steps []func() error
	add := func(purpose string, owners ...string) {
		for _, owner := range owners {
			steps = append(steps, func() error { return rotate(purpose, owner) })
		}
	}
	issuers := []string{"city", "donghu", "xishan"}
	add(keys.PurposeToken, ca.Owner)
	add(keys.PurposePermit, agency)
	add(keys.PurposeTLS, ca.Owner)
	add(keys.PurposeOCSP, issuers...)
	add(keys.PurposeTrust, ca.Owner)
	add(keys.PurposeStatus, ca.Owner)
	add(keys.PurposeLog, ca.Owner)
	steps = append(steps, func() error {
		return step("root statement", func(c *city.City) error { return r.act(ctx, c, ca.RootAsk{Issuers: issuers}) })
	})
	add(keys.PurposeCA, issuers...)
	steps = append(steps, func() error {
		return step("lookup", func(c *city.City) error { return c.RotateLookup(ctx, "officer:bench") })
	})
	steps = append(steps, func() error { return step("kek", func(c *city.City) error { return r.rewrap(ctx, c) }) })
	steps = append(steps, func() error { return r.rotateRoot(ctx, step) })
	for _, one := range steps {
		if err := one(); err != nil {
			return err
		}
	}
	return nil
}

// act holds an act of the root, with the demo's root key.
func (r *rig) act(ctx context.Context, c *city.City, a ca.RootAsk, more ...crypto.Signer) error {
	a.Actor = "officer:bench"
	file, err := c.CA.AskRoot(ctx, a)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(filepath.Join(r.where.Data, "ceremony", "root.key"))
	if err != nil {
		return err
	}
	passphrase, err := os.ReadFile(filepath.Join(r.where.Data, "ceremony", "passphrase"))
	if err != nil {
		return err
	}
	root, err := ca.LoadRootKey(pem, bytes.TrimSpace(passphrase))
	if err != nil {
		return err
	}
	response, err := ca.SignRootRequest(file, c.RootCertificate(), append(more, root), time.Now())
	if err != nil {
		return err
	}
	if err := c.CA.ApplyRoot(ctx, response, a.Actor); err != nil {
		return err
	}
	return c.Trust.Publish(ctx)
}
