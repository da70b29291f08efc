package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/smallstep/certificates/authority"
	casapi "github.com/smallstep/certificates/cas/apiv1"
	stepdb "github.com/smallstep/certificates/db"

	"github.com/signet-city/signet/ca/lint"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// signer is one CA key at work, with an authority of its own.
type signer struct {
	id        string // of the key
	issuer    string
	cert      *x509.Certificate
	authority *authority.Authority
}

// active returns the signer of an issuer's active key. The ring answers from
// memory, so a rotation takes effect at the next certificate.
func (c *CA) active(ctx context.Context, issuer string) (*signer, error) {
	if _, ok := c.issuers[issuer]; !ok {
		return nil, fault.New(fault.NotFound, "no such issuer")
	}
	k, _, err := c.ring.Active(ctx, keys.PurposeCA, issuer)
	if err != nil {
		return nil, fmt.Errorf("find issuing key: %w", err)
	}
	return c.signer(k)
}

// signerByID returns the signer of any CA key of the ring, for what its older
// certificates still need.
func (c *CA) signerByID(ctx context.Context, id string) (*signer, error) {
	c.mu.Lock()
	s := c.signers[id]
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	k, err := c.ring.Find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find issuing key: %w", err)
	}
	return c.signer(k)
}

// issuerKeys returns the signers of every key that an issuer has a certificate
// for, old ones too.
func (c *CA) issuerKeys(ctx context.Context, issuer string) ([]*signer, error) {
	list, err := c.ring.List(ctx, keys.Filter{Purpose: keys.PurposeCA, Owner: issuer})
	if err != nil {
		return nil, fmt.Errorf("list issuing keys: %w", err)
	}
	var found []*signer
	for _, k := range list {
		// Without a state row beside them, keys of an aborted ceremony are no CAs of
		// this city: their certificates are another root's.
		if s, err := c.signer(k); err == nil {
			found = append(found, s)
		}
	}
	return found, nil
}

// signer returns the one signer of k, making it when k is met first.
func (c *CA) signer(k keys.Key) (*signer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.signers[k.ID]; s != nil {
		return s, nil
	}
	if k.Purpose != keys.PurposeCA || k.Certificate == nil {
		return nil, errors.New("key is no CA's or has no certificate")
	}
	cert, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return nil, fmt.Errorf("parse issuing certificate: %w", err)
	}
	root, err := c.roots.Load().signerOf(cert)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate is not the root's: %w", err)
	}
	s := &signer{id: k.ID, issuer: k.Owner, cert: cert}
	s.authority, err = authority.NewEmbedded(
		authority.WithX509RootCerts(root.cert),
		authority.WithX509IntermediateCerts(cert), // or name constraints are not looked at
		authority.WithX509CAService(signingService{c, s}),
		authority.WithDatabase(authDB{c}),
		authority.WithQuietInit(),
	)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	c.signers[k.ID] = s
	return s, nil
}

// job is one certificate on its way through an authority. It is found by the
// request that the authority was given: smallstep passes no context on.
type job struct {
	ctx  context.Context // of the Issue that waits for it
	kind profile.Kind
	row  Certificate
	err  error // why it was refused, before smallstep wrapped it
}

// signingService is the authority's way to a signature: ours.
type signingService struct {
	ca *CA
	s  *signer
}

// CreateCertificate implements casapi.CertificateAuthorityService: lint, intent,
// signature, outcome. It refuses what did not come through Issue. smallstep's own
// service (softcas) would build the certificate a second time.
func (v signingService) CreateCertificate(req *casapi.CreateCertificateRequest) (*casapi.CreateCertificateResponse, error) {
	found, ok := v.ca.jobs.Load(req.CSR)
	if !ok {
		return nil, errors.New("create certificate: the request did not come through Issue")
	}
	j := found.(*job)
	cert, err := v.ca.create(j, v.s, req.Template)
	if err != nil {
		j.err = err
		return nil, err
	}
	return &casapi.CreateCertificateResponse{Certificate: cert, CertificateChain: []*x509.Certificate{v.s.cert}}, nil
}

// errRenewal says that nothing is renewed by copying: smallstep would re-sign any
// certificate, a foreign one too, with addresses long out of date.
var errRenewal = casapi.NotImplementedError{Message: "certificates are renewed from their template, not by copying"}

// RenewCertificate implements casapi.CertificateAuthorityService.
func (v signingService) RenewCertificate(*casapi.RenewCertificateRequest) (*casapi.RenewCertificateResponse, error) {
	return nil, errRenewal
}

// RevokeCertificate implements casapi.CertificateAuthorityService. The checks and
// the work are authDB's.
func (v signingService) RevokeCertificate(req *casapi.RevokeCertificateRequest) (*casapi.RevokeCertificateResponse, error) {
	return &casapi.RevokeCertificateResponse{Certificate: req.Certificate, CertificateChain: []*x509.Certificate{v.s.cert}}, nil
}

