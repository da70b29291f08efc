package ca_test

import (
	"bytes"
	"crypto"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/testkit"
)

// BenchmarkOCSP is the handler without sockets: out of memory, and signed for one
// client alone.
func BenchmarkOCSP(b *testing.B) {
	c := newCity(b, testkit.SQLite(b))
	a := c.open(b, func(o *ca.Options) { o.OCSPFresh = 1 << 30 })
	mux := http.NewServeMux()
	a.MountPublic(mux)
	h := a.KeepSlashes(mux)
	plain := question(b, parse(b, c.issue(b, request(b)).DER), c.issuerOf(b, "city"), crypto.SHA1)
	for name, der := range map[string][]byte{"cached": plain, "signed": withNonce(b, plain, make([]byte, 16))} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "POST", "/ca/city/ocsp", bytes.NewReader(der)))
				if w.Code != 200 || w.Body.Len() < 100 {
					b.Fatalf("status %d, %x", w.Code, w.Body)
				}
			}
		})
	}
}
