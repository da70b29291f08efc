package login_test

import (
	"encoding/base32"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/oidc/login"
)

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:152.0) Gecko/20100101 Firefox/152.0"

// with returns the client under another User-Agent.
func (c *client) with(agent string) *client {
	inner := c.Transport
	if inner == nil {
		inner = http.DefaultTransport
	}
	c.Transport = agentTransport{agent, inner}
	return c
}

type agentTransport struct {
	agent string
	next  http.RoundTripper
}

func (a agentTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.agent)
	return a.next.RoundTrip(r)
}

// kinds returns what a person's history tells, the newest first.
func (c *city) kinds(t testing.TB, p *person) (list []login.Kind) {
	t.Helper()
	entries, err := c.service.History(t.Context(), p.id, "")
	check(t, err)
	for _, e := range entries {
		list = append(list, e.Kind)
	}
	return list
}

func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b, other := c.citizen(t, "wang"), c.client(t).with(firefox), c.client(t)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		c.clock.add(30 * time.Second)
		want(t, other.signIn(p, c.code(p, 0)), 303)
		const next = "a horse of another colour"
		for name, k := range map[string]struct{ first, second, says string }{
			"short":     {"seven77", "seven77", "8 to 128 characters"},
			"long":      {strings.Repeat("x", 129), strings.Repeat("x", 129), "8 to 128 characters"},
			"different": {next, next + " ", "The two passwords differ"},
			"empty":     {"", "", "8 to 128 characters"},
			"not UTF-8": {next + "\xff", next + "\xff", "8 to 128 characters"},
		} {
			t.Run(name, func(t *testing.T) {
				a := b.post("/account/password", "password", k.first, "again", k.second)
				want(t, a, 400, k.says)
				if k.first != "" && strings.Contains(a.body, k.first) {
					t.Error("the page repeats the password")
				}
			})
		}
		want(t, c.client(t).post("/account/password", "password", next, "again", next), 303, "/login?next=%2F")
		want(t, b.get("/account/password"), 200, "New password")
		c.clock.add(5*time.Minute + time.Second)
		want(t, b.get("/account/password"), 303, "/login?reauth=1&next=/account/password")
		want(t, b.post("/account/password", "password", next, "again", next), 303, "/login?reauth=1&next=/account")
		want(t, b.signIn(p, c.code(p, 0), "again", "1"), 303)
		session := c.identity(t, b).Session
		want(t, b.post("/account/password", "password", next, "again", next), 303, "/account?done=password")
		want(t, b.get("/account?done=password"), 200, "Your password was changed")
		if id := c.identity(t, b); id == nil || id.Session != session {
			t.Error("whoever changes it is signed out")
		}
		if c.identity(t, other) != nil {
			t.Error("another session lives on")
		}
		c.clock.add(time.Minute)
		want(t, other.signIn(p, c.code(p, 0)), 400, uniform)
		p.password = next
		want(t, other.post("/login", "username", p.username, "password", next, "otp", c.code(p, 0)), 303)
		// Whoever signs in next is told, once.
		a := other.get("/account")
		want(t, a, 200, "Your account has changed", "The password was changed", "Firefox, Windows")
		entry := regexp.MustCompile(`name="entry" value="([^"]+)"`).FindStringSubmatch(a.body)[1]
		want(t, other.post("/account/seen", "entry", "zzzz"), 303)
		want(t, other.get("/account"), 200, "Your account has changed")
		want(t, other.post("/account/seen", "entry", entry), 303, "/account")
		if strings.Contains(other.get("/account").body, "Your account has changed") {
			t.Error("told again")
		}
		if diff := cmp.Diff([]string{"login.account.password-changed"}, c.events(t, "login.account.password-changed")); diff != "" {
			t.Error(diff)
		}
		if got := c.kinds(t, p); !cmp.Equal(got, []login.Kind{login.SignedInByPassword, login.PasswordChanged, login.SignedInByPassword, login.SignedInByPassword, login.SignedInByPassword}) {
			t.Errorf("history %v", got)
		}
	})
}

