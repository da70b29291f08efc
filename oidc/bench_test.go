package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
)

// BenchmarkToken is token.cc of the project's bench: the handler, no sockets.
func BenchmarkToken(b *testing.B) {
	c := newCity(b, testkit.SQLite(b))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		c.mux.ServeHTTP(w, c.request("donghu-api", "grant_type=client_credentials&scope=licenses"))
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkCheckToken compares a token's first check with later ones.
func BenchmarkCheckToken(b *testing.B) {
	c := newCity(b, testkit.SQLite(b))
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			token := c.token(b, "donghu-api")
			b.StartTimer()
			if _, err := c.provider.CheckToken(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		token := c.token(b, "donghu-api")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.provider.CheckToken(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSign is the bare operation that a token cannot be cheaper than.
func BenchmarkSign(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	hash := sha256.Sum256([]byte("token"))
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, key, hash[:]); err != nil {
			b.Fatal(err)
		}
	}
}
