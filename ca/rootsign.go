package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json/v2"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudflare/cfssl/csr"

	"github.com/signet-city/signet/ca/lint"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/verify/trust"
)

// RootResponse is the file that comes back from the root.
type RootResponse struct {
	Format       string           `json:"format"`
	ID           string           `json:"id"`
	Statement    []byte           `json:"statement"`
	Certificates []SignedRootItem `json:"certificates"`
	CRLs         []SignedRootItem `json:"crls"`
}

// SignedRootItem is what became of an item of the request: a certificate by its
// key, a CRL by its root.
type SignedRootItem struct {
	Key string `json:"key"`
	DER []byte `json:"der"`
}

// ReviewRoot reads a request for those who decide whether the root signs it. The
// pin is the root that they know: a request of another city is refused.
func ReviewRoot(file []byte, pin *x509.Certificate) (RootRequest, error) {
	q, err := parseRootRequest(file)
	if err != nil {
		return q, err
	}
	if !bytes.Equal(q.Roots[0].DER, pin.Raw) {
		return q, fault.New(fault.Denied, "this request is for another root, with the fingerprint "+Fingerprint(q.Roots[0].DER))
	}
	return q, q.bounded()
}

// Bounds of what a root signs, whatever a city asks for.
const (
	maxRootCRL = 730 * 24 * time.Hour // as a ceremony's file may say at most
	rootAhead  = 24 * time.Hour       // by which the city's clock may be before the root's
)

// bounded fails with kind Invalid for a request of which no review would say that it is
// wrong: a root that is named twice, more than one CRL of a root, a CRL without a
// number or for longer than any ceremony allows, whose holder would miss what is revoked
// later, and a statement that outlives a root.
func (q RootRequest) bounded() error {
	lists := map[string]int{}
	for _, item := range q.CRLs {
		lists[item.By]++
		if life := item.Until.Sub(item.From); item.Number < 1 || life <= 0 || life > maxRootCRL {
			return fault.New(fault.Invalid, "the request's CRL has no number, or a life of no time or of more than 730 days")
		}
	}
	seen := map[string]bool{}
	for i, r := range slices.Concat(q.Roots, q.Former) {
		cert, err := x509.ParseCertificate(r.DER)
		if err != nil {
			return fault.Wrap(fault.Invalid, "the request's root cannot be read", err)
		}
		if lists[r.Key] != 1 || seen[string(r.DER)] {
			return fault.New(fault.Invalid, "the request names a root twice, or not one CRL of each")
		}
		seen[string(r.DER)] = true
		if i < len(q.Roots) && q.Statement.Expires > cert.NotAfter.Unix() {
			return fault.New(fault.Invalid, "the request's statement outlives a root that signs it")
		}
	}
	return nil
}

// begun fails with kind Invalid for a CRL that begins in the future: what is revoked until
// then would not stand on it.
func (q RootRequest) begun(now time.Time) error {
	for _, item := range q.CRLs {
		if item.From.After(now.Add(rootAhead)) {
			return fault.New(fault.Invalid, "the request's CRL begins in the future")
		}
	}
	return nil
}

// SignRootRequest is the root's part, on a machine without a network: it signs what
// ReviewRoot has shown. Everything is linted again and must be byte for byte what
// was announced. signers are the keys of the roots that the request names, in any
// order. It fails with kind Denied for a request of another root than the pinned
// one and Invalid for a missing key or a request that breaks a rule or a bound.
func SignRootRequest(file []byte, pin *x509.Certificate, signers []crypto.Signer, now time.Time) ([]byte, error) {
	q, err := ReviewRoot(file, pin)
	if err != nil {
		return nil, err
	}
	if err := q.begun(now); err != nil {
		return nil, err
	}
	linter, err := lint.New()
	if err != nil {
		return nil, err
	}
	by := map[string]authorityKey{}
	for _, r := range q.Roots {
		if by[r.Key], err = matchRoot(r, signers); err != nil {
			return nil, err
		}
	}
	lists := maps.Clone(by) // a former root signs its CRL, and certifies nobody
	for _, r := range q.Former {
		if lists[r.Key], err = matchRoot(r, signers); err != nil {
			return nil, err
		}
	}
	a := RootResponse{Format: responseFormat, ID: q.ID, Certificates: []SignedRootItem{}, CRLs: []SignedRootItem{}}
	for _, item := range q.Certificates {
		der, err := item.sign(linter, by[item.By])
		if err != nil {
			return nil, fmt.Errorf("certificate of %s: %w", item.Issuer, err)
		}
		a.Certificates = append(a.Certificates, SignedRootItem{item.Key, der})
	}
	for _, item := range q.CRLs {
		d, err := item.draft()
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "the request's CRL cannot be read", err)
		}
		if lists[item.By].cert == nil {
			return nil, errForeignRoot
		}
		if err := d.sign(linter, lists[item.By].cert, lists[item.By].Signer); err != nil {
			return nil, err
		}
		a.CRLs = append(a.CRLs, SignedRootItem{item.By, d.der})
	}
	if a.Statement, err = signStatement(q, by, now); err != nil {
		return nil, err
	}
	return json.Marshal(a, json.Deterministic(true))
}

