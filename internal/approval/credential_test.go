package approval_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// code gives cai leave to enrol one more credential.
func (c *city) code() approval.Code {
	c.t.Helper()
	r := c.do(approval.KindEnrol, approval.EnrolParams{Person: c.cai}, c.ann, c.bob)
	code, err := c.service.DrawCode(c.t.Context(), r.ID, c.bob)
	check(c.t, err)
	return code
}

func certificate(t testing.TB, k *ecdsa.PrivateKey, from, until time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "officer"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	check(t, err)
	return der
}

// cose signs the request's statement with a key of the approver's.
func (c *city) cose(r approval.Request, approver string, key crypto.Signer) approval.Proof {
	c.t.Helper()
	st, err := c.service.Statement(c.t.Context(), r.ID, approver)
	check(c.t, err)
	sign1, err := approval.SignCOSE(st, key)
	check(c.t, err)
	return approval.Proof{COSE: sign1}
}

func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		now := c.clock.Now()
		small, large := newKey(t, elliptic.P256()), newKey(t, elliptic.P384())
		_, err := c.service.AddKey(ctx, c.cai, c.code().Code, spki(t, large), "laptop")
		check(t, err)
		made, err := c.service.AddKey(ctx, c.cai, c.code().Code, certificate(t, small, now.Add(-time.Hour), now.Add(10*time.Hour)), "")
		check(t, err)
		if made.Kind != approval.MethodKey || made.Person != c.cai || made.Until.IsZero() {
			t.Errorf("got %+v", made)
		}
		for _, key := range []*ecdsa.PrivateKey{small, large} {
			c.lamp.set("green")
			r := c.submit(c.ann, "red")
			got, err := c.service.Approve(ctx, r.ID, c.cai, c.cose(r, c.cai, key))
			if err != nil || got.State != approval.Done || got.Method != approval.MethodKey {
				t.Fatalf("got %v %v", got, err)
			}
			public := key.Public()
			check(t, approval.VerifyCOSE(got.Statement, got.Proof, public))
		}
		r := c.submit(c.ann, "blue")
		bobs, err := c.service.Statement(ctx, r.ID, c.bob)
		check(t, err)
		forBob, err := approval.SignCOSE(bobs, small)
		check(t, err)
		earlier := c.submit(c.ann, "grey")
		for name, proof := range map[string]approval.Proof{
			"a stranger's key":  c.cose(r, c.cai, newKey(t, elliptic.P256())),
			"bob's statement":   {COSE: forBob},
			"another request":   c.cose(earlier, c.cai, small),
			"nothing":           {COSE: []byte{}},
			"something else":    {COSE: []byte("signature")},
			"a byte more":       {COSE: append(c.cose(r, c.cai, small).COSE, 0)},
			"too long":          {COSE: bytes.Repeat([]byte{0xd2}, approval.MaxCOSE+1)},
			"a passkey's proof": {Passkey: &approval.Assertion{}},
		} {
			_, err := c.service.Approve(ctx, r.ID, c.cai, proof)
			wantKind(t, err, fault.Denied, name)
		}
		_, err = c.service.Approve(ctx, r.ID, c.bob, c.cose(r, c.cai, small))
		wantKind(t, err, fault.Denied, "another's key")
		c.clock.add(10 * time.Hour)
		_, err = c.service.Approve(ctx, r.ID, c.cai, c.cose(r, c.cai, small))
		wantKind(t, err, fault.Denied, "the certificate has ended")
		_, err = c.service.Approve(ctx, r.ID, c.cai, c.cose(r, c.cai, large))
		check(t, err)
	})
}

func TestAddKeyRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		now := c.clock.Now()
		key := newKey(t, elliptic.P256())
		marshal := func(public any) []byte {
			b, err := x509.MarshalPKIXPublicKey(public)
			check(t, err)
			return b
		}
		weak, err := rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
		ed, _, err := ed25519.GenerateKey(rand.Reader)
		check(t, err)
		known := newKey(t, elliptic.P256())
		_, err = c.service.AddKey(ctx, c.cai, c.code().Code, spki(t, known), "")
		check(t, err)
		code := c.code()
		for name, k := range map[string]struct {
			der  []byte
			kind fault.Kind
		}{
			"nothing":      {nil, fault.Invalid},
			"not DER":      {[]byte("-----BEGIN"), fault.Invalid},
			"trailing":     {append(spki(t, key), 0), fault.Invalid},
			"RSA":          {marshal(weak.Public()), fault.Invalid},
			"Ed25519":      {marshal(ed), fault.Invalid},
			"P-521":        {marshal(newKey(t, elliptic.P521()).Public()), fault.Invalid},
			"ended":        {certificate(t, key, now.Add(-2*time.Hour), now.Add(-time.Hour)), fault.Invalid},
			"not begun":    {certificate(t, key, now.Add(time.Hour), now.Add(2*time.Hour)), fault.Invalid},
			"known":        {spki(t, known), fault.Conflict},
			"known by DER": {certificate(t, known, now.Add(-time.Hour), now.Add(time.Hour)), fault.Conflict},
			"too large":    {make([]byte, 9<<10), fault.TooLarge},
		} {
			_, err := c.service.AddKey(ctx, c.cai, code.Code, k.der, "")
			wantKind(t, err, k.kind, name)
		}
		for _, name := range []string{"a\x00b", "four score and seven years ago our fathers brought"} {
			_, err := c.service.AddKey(ctx, c.cai, code.Code, spki(t, key), name)
			wantKind(t, err, fault.Invalid, name)
		}
		// None of it has used up the code.
		_, err = c.service.AddKey(ctx, c.cai, code.Code, spki(t, key), "")
		check(t, err)
		_, err = c.service.AddKey(ctx, c.cai, code.Code, spki(t, newKey(t, elliptic.P256())), "")
		wantKind(t, err, fault.Denied, "a second one")
	})
}