func TestChangeTOTP(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b, other := c.citizen(t, "wang"), c.client(t), c.client(t)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		c.clock.add(30 * time.Second)
		want(t, other.signIn(p, c.code(p, 0)), 303)
		page := b.get("/account/totp")
		want(t, page, 200, "Add this key to your authenticator app")
		key := strings.ReplaceAll(regexp.MustCompile(`<code>([A-Z2-7 ]+)</code>`).FindStringSubmatch(page.body)[1], " ", "")
		offer := regexp.MustCompile(`name="offer" value="([^"]+)"`).FindStringSubmatch(page.body)[1]
		secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key)
		check(t, err)
		fresh := &person{id: p.id, username: p.username, password: p.password, totp: secret}
		li := c.citizen(t, "li")
		stranger := c.client(t)
		want(t, stranger.signIn(li, c.code(li, 0)), 303)

		want(t, b.post("/account/totp", "offer", offer, "otp", c.code(p, 0)), 400, "The code is not correct") // the old key's
		for name, bad := range map[string]string{"none": "", "not ours": "AAAA", "changed": offer[:len(offer)-4] + "AAAA"} {
			t.Run(name, func(t *testing.T) {
				want(t, b.post("/account/totp", "offer", bad, "otp", c.code(fresh, 0)), 303, "/account/totp")
			})
		}
		want(t, stranger.post("/account/totp", "offer", offer, "otp", c.code(fresh, 0)), 303, "/account/totp")
		want(t, c.client(t).signIn(fresh, c.code(fresh, 0)), 400, uniform) // nothing has changed yet
		want(t, b.post("/account/totp", "offer", offer, "otp", c.code(fresh, 0)), 303, "/account?done=totp")
		if c.identity(t, other) != nil || c.identity(t, b) == nil {
			t.Error("the wrong sessions have ended")
		}
		want(t, c.client(t).signIn(fresh, c.code(fresh, 0)), 400, uniform) // that code was used
		c.clock.add(time.Minute)
		want(t, c.client(t).signIn(p, c.code(p, 0)), 400, uniform)
		want(t, c.client(t).signIn(fresh, c.code(fresh, 0)), 303)

		page = b.get("/account/totp")
		offer = regexp.MustCompile(`name="offer" value="([^"]+)"`).FindStringSubmatch(page.body)[1]
		c.clock.add(10 * time.Minute)
		want(t, b.signIn(fresh, c.code(fresh, 0), "again", "1"), 303)
		want(t, b.post("/account/totp", "offer", offer, "otp", "000000"), 303, "/account/totp") // too old
	})
}

func TestRenamePasskey(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b, key := c.enrolled(t, "wang")
		_, other, _ := c.enrolled(t, "li")
		path := regexp.MustCompile(`/account/passkeys/[^/"]+/name`).FindString(b.get("/account").body)
		want(t, b.get(path), 200, `value="我的手机"`)
		for name, bad := range map[string]string{"empty": " ", "long": strings.Repeat("长", 41), "invisible": "a\u202eb", "two lines": "a\nb"} {
			t.Run(name, func(t *testing.T) { want(t, b.post(path, "name", bad), 400, "1 to 40 visible characters") })
		}
		want(t, other.get(path), 404)
		want(t, other.post(path, "name", "mine"), 404)
		want(t, b.post(path, "name", " 办公室的钥匙 "), 303, "/account?done=passkey-named")
		want(t, b.get("/account"), 200, "办公室的钥匙")
		c.clock.add(6 * time.Minute)
		want(t, b.post(path, "name", "x"), 303, "/login?reauth=1&next=/account")
		want(t, b.get(path), 303, "/login?reauth=1&next="+path)
		want(t, b.present(key), 200)
		want(t, b.get("/account"), 200, "办公室的钥匙")
		if got := c.kinds(t, p); !slices.Contains(got, login.PasskeyNamed) || !slices.Contains(got, login.PasskeyAdded) {
			t.Errorf("history %v", got)
		}
	})
}

// TestDisable: a closed account is answered like a wrong password, and its sessions
// end, under a race too.
func TestDisable(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		p, b, key := c.enrolled(t, "wang")
		for range 2 {
			check(t, c.service.Disable(ctx, "client:operator", p.id))
		}
		if c.identity(t, b) != nil {
			t.Error("still signed in")
		}
		c.clock.add(time.Minute)
		want(t, b.signIn(p, c.code(p, 0)), 400, uniform)
		want(t, b.present(key), 403, "not accepted")
		if n := c.count(t, `SELECT COUNT(*) FROM login_sessions`); n != 0 {
			t.Errorf("%d sessions", n)
		}
		for range 2 {
			check(t, c.service.Enable(ctx, "client:operator", p.id))
		}
		c.clock.add(time.Minute)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		want(t, b.present(key), 200)
		want(t, b.get("/account"), 200, "The account was closed", "The account was opened again")
		check(t, c.service.SignOutPerson(ctx, "client:operator", p.id))
		if c.identity(t, b) != nil {
			t.Error("still signed in")
		}
		if diff := cmp.Diff([]string{"login.account.disabled", "login.account.enabled", "login.account.sign_out"},
			c.events(t, "login.account.disabled", "login.account.enabled", "login.account.sign_out")); diff != "" {
			t.Error(diff)
		}
		for name, f := range map[string]func() error{
			"disable":  func() error { return c.service.Disable(ctx, actor, "nobody") },
			"enable":   func() error { return c.service.Enable(ctx, actor, "nobody") },
			"sign out": func() error { return c.service.SignOutPerson(ctx, actor, c.firm.LegalRep) },
		} {
			if err := f(); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		p, li := c.citizen(t, "wang"), c.citizen(t, "li")
		check(t, c.service.SignOutPerson(ctx, actor, li.id))
		for range 60 {
			check(t, c.service.Disable(ctx, actor, p.id))
			check(t, c.service.Enable(ctx, actor, p.id))
		}
		if n := c.count(t, `SELECT COUNT(*) FROM login_history WHERE person = $1`, p.id); n != 100 {
			t.Errorf("%d entries", n)
		}
		if got := c.kinds(t, p); len(got) != 100 || got[0] != login.Enabled || got[1] != login.Disabled {
			t.Errorf("history %v", got)
		}
		if got := c.kinds(t, li); len(got) != 1 {
			t.Errorf("another's history %v", got)
		}
	})
}
