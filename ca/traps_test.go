package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/provisioner"
	casapi "github.com/smallstep/certificates/cas/apiv1"
	stepdb "github.com/smallstep/certificates/db"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// The tests of this file go to smallstep's authority past Issue, or ask for what it
// would do wrong by itself. Each fails without the check of ours that it is about.
//
//	it re-signs any certificate, a foreign CA's too    TestTrapRenewalCopies, TestRenewRefuses
//	renewal keeps old addresses                        TestTrapRenewalKeepsAddresses, TestRenewFromTheTemplate
//	a CSR with CA:TRUE became a CA                     TestTrapCSRBecomesCA, TestParseCSRRefuses
//	no validity modifier: it ends when it begins       TestTrapNoValidity
//	a leaf outlives its issuer                         TestTrapLeafOutlivesIssuer
//	name constraints are not looked at                 TestTrapNameConstraints
//	it revokes what is no certificate of its own       TestTrapRevokeTakesAnything
//	a mutual TLS caller without a certificate: panic   TestTrapRevokeWithoutCertificate
//	an old CA's serial numbers under a new CA's name   TestTrapOneAuthorityPerKey

// stepAuthority returns the authority of the city's issuer.
func (c *city) stepAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	a, err := c.Authority(t.Context(), "city")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func parsedCSR(t *testing.T, template x509.CertificateRequest) *x509.CertificateRequest {
	t.Helper()
	block, _ := pem.Decode(csr(t, ecKey(t), template))
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTrapCSRBecomesCA: without a template smallstep copies a CSR's extensions, and
// one with CA:TRUE became a CA. Nothing is signed that did not come through Issue.
func TestTrapCSRBecomesCA(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	before := c.rows(t)
	for name, template := range map[string]x509.CertificateRequest{"CA:TRUE": caTrue, "plain": {}} {
		validity := provisioner.CertificateModifierFunc(func(cert *x509.Certificate, _ provisioner.SignOptions) error {
			cert.NotBefore, cert.NotAfter = time.Now(), time.Now().AddDate(1, 0, 0)
			return nil
		})
		chain, err := c.stepAuthority(t).SignWithContext(t.Context(), parsedCSR(t, template), provisioner.SignOptions{}, validity)
		if err == nil {
			t.Errorf("%s: signed, CA %v", name, chain[0].IsCA)
		}
	}
	if c.rows(t) != before {
		t.Error("a row was written")
	}
}

// TestTrapNoValidity: without a modifier smallstep's notAfter is notBefore.
func TestTrapNoValidity(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	cert := parse(t, c.issue(t, request(t)).DER)
	if want := 730*24*time.Hour - time.Second; cert.NotAfter.Sub(cert.NotBefore) != want {
		t.Errorf("valid for %v, want %v", cert.NotAfter.Sub(cert.NotBefore), want)
	}
}

// TestTrapLeafOutlivesIssuer: smallstep does not clamp.
func TestTrapLeafOutlivesIssuer(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		issuer := parse(t, c.result.Issuers["city"])
		c.clock.advance(issuer.NotAfter.Sub(c.clock.now()) - 100*24*time.Hour)
		for name, end := range map[string]time.Time{"usual": {}, "asked for": issuer.NotAfter.AddDate(1, 0, 0)} {
			r := request(t)
			r.NotAfter = end
			if cert := parse(t, c.issue(t, r).DER); !cert.NotAfter.Equal(issuer.NotAfter) {
				t.Errorf("%s: until %v, the issuer's %v", name, cert.NotAfter, issuer.NotAfter)
			}
		}
		c.clock.advance(101 * 24 * time.Hour)
		_, err := c.Issue(t.Context(), request(t))
		wantKind(t, err, fault.Unavailable)
	})
}