var errForeignRoot = fault.New(fault.Invalid, "the request wants a signature of a root that it does not name")

// matchRoot finds the key of a root.
func matchRoot(r RootFile, signers []crypto.Signer) (authorityKey, error) {
	cert, err := x509.ParseCertificate(r.DER)
	if err != nil {
		return authorityKey{}, fault.Wrap(fault.Invalid, "the request's root cannot be read", err)
	}
	for _, s := range signers {
		if k, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && k.Equal(s.Public()) {
			return authorityKey{id: Root, key: r.Key, cert: cert, Signer: s}, nil
		}
	}
	return authorityKey{}, fault.New(fault.Invalid, "the key of the root with the fingerprint "+Fingerprint(r.DER)+" is not among those given")
}

// sign makes the certificate if it is the one that was announced.
func (i RootCertificateItem) sign(linter *lint.Linter, by authorityKey) ([]byte, error) {
	if by.cert == nil {
		return nil, errForeignRoot
	}
	t, err := i.template(by.cert)
	if err != nil {
		return nil, fault.New(fault.Invalid, err.Error())
	}
	token, err := linter.Check(profile.Issuer, t, by.cert)
	if err != nil {
		return nil, lintFault(err)
	}
	if hash := token.Hash(); !bytes.Equal(hash[:], i.TBS) {
		return nil, fault.New(fault.Invalid, "it is not what was announced")
	}
	cert, err := token.Sign(by.Signer)
	if err != nil {
		return nil, err
	}
	return cert.Raw, nil
}

// signStatement lets every root of the request sign the statement, and opens it
// as a verifier of each would.
func signStatement(q RootRequest, by map[string]authorityKey, now time.Time) ([]byte, error) {
	var signers []trust.KeySigner
	for _, r := range q.Roots {
		named, err := nameSigner(by[r.Key].Public())
		if err != nil {
			return nil, err
		}
		signers = append(signers, trust.KeySigner{KID: named.KID, Alg: named.Alg, Key: by[r.Key].Signer})
	}
	file, err := trust.SignRoot(q.Statement, signers...)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "the request's statement cannot be signed", err)
	}
	for _, r := range q.Roots {
		if _, err := trust.OpenRoot(file, by[r.Key].Public(), now); err != nil {
			return nil, fmt.Errorf("check root statement: %w", err)
		}
	}
	return file, nil
}

// NewRoot makes a root that may follow the present one, on a machine without a
// network: its certificate in DER, and its key encrypted in PEM. The name and the
// life are those of the reviewed file, in which the root has a name of its own.
func NewRoot(plan Ceremony, passphrase []byte, now time.Time) (der, keyPEM []byte, err error) {
	if err := checkPassphrase(passphrase); err != nil {
		return nil, nil, err
	}
	size := map[string]int{keys.ES256: 256, keys.ES384: 384}[plan.Root.Algorithm]
	generated, err := (&csr.KeyRequest{A: "ecdsa", S: size}).Generate()
	if err != nil {
		return nil, nil, fmt.Errorf("make root key: %w", err)
	}
	signer, ok := generated.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("make root key: it cannot sign")
	}
	if keyPEM, err = encryptRootKey(signer, passphrase); err != nil {
		return nil, nil, err
	}
	serial, err := profile.NewSerial(1, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t, err := profile.Template(profile.Request{Kind: profile.Root, Subject: plan.subject(plan.Root.CommonName), Public: signer.Public(), Serial: serial,
		NotBefore: now, NotAfter: now.Add(time.Duration(plan.Root.Years)*365*24*time.Hour - time.Second)}, nil)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "the root cannot be made: "+err.Error())
	}
	linter, err := lint.New()
	if err != nil {
		return nil, nil, err
	}
	token, err := linter.Check(profile.Root, t, nil)
	if err != nil {
		return nil, nil, lintFault(err)
	}
	cert, err := token.Sign(signer)
	if err != nil {
		return nil, nil, err
	}
	return cert.Raw, keyPEM, nil
}

// ApplyRoot takes the response of the act under way: it compares every signature
// with what was announced, stores all of it in one transaction, and publishes the
// keys that are now certified or named. Repeating it completes what a crash left.
// It fails with kind NotFound if no such act is under way, Invalid for a response
// that does not fit the request, and Conflict if the statement changed meanwhile.
func (c *CA) ApplyRoot(ctx context.Context, response []byte, actor string) error {
	a, err := parseRootResponse(response)
	if err != nil {
		return err
	}
	if err := c.applyRoot(ctx, a, response, actor); err != nil {
		return fmt.Errorf("apply act of the root: %w", err)
	}
	return nil
}
