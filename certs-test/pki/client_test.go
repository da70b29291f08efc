package pki_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
)

// presented is a chain that somebody presents, the leaf first.
type presented struct {
	key   pair
	above []*x509.Certificate
}

// under is what a client presents whose certificate the issuing CA has signed.
func (r *rig) under(p pair, above ...*x509.Certificate) presented {
	return presented{p, append(above, r.issuer.cert)}
}

// TestClientCertificates presents every way in which a client's certificate can be
// wrong. All but the unregistered stand in the register as the city's own, so that
// each is refused for the one thing that is wrong with it: the same leaf without it is
// let in.
func TestClientCertificates(t *testing.T) {
	r := newRig(t)
	for _, c := range slices.Concat(r.good(t), r.badLeaves(t), r.badIssuers(t), r.strangers(t), r.revoked(t)) {
		t.Run(c.name, func(t *testing.T) {
			if in := r.knock(t, c.key.key, append([]*x509.Certificate{c.key.cert}, c.above...)...); in != c.in {
				t.Errorf("let in: %v, want %v", in, c.in)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		if r.knock(t, nil) {
			t.Error("let in")
		}
	})
	t.Run("status", r.status)
}

// fixture is a chain and whether it is let in.
type fixture struct {
	name string
	in   bool
	presented
}

// good is what is let in.
func (r *rig) good(t *testing.T) []fixture {
	own := r.issue(t, profile.SystemClient)
	second := r.make(t, r.root, asCA)
	return []fixture{
		{"the city's own", true, r.under(own.pair)},
		{"made as the fixtures are", true, r.under(r.make(t, r.issuer, nil))},
		{"with the root beside it", true, r.under(r.make(t, r.issuer, nil), r.root.cert)},
		{"under a second CA", true, presented{r.make(t, second, nil), []*x509.Certificate{second.cert}}},
	}
}

// badLeaves are wrong in themselves.
func (r *rig) badLeaves(t *testing.T) []fixture {
	var list []fixture
	add := func(name string, change func(*x509.Certificate)) {
		list = append(list, fixture{name, false, r.under(r.make(t, r.issuer, change))})
	}
	add("expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	add("not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(10 * time.Minute) })
	add("for servers", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	add("for OCSP", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	add("for a use that nobody knows", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 99999, 1}}
	})
	add("an unknown critical extension", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 2}, Critical: true, Value: []byte{5, 0}}}
	})
	for _, kind := range []profile.Kind{profile.PermitSigning, profile.DocumentSigning} {
		list = append(list, fixture{"the city's own of profile " + string(kind), false, r.under(r.issue(t, kind).pair)})
	}
	broken := r.unregistered(t, r.issuer, nil)
	broken.cert = parse(t, flipped(broken.cert.Raw))
	r.register(t, broken.cert, "issued")
	other := r.make(t, r.issuer, nil)
	other.key = newKey(t)
	return append(list, fixture{"a signature that is broken", false, r.under(broken)}, fixture{"another's, without its key", false, r.under(other)})
}

// flipped returns a certificate whose signature ends in another bit.
func flipped(der []byte) []byte {
	b := slices.Clone(der)
	b[len(b)-1] ^= 1
	return b
}

