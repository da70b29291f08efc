package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/signet-city/signet/ca/lint"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// Request asks for one certificate. The key is proved by a CSR or, for keys at
// hand, by signing one with Key.
type Request struct {
	Profile profile.Kind
	Agency  string // whose; "" for firms, citizens and the city's own
	Firm    string // USCC, of Firm alone
	Person  string // id in the registry, of Officer and Citizen alone
	Issuer  string // "" for the agency's, or the city's for firms and citizens; the city's own must name it

	CSR []byte        // PEM or DER; not for the city's own
	Key crypto.Signer // or the key itself

	Name      string    // of the program, for SystemClient alone
	Hosts     []string  // of TLS and SystemServer; nil: those that the CSR names
	NotBefore time.Time // zero: now, or a few minutes ago, as the profile has it
	NotAfter  time.Time // zero: the profile's usual lifetime; never beyond the issuer's

	Renews string // serial of the certificate that this one follows, "" for none; see RenewalRequest

	Actor          string
	IdempotencyKey string // "" for none; with one, the same actor's same request is answered with the same certificate

	by string // the CA key that signs, of OCSP alone; "" for the one in use
}

var errUnderWay = fault.New(fault.Unavailable, "this certificate is being made, try again")

// Issue makes a certificate. It fails with kind Invalid or TooLarge for a request
// that cannot be fulfilled, NotFound for an unknown agency, firm, person or issuer, Denied
// when the issuer may not certify the agency, another has taken its place, or the
// person does not work there, or it has not all of the names, Conflict when the idempotency key was
// used for another request, or the subject's key is blocked, compromised, ours or
// another subject's, and Unavailable when the same request is under way or the issuer's key is away.
func (c *CA) Issue(ctx context.Context, r Request) (Certificate, error) {
	cert, err := c.issue(ctx, r)
	c.metrics.count(r.Profile, err)
	if err != nil {
		c.noteRefusal(ctx, r, err)
		return Certificate{}, fmt.Errorf("issue certificate: %w", err)
	}
	return cert, nil
}

// issue makes a certificate. Whether the actor has one already under the idempotency key
// is asked when something speaks against making it, at the latest that the key is
// used: the intent's row has it, and no other row may. Who asks again gets what they
// got, whatever else speaks against it by now.
func (c *CA) issue(ctx context.Context, r Request) (Certificate, error) {
	for again := false; ; again = true {
		p, err := c.prepare(ctx, r)
		if err == nil {
			p.row, err = c.sign(ctx, p.by, p.csr, p.template, p.row)
		}
		if err == nil || p.hash == nil {
			return p.row, err
		}
		old, repeated := c.repeated(ctx, r, p.hash)
		if repeated != nil || old.Serial != "" {
			return old, repeated
		}
		if again || !errors.Is(err, errUnderWay) {
			return Certificate{}, err
		}
		// What was under way is given up.
	}
}

// prepared is a request that has passed what can be looked at before the intent.
type prepared struct {
	csr      *x509.CertificateRequest
	by       *signer
	template *x509.Certificate
	row      Certificate // of the template
	hash     []byte      // names the request; nil if it is none
}

func (c *CA) prepare(ctx context.Context, r Request) (p prepared, err error) {
	if err := checkRequest(&r); err != nil {
		return p, err
	}
	if p.csr, err = proof(&r); err != nil {
		return p, err
	}
	subject, err := c.place(ctx, &r)
	if err != nil {
		return p, err
	}
	if p.hash, err = r.hash(p.csr.PublicKey); err != nil {
		return p, err
	}
	if p.by, err = c.issuingKey(ctx, r); err != nil {
		return p, err
	}
	p.template, p.row, err = c.template(ctx, r, subject, p.csr.PublicKey, p.by)
	p.row.requestHash = p.hash
	return p, err
}

// Check fails as Issue would for the same request, and makes nothing.
func (c *CA) Check(ctx context.Context, r Request) error {
	if err := c.check(ctx, r); err != nil {
		c.noteRefusal(ctx, r, err)
		return fmt.Errorf("check request: %w", err)
	}
	return nil
}

