package ca

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// renewAfter is how long after its end a certificate can still be renewed.
const renewAfter = 30 * 24 * time.Hour

// Renewal asks for the successor of a certificate, for the same key or another one.
type Renewal struct {
	Serial         string // of a certificate of this CA
	CSR            []byte // PEM or DER
	NotAfter       time.Time
	Actor          string
	IdempotencyKey string
}

// RenewalRequest returns what a renewal asks for: nothing is copied from the old
// certificate but whom it is about and, for a server, its names. Everything else is
// today's: the subject of the registry, the profile's rules, the issuer's key, the
// addresses, and whether the agency may still have the names. sameKey says that the
// CSR is for the key of the old certificate. It fails with ErrNotFound for a
// certificate that this CA did not issue, Conflict for one that is revoked or ended
// more than 30 days ago, or comes from an order of a firm without a business licence in
// force, and Invalid for the city's own and a CSR that is none.
func (c *CA) RenewalRequest(ctx context.Context, v Renewal) (r Request, sameKey bool, err error) {
	old, err := c.Find(ctx, v.Serial)
	if err != nil {
		return Request{}, false, err
	}
	r = Request{Profile: old.Profile, Agency: old.Agency, CSR: v.CSR, NotAfter: v.NotAfter, Renews: old.Serial, Actor: v.Actor, IdempotencyKey: v.IdempotencyKey}
	switch p, known := asked[old.Profile]; {
	case !known || p.own:
		return Request{}, false, fault.New(fault.Invalid, "certificates of this profile are not renewed on request")
	case p.name:
		r.Name = old.Subject
	}
	if kind, id, ok := strings.Cut(old.Holder, ":"); ok && kind == "firm" {
		r.Firm, r.Issuer = id, old.Issuer
	} else if ok {
		r.Person = id
		if old.Agency == "" {
			r.Issuer = old.Issuer
		}
	}
	if old.Profile == profile.SystemServer {
		if r.Hosts, err = hostsOf(old.DER); err != nil {
			return Request{}, false, err
		}
	}
	csr, err := ParseCSR(old.Profile, v.CSR)
	if err != nil {
		return Request{}, false, err
	}
	if refusal := cmpErr(c.renewable(old), c.licensedToRenew(ctx, old)); refusal != nil {
		if answered, err := c.answered(ctx, r); err != nil || !answered {
			return Request{}, false, cmpErr(err, refusal)
		}
	}
	key, err := hashKey(csr.PublicKey)
	return r, string(key) == string(old.keyHash), err
}

var errNotInForce = fault.New(fault.Conflict, "the certificate is not in force and cannot be renewed")

// checkRenewed fails, in the transaction of the intent, for the successor of a certificate
// that was revoked since it was asked for.
func checkRenewed(ctx context.Context, tx db.Tx, row *Certificate) error {
	if row.renews == "" {
		return nil
	}
	var status Status
	err := tx.QueryRowContext(ctx, `SELECT status FROM ca_certificates WHERE serial = $1`, row.renews).Scan(&status)
	if err == nil && status != Issued {
		err = errNotInForce
	}
	return err
}

// renewable fails with kind Conflict for a certificate that has no successor any more.
func (c *CA) renewable(old Certificate) error {
	switch {
	case old.Status != Issued:
		return errNotInForce
	case c.now().Sub(old.NotAfter) > renewAfter:
		return fault.New(fault.Conflict, "the certificate ended more than 30 days ago: ask for a new one")
	}
	return nil
}

// answered reports whether this very request was answered under its key before, with a
// certificate or by keeping it for an officer. Whoever lost the answer gets it again,
// also after the old certificate was revoked as superseded.
func (c *CA) answered(ctx context.Context, r Request) (bool, error) {
	if !isText(r.Actor, 1, 128) || !isText(r.IdempotencyKey, 1, 128) {
		return false, nil
	}
	kept, made, err := c.hashes(ctx, r)
	if err != nil {
		return false, err
	}
	var answered bool
	err = c.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM ca_certificates WHERE actor = $1 AND request_key = $2 AND request_hash = $3 AND der IS NOT NULL)
			OR EXISTS (SELECT 1 FROM ca_requests WHERE requester = $1 AND request_key = $2 AND request_hash = $4)`, r.Actor, r.IdempotencyKey, made, kept).Scan(&answered)
	})
	if err != nil {
		return false, fmt.Errorf("find earlier request: %w", err)
	}
	return answered, nil
}

// hostsOf returns the names of hosts in a certificate, as a request names them.
func hostsOf(der []byte) ([]string, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse stored certificate: %w", err)
	}
	list := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		list = append(list, ip.String())
	}
	return list, nil
}

// Renew issues what RenewalRequest returns. The old certificate stays until it ends
// or is revoked. It fails as both do.
func (c *CA) Renew(ctx context.Context, v Renewal) (Certificate, error) {
	r, _, err := c.RenewalRequest(ctx, v)
	if err != nil {
		return Certificate{}, fmt.Errorf("renew certificate: %w", err)
	}
	return c.Issue(ctx, r)
}