// badIssuers are leaves with nothing wrong, under a CA that may not be one.
func (r *rig) badIssuers(t *testing.T) []fixture {
	var list []fixture
	add := func(name string, from pair, change func(*x509.Certificate), above ...*x509.Certificate) {
		between := r.make(t, from, change)
		list = append(list, fixture{name, false, presented{r.make(t, between, nil), append([]*x509.Certificate{between.cert}, above...)}})
	}
	add("below the path length", r.issuer, asCA, r.issuer.cert)
	add("under a leaf", r.issuer, nil, r.issuer.cert)
	add("under a leaf of the root's", r.root, nil)
	add("under a CA without basic constraints", r.root, func(c *x509.Certificate) {
		asCA(c)
		c.IsCA, c.MaxPathLenZero, c.BasicConstraintsValid = false, false, false
	})
	add("under a CA that may not sign certificates", r.root, func(c *x509.Certificate) { asCA(c); c.KeyUsage = x509.KeyUsageCRLSign })
	add("under a CA that has expired", r.root, func(c *x509.Certificate) { asCA(c); c.NotAfter = time.Now().Add(-time.Minute) })
	add("under a CA for servers", r.root, func(c *x509.Certificate) { asCA(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	broken := r.unregistered(t, r.root, asCA)
	broken.cert = parse(t, flipped(broken.cert.Raw))
	r.register(t, broken.cert, "issued")
	return append(list, fixture{"under a CA whose signature is broken", false, presented{r.make(t, broken, nil), []*x509.Certificate{broken.cert}}})
}

// strangers come from elsewhere, with everything in the register all the same.
func (r *rig) strangers(t *testing.T) []fixture {
	renamed := func(p pair, name string) pair {
		c := *p.cert
		c.Subject, c.RawSubject = pkix.Name{CommonName: name}, nil
		return pair{&c, p.key}
	}
	selfSigned := func(name pkix.Name, raw []byte) pair {
		key := newKey(t)
		self := pair{&x509.Certificate{Subject: name, RawSubject: raw}, key}
		p := r.selfSign(t, self)
		return p
	}
	whole := func(root pair) presented {
		between := r.make(t, root, asCA)
		return presented{r.make(t, between, nil), []*x509.Certificate{between.cert, root.cert}}
	}
	sameName := selfSigned(r.root.cert.Subject, r.root.cert.RawSubject)
	other := selfSigned(pkix.Name{CommonName: "Another City Root CA"}, nil)
	newName := r.selfSign(t, pair{&x509.Certificate{Subject: pkix.Name{CommonName: "Renamed Root CA"}}, r.root.key})
	twin := pair{r.issuer.cert, newKey(t)} // the issuing CA's name and certificate, and another key
	free := r.unregistered(t, r.issuer, nil)
	return []fixture{
		{"an issuer's name that does not match", false, r.under(r.make(t, renamed(r.issuer, "somebody else"), nil))},
		{"the issuing CA's name and another key", false, r.under(r.makeUnchecked(t, twin))},
		{"another city's", false, whole(other)},
		{"the root's name and another key", false, whole(sameName)},
		{"the root's key and another name", false, whole(newName)},
		{"signed by itself", false, presented{other, nil}},
		{"under the issuing CA, which it does not bring", false, presented{r.make(t, r.issuer, nil), nil}},
		{"signed by the issuing CA and not in the register", false, r.under(free)},
		{"with the serial number of another in the register", false, r.under(r.unregistered(t, r.issuer, func(c *x509.Certificate) {
			c.SerialNumber = r.make(t, r.issuer, nil).cert.SerialNumber
		}))},
	}
}

// revoked are those that the register knows as something else than issued.
func (r *rig) revoked(t *testing.T) []fixture {
	var list []fixture
	for _, status := range []string{"intent", "revoked", "abandoned"} {
		p := r.unregistered(t, r.issuer, nil)
		r.register(t, p.cert, status)
		list = append(list, fixture{status, false, r.under(p)})
		between := r.unregistered(t, r.root, asCA)
		r.register(t, between.cert, status)
		list = append(list, fixture{"under a CA that is " + status, false, presented{r.make(t, between, nil), []*x509.Certificate{between.cert}}})
	}
	return list
}

// status changes a certificate's status under way: the next handshake knows.
func (r *rig) status(t *testing.T) {
	p := r.issue(t, profile.SystemClient)
	knock := func(when string, want bool) {
		t.Helper()
		if in := r.knock(t, p.key, p.cert, r.issuer.cert); in != want {
			t.Errorf("%s: let in: %v", when, in)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	knock("issued", true)
	do(r.CA.Revoke(t.Context(), p.Serial, ca.CertificateHold, "operator:test"))
	knock("held", false)
	do(r.CA.Release(t.Context(), p.Serial, "operator:test", ""))
	knock("released", true)
	mark := func(status string) error {
		return r.DB.Update(t.Context(), func(tx db.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE ca_certificates SET status = $1 WHERE serial = $2`, status, profile.SerialString(r.issuer.cert.SerialNumber))
			return err
		})
	}
	do(mark("revoked"))
	knock("its CA is revoked", false)
	do(mark("issued"))
	knock("its CA is as before", true)
	do(r.CA.Revoke(t.Context(), p.Serial, ca.KeyCompromise, "operator:test"))
	knock("revoked", false)
}