func TestRemoveCredential(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		key := newKey(t, elliptic.P256())
		made, err := c.service.AddKey(ctx, c.cai, c.code().Code, spki(t, key), "")
		check(t, err)
		for _, who := range []string{c.ann, c.bob, ""} {
			wantKind(t, c.service.RemoveCredential(ctx, who, made.ID), fault.NotFound, "another's")
		}
		r := c.submit(c.ann, "red")
		proof := c.cose(r, c.cai, key)
		check(t, c.service.RemoveCredential(ctx, c.cai, made.ID))
		wantKind(t, c.service.RemoveCredential(ctx, c.cai, made.ID), fault.NotFound, "again")
		_, err = c.service.Approve(ctx, r.ID, c.cai, proof)
		wantKind(t, err, fault.Denied, "removed")
		// It does not come back under another code.
		_, err = c.service.AddKey(ctx, c.cai, c.code().Code, spki(t, key), "")
		wantKind(t, err, fault.Conflict, "a removed key")
	})
}

func TestEnrolPasskeyRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		code := c.code()
		o, err := c.service.BeginPasskey(ctx, c.cai, code.Code)
		check(t, err)
		if len(o.Exclude) != 1 || !bytes.Equal(o.Exclude[0], c.passkeys[c.cai].ID) || o.ResidentKey != "discouraged" || o.RPID != rpID || len(o.Algorithms) != 1 || o.Algorithms[0] != -7 {
			t.Errorf("options %+v", o)
		}
		for name, lie := range map[string]func(a *authenticator){
			"not verified":   func(a *authenticator) { a.Flags = testkit.FlagUP },
			"another site":   func(a *authenticator) { a.RPID = "evil.example" },
			"another origin": func(a *authenticator) { a.Origin = "https://evil.example" },
			"capitals":       func(a *authenticator) { a.Origin = "https://SIGNET.example" },
			"an approval":    func(a *authenticator) { a.Kind = "webauthn.get" },
			"a short id":     func(a *authenticator) { a.ID = a.ID[:8] },
			"a known id":     func(a *authenticator) { a.ID = c.passkeys[c.bob].ID },
			"another curve":  func(a *authenticator) { a.Key = newKey(t, elliptic.P384()) },
		} {
			o, err := c.service.BeginPasskey(ctx, c.cai, code.Code)
			check(t, err)
			a := newAuthenticator(t)
			lie(a)
			_, err = c.service.FinishPasskey(ctx, c.cai, code.Code, a.create(t, o))
			if kind := fault.KindOf(err); err == nil || kind != fault.Invalid && kind != fault.Conflict {
				t.Errorf("%s: %v", name, err)
			}
			// The challenge is used up by whatever could be read.
			if len(a.ID) > 8 && a.Key.Curve == elliptic.P256() {
				_, err = c.service.FinishPasskey(ctx, c.cai, code.Code, newAuthenticator(t).create(t, o))
				wantKind(t, err, fault.Conflict, "after "+name)
			}
		}
		made := newAuthenticator(t)
		answer := made.create(t, o)
		_, err = c.service.FinishPasskey(ctx, c.bob, code.Code, answer)
		wantKind(t, err, fault.Denied, "as another")
		_, err = c.service.FinishPasskey(ctx, c.cai, "code", answer)
		wantKind(t, err, fault.Denied, "with another code")
		c.clock.add(5 * time.Minute)
		_, err = c.service.FinishPasskey(ctx, c.cai, code.Code, answer)
		wantKind(t, err, fault.Conflict, "too late")
		o, err = c.service.BeginPasskey(ctx, c.cai, code.Code)
		check(t, err)
		got, err := c.service.FinishPasskey(ctx, c.cai, code.Code, made.create(t, o))
		if err != nil || got.Kind != approval.MethodPasskey || got.Synced {
			t.Errorf("got %+v %v", got, err)
		}
	})
}