// TestTrapRenewalCopies: smallstep would re-sign any certificate, another CA's too.
func TestTrapRenewalCopies(t *testing.T) {
	c, other := newCity(t, testkit.SQLite(t)), newCity(t, testkit.SQLite(t))
	refused := func(err error) bool {
		_, ours := errors.AsType[casapi.NotImplementedError](err)
		return ours || errors.Is(err, ca.ErrNotFound)
	}
	for name, cert := range map[string]*x509.Certificate{
		"foreign CA": parse(t, other.result.Issuers["city"]), "foreign leaf": parse(t, other.issue(t, request(t)).DER), "our own": parse(t, c.issue(t, request(t)).DER),
	} {
		if _, err := c.stepAuthority(t).RenewContext(t.Context(), cert, nil); !refused(err) {
			t.Errorf("%s: %v, want our refusal", name, err)
		}
		if _, err := c.stepAuthority(t).RenewContext(t.Context(), cert, ecKey(t).Public()); !refused(err) {
			t.Errorf("%s, rekeyed: %v, want our refusal", name, err)
		}
	}
}

// TestTrapRevokeTakesAnything: smallstep's Revoke accepts unknown and foreign
// certificates, what is no number, and reason 99.
func TestTrapRevokeTakesAnything(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, other := newCity(t, d), newCity(t, testkit.SQLite(t))
		ours := parse(t, c.issue(t, request(t)).DER)
		before := c.snapshot(t)
		ctx := provisioner.NewContextWithMethod(context.Background(), provisioner.RevokeMethod)
		for name, o := range map[string]authority.RevokeOptions{
			"foreign":   {Serial: other.RootCertificate().SerialNumber.String(), ReasonCode: 1, ACME: true, Crt: other.RootCertificate()},
			"unknown":   {Serial: "12345", ReasonCode: 1, ACME: true, Crt: ours},
			"no number": {Serial: "twelve", ReasonCode: 1, ACME: true, Crt: ours},
			"zero":      {Serial: "0", ReasonCode: 1, ACME: true, Crt: ours},
			"negative":  {Serial: "-" + ours.SerialNumber.String(), ReasonCode: 1, ACME: true, Crt: ours},
			"reason 99": {Serial: ours.SerialNumber.String(), ReasonCode: 99, ACME: true, Crt: ours},
		} {
			if err := c.stepAuthority(t).Revoke(ctx, &o); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		if after := c.snapshot(t); after != before {
			t.Errorf("something changed: %+v, before %+v", after, before)
		}
		if err := c.AuthDB().Revoke(&stepdb.RevokedCertificateInfo{Serial: ours.SerialNumber.String(), ReasonCode: 4}); err != nil {
			t.Fatal(err)
		}
		if revoked, err := c.AuthDB().IsRevoked(ours.SerialNumber.String()); err != nil || !revoked {
			t.Errorf("revoked %v, %v", revoked, err)
		}
		if _, err := c.AuthDB().IsRevoked("12345"); err == nil {
			t.Error("an unknown certificate is said to be in force")
		}
		if got, err := c.AuthDB().GetCertificate(ours.SerialNumber.String()); err != nil || !got.Equal(ours) {
			t.Errorf("%v", err)
		}
	})
}

// TestTrapRevokeWithoutCertificate: smallstep's authority panics when it is told that
// the caller came by mutual TLS, and there is no certificate. Nothing of ours tells it
// so: revoking goes past the authority, and handshakes without a chain are refused.
func TestTrapRevokeWithoutCertificate(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	ctx := provisioner.NewContextWithMethod(context.Background(), provisioner.RevokeMethod)
	before := c.snapshot(t)
	panicked := func() (panicked bool) {
		defer func() { panicked = recover() != nil }()
		return c.stepAuthority(t).Revoke(ctx, &authority.RevokeOptions{Serial: "12345", ReasonCode: 1, MTLS: true}) == nil
	}()
	if !panicked {
		t.Error("the library refuses by itself now: this trap is gone")
	}
	wantKind(t, c.Revoke(t.Context(), "", ca.Superseded, actor), fault.Invalid)
	wantKind(t, c.CheckClient(t.Context(), nil), fault.Denied)
	wantKind(t, c.CheckClient(t.Context(), [][]*x509.Certificate{nil, {}}), fault.Denied)
	if after := c.snapshot(t); after != before {
		t.Errorf("something changed: %+v, before %+v", after, before)
	}
}