func (c *CA) check(ctx context.Context, r Request) error {
	p, err := c.prepare(ctx, r)
	if p.hash != nil {
		if old, repeated := c.repeated(ctx, r, p.hash); repeated != nil || old.Serial != "" {
			return repeated
		}
	}
	if err != nil {
		return err
	}
	if err := checkPossession(p.csr); err != nil {
		return err
	}
	if _, err := c.linter.Check(r.Profile, p.template, p.by.cert); err != nil {
		return lintFault(err)
	}
	return c.db.Read(ctx, func(tx db.Tx) error { return c.checkPolicy(ctx, tx, &p.row) })
}

// checkPolicy looks at what others may change while a request is on its way: the
// lists of blocked keys and of names, what the key serves, whether the firm of an
// order is licensed, and whether what is renewed is still in force.
func (c *CA) checkPolicy(ctx context.Context, tx db.Tx, row *Certificate) error {
	if err := checkKeyUse(ctx, tx, row); err != nil {
		return err
	}
	if err := c.checkOrdered(ctx, tx, row); err != nil {
		return err
	}
	if err := checkRenewed(ctx, tx, row); err != nil {
		return err
	}
	return checkNames(ctx, tx, row)
}

// IssuePermitSigning certifies a staged permit key of the ring for its agency. It
// may be repeated: a key gets one certificate. The caller attaches it
// (keys.Ring.Certify).
func (c *CA) IssuePermitSigning(ctx context.Context, agency string, key keys.Key, actor string) (Certificate, error) {
	if key.Purpose != keys.PurposePermit || key.Owner != agency || key.State != keys.Staged {
		return Certificate{}, fault.New(fault.Conflict, "the key is no staged permit key of this agency")
	}
	signer, err := c.ring.Signer(ctx, key.ID)
	if err != nil {
		return Certificate{}, fmt.Errorf("issue permit certificate: %w", err)
	}
	return c.Issue(ctx, Request{Profile: profile.PermitSigning, Agency: agency, Key: signer, Actor: actor, IdempotencyKey: "key:" + key.ID})
}

func isText(s string, least, most int) bool {
	if len(s) < least || len(s) > most || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// proof returns the request that proves possession of the key, once its signature is
// verified: sign and Check do that. The names of hosts are those of the CSR where the
// caller has named none; else the CSR names no others.
func proof(r *Request) (*x509.CertificateRequest, error) {
	if r.CSR != nil {
		csr, err := readCSR(r.Profile, r.CSR)
		if err != nil {
			return nil, err
		}
		r.Hosts, err = hosts(r.Hosts, csr)
		return csr, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, r.Key)
	if err != nil {
		return nil, fmt.Errorf("prove possession: %w", err)
	}
	return readCSR(r.Profile, der)
}

// hash names what is asked for: repeated under one idempotency key it must be the
// same. Times that default to now do not count.
func (r *Request) hash(pub crypto.PublicKey) ([]byte, error) {
	key, err := hashKey(pub)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	parts := []string{string(r.Profile), r.Agency, r.Issuer, string(key), r.NotBefore.UTC().String(), r.NotAfter.UTC().String()}
	parts = append(parts, r.Hosts...)
	if r.Firm != "" || r.Person != "" || r.Name != "" { // the others' hashes are as they were before there were these
		parts = append(parts, "firm", r.Firm, "person", r.Person, "name", r.Name)
	}
	if r.Renews != "" && !strings.HasPrefix(r.Actor, requestActor) { // what a request was for is decided
		parts = append(parts, "renews", r.Renews)
	}
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return h.Sum(nil), nil
}

// repeated returns what the actor got for the same idempotency key before, a
// certificate without serial for nothing.
func (c *CA) repeated(ctx context.Context, r Request, hash []byte) (Certificate, error) {
	if r.IdempotencyKey == "" {
		return Certificate{}, nil
	}
	var old Certificate
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		old, err = findCertificate(ctx, tx, `actor = $1 AND request_key = $2`, r.Actor, r.IdempotencyKey)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return Certificate{}, nil
	case err != nil:
		return Certificate{}, fmt.Errorf("find earlier request: %w", err)
	case !bytes.Equal(old.requestHash, hash):
		return Certificate{}, fault.New(fault.Conflict, "the idempotency key was used for another request")
	case old.Status == Intent && c.stale(old):
		c.abandon(ctx, &old)
		return Certificate{}, nil
	case old.Status == Intent:
		return Certificate{}, errUnderWay
	}
	return old, nil
}

