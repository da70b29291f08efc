package licenses_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestHostileQueries: text that PostgreSQL does not know is refused by either engine in
// the same way, and never a failure of ours.
func TestHostileQueries(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		s := serve(t, newCity(t, d))
		for _, path := range []string{"%00", "%ff", "%ed%a0%80", "a%c3%28"} {
			for _, end := range []string{"", "/qr.png", "/qr.svg"} {
				if code, body := s.do("GET", "/licenses/v1/licenses/"+path+end, "donghu", ""); code != 404 {
					t.Errorf("%s%s: %d %s", path, end, code, body)
				}
			}
			for _, end := range []string{"revoke", "reprint"} {
				if code, body := s.do("POST", "/licenses/v1/licenses/"+path+"/"+end, "donghu", `{"reason":"r"}`, "Idempotency-Key", "k"); code != 404 {
					t.Errorf("%s/%s: %d %s", path, end, code, body)
				}
			}
			if code, body := s.do("GET", "/licenses/v1/types/"+path, "donghu", ""); code != 404 {
				t.Errorf("type %s: %d %s", path, code, body)
			}
		}
		for _, name := range []string{"after", "number", "holder"} {
			for _, v := range []string{"%00", "a%00b", "%ff", "%c3%28", "%ed%a0%80", strings.Repeat("9", 4000)} {
				if code, body := s.do("GET", "/licenses/v1/licenses?"+name+"="+v, "donghu", ""); code != 400 {
					t.Errorf("%s=%.20s: %d %s", name, v, code, body)
				}
			}
			if code, body := s.do("GET", "/licenses/v1/licenses?"+name+"=SP1", "donghu", ""); code != 200 {
				t.Errorf("%s: %d %s", name, code, body)
			}
		}
	})
}

// TestHostileNumbers: a number that not every program reads alike is refused, with its
// path, and is never changed in silence.
func TestHostileNumbers(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := serve(t, c)
	body := text(t, food(nil))
	for i, tc := range []struct {
		number, path string
		code         int
	}{
		{"86", "", 201}, {"-0", "", 201}, {"1e400", "/data/seats", 400}, {"9007199254740993", "/data/seats", 400}, {"1.5", "/data/seats", 400},
		{"-9007199254740993", "/data/seats", 400},
	} {
		in := strings.Replace(body, `"seats":86`, `"seats":`+tc.number, 1)
		code, got := s.do("POST", "/licenses/v1/licenses", "donghu", in, "Idempotency-Key", fmt.Sprint("n", i))
		if in == body && tc.number != "86" || code != tc.code || !strings.Contains(string(got), tc.path) {
			t.Errorf("%s: %d %s", tc.number, code, got)
		}
	}
}

// TestHostileDates: a day that no permit can name is blamed where it stands.
func TestHostileDates(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := serve(t, c)
	for i, day := range []string{"1950-01-01", "0001-01-01", "1970-01-01", "0000-01-01", "10000-01-01", "2026-02-30", "1969-12-31T23:59:59Z", "2027-01-01\u0000"} {
		in := text(t, food(func(r *licenses.Request) { r.NotBefore, r.NotAfter = "@", "2030-12-31" }))
		code, got := s.do("POST", "/licenses/v1/licenses", "donghu", strings.Replace(in, "@", day, 1), "Idempotency-Key", fmt.Sprint("d", i))
		if code != 400 || !strings.Contains(string(got), `"path":"/not_before"`) {
			t.Errorf("%s: %d %s", day, code, got)
		}
	}
}
