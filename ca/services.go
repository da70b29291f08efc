package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// overlap is how long a service's old key stays after its successor took over:
// every replica has followed by then.
const overlap = 10 * time.Minute

// TLSCertificate returns the city's own certificate with its chain, but for the
// root, and the key of the ring. It changes at a renewal, so servers ask for it at
// each handshake. It fails with kind Unavailable while there is no active key.
func (c *CA) TLSCertificate(ctx context.Context) (*tls.Certificate, error) {
	k, signer, err := c.ring.Active(ctx, keys.PurposeTLS, Owner)
	if err != nil {
		return nil, fmt.Errorf("find TLS key: %w", err)
	}
	leaf, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return nil, fmt.Errorf("parse TLS certificate: %w", err)
	}
	issuer, err := c.issuerCertificate(ctx, leaf)
	if err != nil {
		return nil, fmt.Errorf("find TLS issuer: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, issuer.Raw}, PrivateKey: signer, Leaf: leaf}, nil
}

// issuerCertificate returns the issuing CA's certificate of one that we issued.
func (c *CA) issuerCertificate(ctx context.Context, cert *x509.Certificate) (*x509.Certificate, error) {
	row, err := c.Find(ctx, profile.SerialString(cert.SerialNumber))
	if err != nil {
		return nil, err
	}
	return c.issuerOfRow(ctx, row)
}

// issuerOfRow returns the certificate of the CA that signed a row's, nil for the
// root's own.
func (c *CA) issuerOfRow(ctx context.Context, row Certificate) (*x509.Certificate, error) {
	if row.Profile == profile.Root {
		return nil, nil
	}
	if root := c.roots.Load().find(row.IssuerKey); root != nil {
		return root, nil
	}
	s, err := c.signerByID(ctx, row.IssuerKey)
	if err != nil {
		return nil, err
	}
	return s.cert, nil
}

// service is a place in the ring whose certificate the city renews by itself.
type service struct {
	purpose, owner string
	request        Request
	algorithm      string
	days           int
}

func (c *CA) services() []service {
	list := []service{{purpose: keys.PurposeTLS, owner: Owner, algorithm: c.plan.TLS.Algorithm, days: c.plan.TLS.Days,
		request: Request{Profile: profile.TLS, Issuer: c.plan.TLS.Issuer, Hosts: c.plan.TLS.Hosts}}}
	for _, is := range c.plan.Issuers {
		list = append(list, service{purpose: keys.PurposeOCSP, owner: is.ID, algorithm: c.plan.OCSP.Algorithm, days: c.plan.OCSP.Days,
			request: Request{Profile: profile.OCSP, Issuer: is.ID}})
	}
	return list
}

// RenewServices gives the TLS and OCSP keys of the city successors with new
// certificates, made from their templates, once two thirds of a certificate's life
// are over or it was revoked, and retires what was succeeded a while ago. OCSP keys
// get certificates from every CA key of their issuer. Replicas take turns.
func (c *CA) RenewServices(ctx context.Context) error {
	var errs []error
	for _, s := range c.services() {
		if err := c.renew(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("renew %s of %s: %w", s.purpose, s.owner, err))
		}
	}
	return errors.Join(errs...)
}

func (c *CA) renew(ctx context.Context, s service) error {
	if err := c.retireOld(ctx, s); err != nil {
		return err
	}
	active, _, err := c.ring.Active(ctx, s.purpose, s.owner)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(active.Certificate)
	if err != nil {
		return err
	}
	revoked, err := c.revoked(ctx, cert)
	if err != nil {
		return err
	}
	if left := cert.NotAfter.Sub(c.now()); left > cert.NotAfter.Sub(cert.NotBefore)/3 && !revoked {
		return c.cover(ctx, s, active)
	}
	mine, err := c.takeTurn(ctx, s.purpose+":"+s.owner)
	if err != nil || !mine {
		return err
	}
	next, err := c.successor(ctx, s, active)
	if err != nil {
		return err
	}
	if next.State == keys.Staged {
		if err := c.ring.Move(ctx, next.ID, keys.Published, "system", "renewal"); err != nil {
			return err
		}
	}
	if err := c.cover(ctx, s, next); err != nil {
		return err
	}
	_, _, err = c.ring.Promote(ctx, s.purpose, s.owner, "system")
	return err
}

