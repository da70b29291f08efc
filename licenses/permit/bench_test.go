package permit_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/signet-city/signet/licenses/permit"
)

func BenchmarkBareSign(b *testing.B) {
	digest := sha256.Sum256([]byte("bare"))
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, p256Key, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIssue(b *testing.B) {
	c, s := foodLicence(), signers()[permit.ES256]
	s.Key = p256Key
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := permit.Encode(c, s, foodDictionary); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBareVerify(b *testing.B) {
	digest := sha256.Sum256([]byte("bare"))
	sig, err := ecdsa.SignASN1(rand.Reader, p256Key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !ecdsa.VerifyASN1(&p256Key.PublicKey, digest[:], sig) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	text, _, err := permit.Encode(foodLicence(), signers()[permit.ES256], foodDictionary)
	if err != nil {
		b.Fatal(err)
	}
	lookup := find(foodDictionary)
	b.ReportAllocs()
	for b.Loop() {
		p, err := permit.Parse(text, lookup)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Verify(permit.ES256, &p256Key.PublicKey); err != nil {
			b.Fatal(err)
		}
	}
}
