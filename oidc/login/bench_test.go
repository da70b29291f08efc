package login_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// BenchmarkIdentify is what every page pays for knowing its visitor: a citizen,
// and a clerk who acts for a firm.
func BenchmarkIdentify(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *db.DB{db.SQLite: testkit.SQLite, db.PostgreSQL: testkit.PostgreSQL} {
		b.Run(name, func(b *testing.B) {
			c := newCity(b, open(b))
			p, cl := c.citizen(b, "wang"), c.client(b)
			want(b, cl.signIn(p, c.code(p, 0)), 303)
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/", nil)
			r.AddCookie(&http.Cookie{Name: "__Host-signet", Value: cl.cookie("__Host-signet")})
			identify := func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if id, err := c.service.Identify(r); id == nil || err != nil {
						b.Fatal(id, err)
					}
				}
			}
			b.Run("citizen", identify)
			_, err := c.registry.Delegate(b.Context(), actor, registry.Delegation{Firm: c.firm.USCC, Person: p.id})
			check(b, err)
			check(b, c.service.ActFor(b.Context(), c.identity(b, cl).Session, c.firm.USCC))
			b.Run("firm", identify)
		})
	}
}

// BenchmarkPassword is a whole sign-in that is refused for its code: all the work
// but the write. Its time is the hash's.
func BenchmarkPassword(b *testing.B) {
	c := newCity(b, testkit.SQLite(b))
	p := c.citizen(b, "wang")
	for name, username := range map[string]string{"known": p.username, "unknown": "nobody"} {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "cores")
			for b.Loop() {
				if err := c.service.Prove(b.Context(), username, p.password, "000000"); err == nil {
					b.Fatal("signed in")
				}
			}
		})
	}
}