// PrepareService makes the key that follows the one in use for TLS or an issuer's
// OCSP, with its certificate, and publishes it. It fails with kind NotFound for
// any other place. Repeating it changes nothing.
func (c *CA) PrepareService(ctx context.Context, purpose, owner, actor string) error {
	for _, s := range c.services() {
		if s.purpose != purpose || s.owner != owner {
			continue
		}
		active, err := c.ring.List(ctx, keys.Filter{Purpose: purpose, Owner: owner, States: []keys.State{keys.Active, keys.Compromised}})
		if err != nil || len(active) == 0 {
			return cmpErr(err, fault.New(fault.Conflict, "there is no key to follow"))
		}
		next, err := c.successor(ctx, s, active[len(active)-1])
		if err != nil {
			return err
		}
		if err := c.cover(ctx, s, next); err != nil || next.State != keys.Staged {
			return err
		}
		return c.ring.Move(ctx, next.ID, keys.Published, actor, "next")
	}
	return fault.New(fault.NotFound, "the city has no such service")
}

// successor returns the key that follows active, with its certificate: the one
// that an interrupted renewal left, or a new one.
func (c *CA) successor(ctx context.Context, s service, active keys.Key) (keys.Key, error) {
	list, err := c.ring.List(ctx, keys.Filter{Purpose: s.purpose, Owner: s.owner, States: []keys.State{keys.Published, keys.Staged}})
	if err != nil {
		return keys.Key{}, err
	}
	var next keys.Key
	for _, k := range list {
		if next.ID == "" || k.State == keys.Published {
			next = k
		}
	}
	if next.ID == "" {
		next, err = c.ring.Create(ctx, keys.Spec{Purpose: s.purpose, Owner: s.owner, Alg: s.algorithm, Backend: active.Backend, Actor: "system"})
		if err != nil {
			return keys.Key{}, err
		}
	}
	if next.Certificate != nil {
		return next, nil
	}
	signer, err := c.ring.Signer(ctx, next.ID)
	if err != nil {
		return keys.Key{}, err
	}
	r := s.request
	r.Key, r.Actor, r.IdempotencyKey = signer, "system", "key:"+next.ID
	r.NotAfter = next.Created.Add(time.Duration(s.days)*24*time.Hour - time.Second)
	cert, err := c.Issue(ctx, r)
	if err != nil {
		return keys.Key{}, err
	}
	return next, c.ring.Certify(ctx, next.ID, cert.DER, "system")
}

func (c *CA) retireOld(ctx context.Context, s service) error {
	old, err := c.ring.List(ctx, keys.Filter{Purpose: s.purpose, Owner: s.owner, States: []keys.State{keys.Retiring}})
	if err != nil {
		return err
	}
	for _, k := range old {
		if c.now().Sub(k.Retiring) < overlap {
			continue
		}
		err := c.ring.Move(ctx, k.ID, keys.Retired, "system", "succeeded")
		if err != nil && fault.KindOf(err) != fault.Conflict { // another replica was faster
			return err
		}
	}
	return nil
}

// takeTurn lets one replica alone do something for a minute.
func (c *CA) takeTurn(ctx context.Context, name string) (mine bool, err error) {
	now := c.now()
	err = c.db.Update(ctx, func(tx db.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO ca_turns (name, until) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE ca_turns.until <= $3`,
			name, db.Micros(now.Add(time.Minute)), db.Micros(now))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		mine = n == 1
		return err
	})
	return mine, err
}
