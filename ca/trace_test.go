package ca_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// forge makes a certificate that no register knows.
func forge(t testing.TB, parent *x509.Certificate, key any, pub any, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "forged"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)} // ended: evidence all the same
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, der)
}

func TestTrace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, other := newCity(t, d), newCity(t, testkit.SQLite(t))
		own, revoked := c.issue(t, request(t)), c.issue(t, request(t))
		if err := c.Revoke(t.Context(), revoked.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		k, _, err := c.ring.Active(t.Context(), keys.PurposeCA, "city")
		if err != nil {
			t.Fatal(err)
		}
		stolen, err := c.ring.Signer(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		issuer := c.issuerOf(t, "city")
		leafKey, subKey, farKey := ecKey(t), ecKey(t), ecKey(t)
		asCA := func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.Subject.CommonName = true, true, x509.KeyUsageCertSign, "rogue CA"
		}
		leaf := forge(t, issuer, stolen, leafKey.Public(), nil)
		// Its path length of 0 does not keep a thief from making one.
		sub := forge(t, issuer, stolen, subKey.Public(), asCA)
		under := forge(t, sub, subKey, farKey.Public(), nil)
		self := &x509.Certificate{Subject: issuer.Subject, RawSubject: issuer.RawSubject, PublicKey: farKey.Public()}
		named := forge(t, self, farKey, leafKey.Public(), nil) // by the issuer's name, under another key
		changed := parse(t, own.DER)
		changed.Raw = slices.Clone(changed.Raw)
		changed.Raw[len(changed.Raw)-1] ^= 1
		list := []*x509.Certificate{under, parse(t, own.DER), leaf, sub, parse(t, revoked.DER), c.RootCertificate(), issuer,
			parse(t, other.issue(t, request(t)).DER), other.RootCertificate(), named, changed}
		want := []ca.Trace{ca.TraceMissing, ca.TracePending, ca.TraceMissing, ca.TraceMissing, ca.TracePending, ca.TracePending, ca.TracePending,
			ca.TraceForeign, ca.TraceForeign, ca.TraceForeign, ca.TraceMissing}
		tracer, err := c.NewTracer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tracer.Trace(t.Context(), list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		// A later call knows the CA of the earlier one.
		if got, err := tracer.Trace(t.Context(), list[:1]); err != nil || got[0] != ca.TraceMissing {
			t.Errorf("%v, %v", got, err)
		}
		c.exec(t, `UPDATE audit_events SET seq = 7 WHERE kind = 'certificate' AND content = $1`, own.DER)
		if got, err := tracer.Trace(t.Context(), list[1:2]); err != nil || got[0] != ca.TraceLogged {
			t.Errorf("%v, %v", got, err)
		}
		c.exec(t, `DELETE FROM audit_events WHERE kind = 'certificate' AND content = $1`, own.DER)
		if got, err := tracer.Trace(t.Context(), list[1:2]); err != nil || got[0] != ca.TraceMissing {
			t.Errorf("taken out of the log: %v, %v", got, err)
		}
		if got, err := tracer.Trace(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}
