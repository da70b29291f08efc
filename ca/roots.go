package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/verify/trust"
)

// rootTopic is the notice of an act of the root that was applied.
const rootTopic = "ca.root"

// roots are the city's roots and what the current one says. It is replaced when
// an act of the root was applied, here or by another replica.
type roots struct {
	current   rootOf
	before    []rootOf // in their order; their certificates and CRLs live on
	file      []byte   // the root statement's
	statement trust.RootStatement
}

// rootOf is a root by the name that issuer_key has for it.
type rootOf struct {
	key  string
	cert *x509.Certificate
}

func (r *roots) all() []rootOf { return append(append([]rootOf(nil), r.before...), r.current) }

// find returns a root's certificate by its name, nil for none.
func (r *roots) find(key string) *x509.Certificate {
	for _, one := range r.all() {
		if one.key == key {
			return one.cert
		}
	}
	return nil
}

// pool holds every root.
func (r *roots) pool() *x509.CertPool {
	p := x509.NewCertPool()
	for _, one := range r.all() {
		p.AddCert(one.cert)
	}
	return p
}

// signerOf returns the root that signed a certificate.
func (r *roots) signerOf(cert *x509.Certificate) (rootOf, error) {
	var err error
	for _, one := range r.all() {
		if err = cert.CheckSignatureFrom(one.cert); err == nil {
			return one, nil
		}
	}
	return rootOf{}, err
}

// RootCertificate returns the current root, which verifiers pin.
func (c *CA) RootCertificate() *x509.Certificate { return c.roots.Load().current.cert }

// Roots holds the current root and those before it.
func (c *CA) Roots() *x509.CertPool { return c.roots.Load().pool() }

// RootNow returns the current root's statement and its key, as they belong
// together.
func (c *CA) RootNow() (statement []byte, pin crypto.PublicKey) {
	r := c.roots.Load()
	return bytes.Clone(r.file), r.current.cert.PublicKey
}

// RootStatement returns the signed statement of the current root.
func (c *CA) RootStatement() []byte { return bytes.Clone(c.roots.Load().file) }

// follow looks for an act of the root that another replica applied.
func (c *CA) follow(ctx context.Context) {
	var s state
	var before []rootOf
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		s, before, err = readRoots(ctx, tx)
		return err
	})
	if err == nil && !bytes.Equal(s.statement, c.roots.Load().file) {
		err = c.setRoots(s, before)
	}
	if err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "follow root", slog.Any("cause", err))
	}
}

func readRoots(ctx context.Context, tx db.Tx) (s state, before []rootOf, err error) {
	if s, err = readState(ctx, tx); err != nil {
		return s, nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT key, der FROM ca_roots ORDER BY until, key`)
	if err != nil {
		return s, nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key string
		var der []byte
		if err := rows.Scan(&key, &der); err != nil {
			return s, nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return s, nil, fmt.Errorf("stored root %s: %w", key, err)
		}
		before = append(before, rootOf{key, cert})
	}
	return s, before, rows.Err()
}

func (c *CA) setRoots(s state, before []rootOf) error {
	cert, err := x509.ParseCertificate(s.root)
	if err != nil {
		return fmt.Errorf("stored root: %w", err)
	}
	statement, err := trust.ParseRoot(s.statement)
	if err != nil {
		return fmt.Errorf("stored root statement: %w", err)
	}
	c.roots.Store(&roots{current: rootOf{s.rootKey, cert}, before: before, file: s.statement, statement: statement})
	return nil
}
