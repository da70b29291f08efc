package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	_ "crypto/sha1"
	_ "crypto/sha3"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// resigned returns the certificate under another name of its issuer, nil for the same,
// and signed anew with the hash.
func resigned(t *testing.T, cert *x509.Certificate, issuer []byte, key crypto.Signer, hash crypto.Hash, oid asn1.ObjectIdentifier) *x509.Certificate {
	t.Helper()
	var tbs, version, serial, rest cryptobyte.String
	raw := cryptobyte.String(cert.RawTBSCertificate)
	if !raw.ReadASN1(&tbs, cbasn1.SEQUENCE) || !tbs.ReadASN1Element(&version, cbasn1.Tag(0).ContextSpecific().Constructed()) ||
		!tbs.ReadASN1Element(&serial, cbasn1.INTEGER) || !tbs.SkipASN1(cbasn1.SEQUENCE) || !tbs.ReadASN1Element(&rest, cbasn1.SEQUENCE) {
		t.Fatal("the certificate has another form")
	}
	if issuer == nil {
		issuer = rest
	}
	algorithm := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(version)
		b.AddBytes(serial)
		algorithm(b)
		b.AddBytes(issuer)
		b.AddBytes(tbs)
	})
	h := hash.New()
	h.Write(b.BytesOrPanic())
	signature, err := key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		t.Fatal(err)
	}
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SEQUENCE, func(c *cryptobyte.Builder) {
		c.AddBytes(b.BytesOrPanic())
		algorithm(c)
		c.AddASN1BitString(signature)
	})
	return parse(t, out.BytesOrPanic())
}

// TestLineageOfWhatOthersAccept: a thief need not sign as this city does. What Go's
// verifier refuses, others take: a hash that it knows not or trusts no more, and the
// issuer's name in other letters or another type of string.
func TestLineageOfWhatOthersAccept(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	k, _, err := c.ring.Active(t.Context(), keys.PurposeCA, "city")
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := c.ring.Signer(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	issuer := c.issuerOf(t, "city")
	leaf := forge(t, issuer, stolen, ecKey(t).Public(), func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(1, 0, 0) })
	upper := bytes.Replace(bytes.Clone(issuer.RawSubject), []byte("Jiangcheng"), []byte("JIANGCHENG"), 1)
	utf8 := bytes.Replace(bytes.Clone(issuer.RawSubject), append([]byte{19, 26}, "Jiangcheng"...), append([]byte{12, 26}, "Jiangcheng"...), 1)
	if bytes.Equal(upper, issuer.RawSubject) || bytes.Equal(utf8, issuer.RawSubject) {
		t.Fatal("the issuer's name has another form")
	}
	sha2, sha256 := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, n} }, crypto.SHA256
	other := ecKey(t)
	for name, tt := range map[string]struct {
		issuer  []byte
		key     crypto.Signer
		hash    crypto.Hash
		oid     asn1.ObjectIdentifier
		foreign bool
	}{
		"as the city signs":            {nil, stolen, sha256, sha2(2), false},
		"SHA-1":                        {nil, stolen, crypto.SHA1, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, false},
		"SHA-224":                      {nil, stolen, crypto.SHA224, sha2(1), false},
		"SHA-512":                      {nil, stolen, crypto.SHA512, sha2(4), false},
		"SHA3-256":                     {nil, stolen, crypto.SHA3_256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 10}, false},
		"capitals":                     {upper, stolen, sha256, sha2(2), false},
		"another type of string":       {utf8, stolen, sha256, sha2(2), false},
		"another's key":                {nil, other, sha256, sha2(2), true},
		"another's key, SHA-1":         {nil, other, crypto.SHA1, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, true},
		"another hash than it names":   {nil, stolen, crypto.SHA384, sha2(2), true},
		"what is no way of signing":    {nil, stolen, sha256, asn1.ObjectIdentifier{1, 2, 3}, true},
		"another issuer's name, taken": {c.issuerOf(t, "donghu").RawSubject, stolen, sha256, sha2(2), true},
	} {
		cert := resigned(t, leaf, tt.issuer, tt.key, tt.hash, tt.oid)
		if got := ca.NewLineage(issuer).Verify([]*x509.Certificate{cert}); got[0] == tt.foreign {
			t.Errorf("%s: of the lineage %v", name, got[0])
		}
		if out, err := opensslVerify(t, issuer, cert); err == nil && tt.foreign { // what it refuses is its own affair
			t.Errorf("%s: openssl takes it: %s", name, out)
		}
	}
	if pub, ok := issuer.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve.Params().BitSize < 256 {
		t.Error("issuers have keys of another kind now: lineage has to know it")
	}
}

// opensslVerify asks a verifier of another house.
func opensslVerify(t *testing.T, issuer, cert *x509.Certificate) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, c := range map[string]*x509.Certificate{"ca.pem": issuer, "leaf.pem": cert} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("openssl", "verify", "-partial_chain", "-CAfile", filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem")).CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}