// create goes the way of one certificate.
func (c *CA) create(j *job, s *signer, template *x509.Certificate) (*x509.Certificate, error) {
	token, err := c.linter.Check(j.kind, template, s.cert)
	if err != nil {
		return nil, lintFault(err)
	}
	hash := token.Hash()
	j.row.tbsHash = hash[:]
	if err := c.intend(j.ctx, &j.row); err != nil {
		return nil, err
	}
	// From here on the caller's going away must not leave an intent behind.
	ctx := context.WithoutCancel(j.ctx)
	cert, err := c.signIntent(ctx, s, token)
	if err == nil {
		err = c.finish(ctx, &j.row, cert)
	}
	if err != nil {
		c.abandon(ctx, &j.row)
		return nil, err
	}
	return cert, nil
}

// signIntent signs what was linted.
func (c *CA) signIntent(ctx context.Context, s *signer, token *lint.Token) (*x509.Certificate, error) {
	key, err := c.ring.Signer(ctx, s.id)
	if err != nil {
		return nil, fmt.Errorf("find issuing key: %w", err)
	}
	return token.Sign(key)
}

// authDB is smallstep's view of our tables. It stores nothing by itself: the
// signing service has done so.
type authDB struct{ ca *CA }

// authTimeout bounds queries that smallstep makes without a context.
const authTimeout = 10 * time.Second

func (d authDB) find(serial string) (Certificate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
	defer cancel()
	hex, err := fromDecimal(serial)
	if err != nil {
		return Certificate{}, err
	}
	return d.ca.Find(ctx, hex)
}

// fromDecimal turns smallstep's serial numbers into ours.
func fromDecimal(s string) (string, error) {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || n.Sign() <= 0 || n.BitLen() > 160 || n.String() != s {
		return "", errSerial
	}
	return profile.SerialString(n), nil
}

// IsRevoked implements db.AuthDB. An unknown certificate is an error, not a
// certificate that is not revoked.
func (d authDB) IsRevoked(serial string) (bool, error) {
	c, err := d.find(serial)
	return c.Status == Revoked, err
}

// Revoke implements db.AuthDB with the checks that smallstep does not make.
func (d authDB) Revoke(r *stepdb.RevokedCertificateInfo) error {
	ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
	defer cancel()
	hex, err := fromDecimal(r.Serial)
	if err != nil {
		return err
	}
	return d.ca.Revoke(ctx, hex, Reason(r.ReasonCode), "system")
}

// GetCertificate implements db.AuthDB.
func (d authDB) GetCertificate(serial string) (*x509.Certificate, error) {
	c, err := d.find(serial)
	if err != nil {
		return nil, err
	}
	if c.DER == nil {
		return nil, ErrNotFound
	}
	return x509.ParseCertificate(c.DER)
}

// UseToken implements db.AuthDB. There are no one-time tokens.
func (authDB) UseToken(string, string) (bool, error) { return false, stepdb.ErrNotImplemented }

// IsSSHRevoked implements db.AuthDB. There are no SSH certificates.
func (authDB) IsSSHRevoked(string) (bool, error) { return false, stepdb.ErrNotImplemented }

// RevokeSSH implements db.AuthDB. There are no SSH certificates.
func (authDB) RevokeSSH(*stepdb.RevokedCertificateInfo) error { return stepdb.ErrNotImplemented }

// IsSSHHost implements db.AuthDB. There are no SSH certificates.
func (authDB) IsSSHHost(string) (bool, error) { return false, stepdb.ErrNotImplemented }

// GetSSHHostPrincipals implements db.AuthDB. There are no SSH certificates.
func (authDB) GetSSHHostPrincipals() ([]string, error) { return nil, stepdb.ErrNotImplemented }

// Shutdown implements db.AuthDB. The database is closed by its owner.
func (authDB) Shutdown() error { return nil }

var _ stepdb.AuthDB = authDB{}

// intend commits the intent of one certificate.
func (c *CA) intend(ctx context.Context, row *Certificate) error {
	row.CreatedAt = c.now()
	err := c.db.Update(ctx, func(tx db.Tx) error {
		if err := c.checkPolicy(ctx, tx, row); err != nil {
			return err
		}
		if err := c.noteFollower(ctx, tx, row); err != nil {
			return err
		}
		return insertIntent(ctx, tx, row)
	})
	if db.IsUnique(err) {
		return errUnderWay
	}
	if err != nil {
		return fmt.Errorf("intend certificate: %w", err)
	}
	return nil
}

// finish commits the outcome.
func (c *CA) finish(ctx context.Context, row *Certificate, cert *x509.Certificate) error {
	row.DER, row.ChangedAt = cert.Raw, c.now()
	if err := c.db.Update(ctx, func(tx db.Tx) error { return storeIssued(ctx, tx, row) }); err != nil {
		return fmt.Errorf("store certificate: %w", err)
	}
	row.Status = Issued
	return nil
}