// template returns the unsigned certificate and its row.
func (c *CA) template(ctx context.Context, r Request, subject profile.Subject, pub crypto.PublicKey, s *signer) (*x509.Certificate, Certificate, error) {
	from, err := c.begin(r)
	if err != nil {
		return nil, Certificate{}, err
	}
	if c.now().After(s.cert.NotAfter) {
		return nil, Certificate{}, fault.New(fault.Unavailable, "the issuer's certificate has expired")
	}
	serial, err := profile.NewSerial(c.instance, c.random)
	if err != nil {
		return nil, Certificate{}, err
	}
	shard, url, err := c.nextShard(ctx, s)
	if err != nil {
		return nil, Certificate{}, err
	}
	t, err := profile.Template(profile.Request{Kind: r.Profile, Subject: subject, Public: pub, Serial: serial, NotBefore: from,
		NotAfter: r.NotAfter, Hosts: r.Hosts, Policy: c.profiles[r.Profile], CRL: url, OCSP: responderOf(c.base, r.Profile, r.Issuer), CAIssuers: caURL(c.base, r.Issuer, s.cert)}, s.cert)
	if err != nil {
		return nil, Certificate{}, fault.New(fault.Invalid, "the certificate cannot be issued: "+err.Error())
	}
	row, err := newRow(t, r.Profile, r.Issuer, s.id, shard)
	row.hosts, row.renews = r.Hosts, r.Renews
	if r.CSR != nil && err == nil {
		row.foreign, err = x509.MarshalPKIXPublicKey(pub)
	}
	row.Agency, row.Holder, row.Actor, row.requestKey = r.Agency, r.holder(), r.Actor, r.IdempotencyKey
	return t, row, err
}

// newRow describes a template.
func newRow(t *x509.Certificate, kind profile.Kind, issuer, issuerKey string, shard int64) (Certificate, error) {
	key, err := hashKey(t.PublicKey)
	return Certificate{Serial: profile.SerialString(t.SerialNumber), Issuer: issuer, IssuerKey: issuerKey, Shard: shard, Profile: kind,
		Subject: t.Subject.CommonName, Status: Intent, NotBefore: t.NotBefore, NotAfter: t.NotAfter, keyHash: key, requestHash: []byte{}}, err
}

// sign takes a template through the issuer's authority. The authority verifies the
// request's signature, twice, before it asks for a certificate. It builds one of its own
// from the request; the enforcer replaces all of it.
func (c *CA) sign(ctx context.Context, s *signer, csr *x509.CertificateRequest, template *x509.Certificate, row Certificate) (Certificate, error) {
	j := &job{ctx: ctx, kind: row.Profile, row: row}
	c.jobs.Store(csr, j)
	defer c.jobs.Delete(csr)
	_, err := s.authority.SignWithContext(ctx, csr, provisioner.SignOptions{},
		provisioner.CertificateEnforcerFunc(func(cert *x509.Certificate) error {
			*cert = *template
			return nil
		}))
	if err != nil && j.err == nil { // it did not come as far as our service
		j.err = cmpErr(checkPossession(csr), err)
	}
	return j.row, j.err
}

// lintFault tells the caller which rules are broken: what a template of ours
// breaks comes from the caller's key or names.
func lintFault(err error) error {
	broken, ok := errors.AsType[*lint.Error](err)
	if !ok {
		return err
	}
	var p problems
	for _, f := range broken.Findings {
		p.add("", "breaks the rule "+f.Rule)
	}
	return fmt.Errorf("%w", fault.InvalidInput("the certificate may not be issued", p...))
}

// abandon gives up an intent. If that fails too, Recover will do it.
func (c *CA) abandon(ctx context.Context, row *Certificate) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authTimeout)
	defer cancel()
	err := c.db.Update(ctx, func(tx db.Tx) error {
		_, err := storeAbandoned(ctx, tx, row, c.now())
		return err
	})
	if err != nil {
		c.log.WarnContext(ctx, "intent not abandoned yet", slog.String("serial", row.Serial), slog.Any("cause", err))
	}
}
