package ca_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// BenchmarkIssue is the whole way of a certificate, intent and outcome durable.
func BenchmarkIssue(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": testkit.SQLite, "postgres": testkit.PostgreSQL} {
		b.Run(name, func(b *testing.B) {
			c := newCity(b, open(b))
			request := csr(b, ecKey(b), x509.CertificateRequest{})
			b.ResetTimer()
			for b.Loop() {
				c.issue(b, ca.Request{Profile: "permit", Agency: "jiangcheng-amr", CSR: request, Actor: actor})
			}
		})
	}
}

// BenchmarkX509Create is the bare operation that Issue is measured by.
func BenchmarkX509Create(b *testing.B) {
	key, leaf := ecKey(b), ecKey(b)
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	for b.Loop() {
		if _, err := x509.CreateCertificate(rand.Reader, t, t, leaf.Public(), key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHold(b *testing.B) {
	for b.Loop() {
		newCity(b, testkit.SQLite(b))
	}
}

func BenchmarkPublishCRL(b *testing.B) {
	c := newCity(b, testkit.SQLite(b))
	for range 100 {
		cert := c.issue(b, request(b))
		if err := c.Revoke(b.Context(), cert.Serial, ca.Superseded, actor); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		c.clock.advance(13 * time.Hour)
		if err := c.PublishShard(b.Context(), "city", 1); err != nil {
			b.Fatal(err)
		}
	}
}