// TestTrapNameConstraints: an authority without WithX509IntermediateCerts does not
// look at them.
func TestTrapNameConstraints(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.rotateIssuer(t, "city", func(cert *x509.Certificate) {
		cert.PermittedDNSDomainsCritical, cert.PermittedDNSDomains = true, []string{"inside.example"}
	})
	r := ca.Request{Profile: profile.TLS, Issuer: "city", Key: ecKey(t), Actor: actor, Hosts: []string{"www.inside.example"}}
	c.issue(t, r)
	r.Key, r.Hosts = ecKey(t), []string{"www.outside.example"}
	if _, err := c.Issue(t.Context(), r); err == nil {
		t.Error("a name outside the constraints was signed")
	}
}

// rotateIssuer gives an issuer a new key, with a certificate that the root signs.
func (c *city) rotateIssuer(t *testing.T, issuer string, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	root, err := ca.LoadRootKey(c.result.RootKeyPEM, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposeCA, Owner: issuer, Alg: keys.ES256, Backend: keys.BackendFile, Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	cert := signIssuer(t, c, k.Public, root, change)
	if err := c.ring.Certify(t.Context(), k.ID, cert.Raw, actor); err != nil {
		t.Fatal(err)
	}
	if err := c.ring.Move(t.Context(), k.ID, keys.Published, actor, "test"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ring.Promote(t.Context(), keys.PurposeCA, issuer, actor); err != nil {
		t.Fatal(err)
	}
	return cert
}

func signIssuer(t *testing.T, c *city, pub crypto.PublicKey, root crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial, err := profile.NewSerial(1, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template, err := profile.Template(profile.Request{Kind: profile.Issuer, Public: pub, Serial: serial, NotBefore: c.clock.now(),
		Subject: profile.Subject{Organization: "江城市数据局", USCC: c.Plan().City.USCC, CommonName: "Jiangcheng City Issuing CA"},
		CRL:     base + "/ca/root/crl/1.crl", CAIssuers: base + "/ca/root/ca.crt"}, c.RootCertificate())
	if err != nil {
		t.Fatal(err)
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, c.RootCertificate(), pub, root)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, der)
}

// TestTrapOneAuthorityPerKey: after a rotation new certificates come from the new
// key at once, and old serial numbers are never listed under the new key: one CRL
// of smallstep's would.
func TestTrapOneAuthorityPerKey(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		old := c.issue(t, request(t))
		renewed := c.rotateIssuer(t, "city", func(*x509.Certificate) {})
		fresh := c.issue(t, request(t))
		if err := parse(t, fresh.DER).CheckSignatureFrom(renewed); err != nil || fresh.Shard == old.Shard {
			t.Fatalf("after the rotation: shard %d, %v", fresh.Shard, err)
		}
		for _, serial := range []string{old.Serial, fresh.Serial} {
			if err := c.Revoke(t.Context(), serial, ca.Superseded, actor); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.PublishCRLs(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			cert   ca.Certificate
			issuer *x509.Certificate
		}{{old, parse(t, c.result.Issuers["city"])}, {fresh, renewed}} {
			list := c.crl(t, "city", tt.cert.Shard)
			if err := list.CheckSignatureFrom(tt.issuer); err != nil || len(list.RevokedCertificateEntries) != 1 ||
				!bytes.Equal(list.AuthorityKeyId, tt.issuer.SubjectKeyId) {
				t.Errorf("shard %d: %d entries, %v", tt.cert.Shard, len(list.RevokedCertificateEntries), err)
			}
			want, _ := new(big.Int).SetString(tt.cert.Serial, 16)
			if list.RevokedCertificateEntries[0].SerialNumber.Cmp(want) != 0 {
				t.Errorf("shard %d lists another's serial number", tt.cert.Shard)
			}
		}
		if _, problems := c.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}
