package login_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/oidc/login"
)

// flood fills the account's window as strangers at many addresses do who use all
// replicas in turn, without their requests.
func (c *city) flood(t testing.TB, username string) {
	t.Helper()
	want(t, c.client(t).post("/login", "username", username, "password", "wrong", "otp", "000000"), 400)
	c.exec(t, `UPDATE login_tries SET tries = $1 WHERE tries < $1`, login.AccountTries)
}

// TestTriesAreShared: what one replica has counted, another refuses, for a username
// that nobody has too, until the window is over.
func TestTriesAreShared(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p := c.citizen(t, "wang")
		c.clock.now = c.clock.now.Truncate(login.TriesWindow)
		other := c.replica(t)
		for _, username := range []string{"wang", "nobody"} {
			c.flood(t, username)
			for _, base := range []string{c.issuer, other} {
				b := c.client(t)
				b.base = base
				a := b.post("/login", "username", username, "password", password, "otp", c.code(p, 0))
				want(t, a, 429, "Too many tries. Try again in 600 seconds.")
				if a.header.Get("Retry-After") != "600" {
					t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
				}
			}
		}
		if n := c.count(t, `SELECT COALESCE(MAX(tries), 0) FROM login_tries`); n != login.AccountTries {
			t.Errorf("%d tries: those that were refused count", n)
		}
		c.clock.add(login.TriesWindow)
		want(t, c.client(t).signIn(p, c.code(p, 0)), 303)
		if n := c.count(t, `SELECT COUNT(*) FROM login_tries WHERE tries = 0`); n != 1 {
			t.Errorf("a try that succeeded was not given back: %d", n)
		}
		c.clock.add(login.TriesWindow)
		check(t, c.service.Sweep(t.Context()))
		if n := c.count(t, `SELECT COUNT(*) FROM login_tries`); n != 0 {
			t.Errorf("%d windows are left", n)
		}
	})
}

// TestKnownBrowser: while strangers use up what an account allows, its owner signs in
// with a browser that it knows, and with a passkey.
func TestKnownBrowser(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, home, key := c.enrolled(t, "wang")
		cookie := home.cookie("__Host-signet-device")
		if cookie == "" || strings.Contains(cookie, p.id) {
			t.Fatalf("cookie %q", cookie)
		}
		li, neighbour, _ := c.enrolled(t, "li")
		want(t, home.post("/logout"), 200)
		if home.cookie("__Host-signet-device") != cookie {
			t.Error("signing out makes a browser unknown")
		}
		c.clock.now = c.clock.now.Add(login.TriesWindow).Truncate(login.TriesWindow)
		c.flood(t, "wang")
		want(t, home.signIn(p, c.code(p, 0)), 303)
		want(t, c.client(t).present(key), 200)
		c.clock.add(30 * time.Second)
		for name, value := range map[string]string{"none": "", "another person's": neighbour.cookie("__Host-signet-device"), "changed": cookie[:len(cookie)-4] + "AAAA",
			"endless": strings.Repeat("A", 3000), "not base64": "!!!!"} {
			t.Run(name, func(t *testing.T) {
				b := c.client(t)
				b.jar.SetCookies(mustURL(t, c.issuer), []*http.Cookie{{Name: "__Host-signet-device", Value: value, Secure: true, Path: "/"}})
				want(t, b.signIn(p, c.code(p, 0)), 429)
			})
		}
		// A browser knows several people, and is bounded itself.
		want(t, home.post("/logout"), 200)
		want(t, home.signIn(li, c.code(li, 0)), 303)
		want(t, home.post("/logout"), 200)
		c.clock.add(time.Minute)
		want(t, home.signIn(p, c.code(p, 0)), 303)
		c.clock.now = c.clock.now.Add(login.TriesWindow).Truncate(login.TriesWindow)
		for range login.PairBurst {
			want(t, home.signIn(p, "000000"), 400)
		}
		want(t, home.signIn(p, "000000"), 429)
		c.exec(t, `UPDATE login_tries SET tries = $1 WHERE tries > 0`, login.DeviceTries)
		c.clock.add(5 * time.Minute) // this replica's bucket is full again
		want(t, home.signIn(p, c.code(p, 0)), 429, "Try again in 300 seconds")
		elsewhere := c.client(t)
		want(t, elsewhere.signIn(p, c.code(p, 0)), 303) // the account's own is another
	})
}

// TestTriesNameNobody: the table does not tell whose tries it counts, even to somebody
// who can guess usernames.
func TestTriesNameNobody(t *testing.T) {
	c := newCity(t, sqlite(t))
	c.citizen(t, "wang")
	want(t, c.client(t).post("/login", "username", "wang", "password", "wrong", "otp", "000000"), 400)
	first := c.tries(t)
	other := newCity(t, sqlite(t)) // under another key
	other.clock.now = c.clock.now
	other.citizen(t, "wang")
	want(t, other.client(t).post("/login", "username", "wang", "password", "wrong", "otp", "000000"), 400)
	if len(first) != 32 || string(first) == string(other.tries(t)) {
		t.Error("the hash can be computed without the key")
	}
}

func (c *city) tries(t testing.TB) (hash []byte) {
	t.Helper()
	check(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT hash FROM login_tries`).Scan(&hash)
	}))
	return hash
}
