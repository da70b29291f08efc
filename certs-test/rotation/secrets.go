package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/keys"
)

// rewrap replaces the key-encryption key: the next one is brought beside the one
// in use, and takes its place once everything is under it.
func (r *rig) rewrap(ctx context.Context, c *city.City) error {
	kek := filepath.Join(r.where.Data, "kek")
	if _, err := keys.NewKEK(kek + ".next"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := c.Ring.Rewrap(ctx, "officer:bench"); err != nil {
		return err
	}
	// Every replica follows before the file moves.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Second):
	}
	return os.Rename(kek+".next", kek)
}

// rotateRoot names a next root, and lets it take over.
func (r *rig) rotateRoot(ctx context.Context, step func(string, func(*city.City) error) error) error {
	passphrase := []byte("a passphrase for the second root")
	plan := r.cities[0].CA.Plan()
	plan.Root.CommonName = strings.TrimSpace(plan.Root.CommonName) + " R2"
	der, pem, err := ca.NewRoot(plan, passphrase, time.Now())
	if err != nil {
		return err
	}
	next, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	key, err := ca.LoadRootKey(pem, passphrase)
	if err != nil {
		return err
	}
	if err := step("root", func(c *city.City) error { return r.act(ctx, c, ca.RootAsk{NextRoot: next.PublicKey}) }); err != nil {
		return err
	}
	return step("root", func(c *city.City) error {
		return r.act(ctx, c, ca.RootAsk{Switch: next, Issuers: []string{"city"}}, key)
	})
}
