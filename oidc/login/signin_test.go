package login_test

import (
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/oidc/login"
)

const uniform = "The username, password or code is not correct"

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		want(t, b.get("/account"), 303, "/login?next=%2Faccount")
		want(t, b.get("/login?next=/wallet"), 200, `name="next" value="/wallet"`, `autocomplete="username webauthn"`,
			`autocomplete="current-password"`, `autocomplete="one-time-code"`, `inputmode="numeric"`)
		a := b.signIn(p, c.code(p, 0), "next", "/wallet")
		want(t, a, 303, "/wallet")
		set := a.header.Get("Set-Cookie")
		for _, part := range []string{"__Host-signet=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
			if !strings.Contains(set, part) {
				t.Errorf("cookie %q lacks %s", set, part)
			}
		}
		id := c.identity(t, b)
		if id == nil || id.Person != p.id || id.Name != "王小明" || id.ACR != login.ACRVerified || !id.AuthTime.Equal(c.clock.Now()) || id.Chosen ||
			!cmp.Equal(id.AMR, []string{"pwd", "otp", "mfa"}) {
			t.Fatalf("identity %+v", id)
		}
		if strings.Contains(b.cookie("__Host-signet"), id.Session) || c.count(t, `SELECT COUNT(*) FROM login_sessions WHERE id = $1`, b.cookie("__Host-signet")) != 0 {
			t.Error("the cookie can be made of what is stored")
		}
		want(t, b.get("/account"), 200, "王小明", "Password and code", "You have no passkey yet")
		want(t, b.get("/login?next=/wallet"), 303, "/wallet")
		want(t, b.get("/login?reauth=1"), 200, "prove once more")
		want(t, b.get("/logout"), 200, "Do you want to sign out?")
		want(t, b.post("/logout"), 200, "You are signed out")
		want(t, b.get("/account"), 303)
		want(t, b.post("/logout"), 200, "You are signed out")
		if c.identity(t, b) != nil {
			t.Error("still signed in")
		}
		if diff := cmp.Diff([]string{"login.account.add", "login.sign_in", "login.sign_out"},
			c.events(t, "login.account.add", "login.sign_in", "login.sign_out")); diff != "" {
			t.Error(diff)
		}
		if c.metric(t, "signet_login_sign_ins_total", "password") != 1 {
			t.Error("not counted")
		}
	})
}

func TestSignInRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p := c.citizen(t, "wang")
		first := ""
		for _, k := range []struct{ name, username, password, otp string }{
			{"unknown user", "nobody", password, c.code(p, 0)},
			{"no username at all", "王　小明!", password, c.code(p, 0)},
			{"wrong password", "wang", "wrong", c.code(p, 0)},
			{"wrong code", "wang", password, "000000"},
			{"code of two steps ago", "wang", password, c.code(p, -2)},
			{"code of two steps ahead", "wang", password, c.code(p, 2)},
			{"code with more", "wang", password, c.code(p, 0) + "0"},
			{"NUL", "wang\x00", password + "\x00", c.code(p, 0)},
			{"not UTF-8", "wang\xff", password, c.code(p, 0)},
		} {
			t.Run(k.name, func(t *testing.T) {
				c.clock.add(10 * time.Minute)
				switch { // codes of the new time
				case strings.Contains(k.name, "ago"):
					k.otp = c.code(p, -2)
				case strings.Contains(k.name, "ahead"):
					k.otp = c.code(p, 2)
				case strings.Contains(k.name, "more"):
					k.otp = c.code(p, 0) + "0"
				case k.name != "wrong code":
					k.otp = c.code(p, 0)
				}
				b := c.client(t)
				a := b.post("/login", "username", k.username, "password", k.password, "otp", k.otp)
				want(t, a, 400, uniform, "Error: ")
				if b.cookie("__Host-signet") != "" {
					t.Error("got a cookie")
				}
				if strings.Contains(a.body, k.password) && k.password != "wrong" || strings.Contains(a.body, k.otp) {
					t.Error("the page repeats what was typed")
				}
				_, problems, _ := strings.Cut(a.body, `<div class="problems"`)
				problems, _, _ = strings.Cut(problems, "</div>")
				if first == "" {
					first = problems
				}
				if problems != first {
					t.Errorf("says %q, not %q", problems, first)
				}
			})
		}
		if n := c.metric(t, "signet_login_refusals_total", "password", "credentials"); n != 9 {
			t.Errorf("counted %v refusals", n)
		}
		if e := c.events(t, "login.sign_in"); len(e) != 0 {
			t.Errorf("events %v", e)
		}
		t.Run("empty", func(t *testing.T) {
			want(t, c.client(t).post("/login", "username", " "), 400, "Enter your username", "Enter your password", "Enter the six-digit code")
		})
	})
}

// TestSignInForgives: what people type differs by keyboard, not by meaning.
func TestSignInForgives(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p := c.citizen(t, "wang")
		full := strings.Map(func(r rune) rune { return r - '0' + '０' }, c.code(p, 0))
		want(t, c.client(t).post("/login", "username", " ＷＡＮＧ ", "password", p.password, "otp", full[:9]+" "+full[9:]), 303, "/account")
	})
}

func TestCodeWorksOnce(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p := c.citizen(t, "wang")
		used := c.code(p, 0)
		t.Run("a wrong password leaves it", func(t *testing.T) {
			want(t, c.client(t).post("/login", "username", "wang", "password", "wrong", "otp", used), 400)
			want(t, c.client(t).signIn(p, "000000"), 400)
			want(t, c.client(t).signIn(p, used), 303)
		})
		t.Run("again", func(t *testing.T) { want(t, c.client(t).signIn(p, used), 400, uniform) })
		t.Run("an older one", func(t *testing.T) { want(t, c.client(t).signIn(p, c.code(p, -1)), 400, uniform) })
		t.Run("the next one", func(t *testing.T) { want(t, c.client(t).signIn(p, c.code(p, 1)), 303) })
		t.Run("one of many at once, on two replicas", func(t *testing.T) {
			c.clock.add(5 * time.Minute)
			other := c.replica(t)
			var won atomic.Int64
			var group sync.WaitGroup
			for i := range 8 {
				group.Go(func() {
					b := c.client(t)
					if i%2 == 0 {
						b.base = other
					}
					if b.signIn(p, c.code(p, 0)).status == 303 {
						won.Add(1)
					}
				})
			}
			group.Wait()
			if won.Load() != 1 {
				t.Errorf("%d signed in", won.Load())
			}
		})
	})
}

func TestLimits(t *testing.T) {
	c := newCity(t, sqlite(t))
	p := c.citizen(t, "wang")
	for range login.PairBurst {
		want(t, c.client(t).signIn(p, "000000"), 400)
	}
	a := c.client(t).signIn(p, c.code(p, 0))
	want(t, a, 429, "Too many tries")
	if a.header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	for range login.PairBurst { // as for somebody who exists
		want(t, c.client(t).post("/login", "username", "nobody", "password", "x", "otp", "000000"), 400)
	}
	want(t, c.client(t).post("/login", "username", "nobody", "password", "x", "otp", "000000"), 429)
	want(t, c.client(t).signIn(c.citizen(t, "li"), "000000"), 400)
	c.clock.add(time.Minute)
	want(t, c.client(t).signIn(p, c.code(p, 0)), 303)
	for i := range 3 * login.PairBurst { // what succeeds is not counted
		c.clock.add(30 * time.Second)
		if a := c.client(t).signIn(p, c.code(p, 0)); a.status != 303 {
			t.Fatalf("sign-in %d: %d", i, a.status)
		}
	}
	if c.metric(t, "signet_login_refusals_total", "password", "limit") != 2 {
		t.Error("not counted")
	}
	b := c.client(t)
	for range login.AskBurst {
		want(t, b.json("/login/passkey/begin", nil), 200)
	}
	want(t, b.json("/login/passkey/begin", nil), 503, "too many tries")
}

func TestNext(t *testing.T) {
	c := newCity(t, sqlite(t))
	p := c.citizen(t, "wang")
	for _, k := range []struct{ name, next, goes string }{
		{"none", "", "/account"},
		{"path and query", "/oidc/interaction/x?a=b&c=d", "/oidc/interaction/x?a=b&c=d"},
		{"another site", "https://evil.example/", "/"},
		{"no scheme", "//evil.example/", "/"},
		{"backslash", `/\evil.example/`, "/"},
		{"tab", "/\t/evil.example/", "/"},
		{"script", "javascript:alert(1)", "/"},
		{"line break", "/a\r\nSet-Cookie: a=b", "/"},
		{"quotes", `/"><script>alert(1)</script>`, `/"><script>alert(1)</script>`},
		{"endless", "/" + strings.Repeat("a", 2000), "/"},
	} {
		t.Run(k.name, func(t *testing.T) {
			b := c.client(t)
			if page := b.get("/login?next=" + url.QueryEscape(k.next)); !strings.Contains(page.body, `name="next" value="`+template.HTMLEscapeString(k.goes)+`"`) || strings.Contains(page.body, "<script>alert") {
				t.Error("the page does not lead there")
			}
			c.clock.add(30 * time.Second)
			a := b.signIn(p, c.code(p, 0), "next", k.next)
			if got := a.next; a.status != 303 || got != k.goes && got != (&url.URL{Path: k.goes}).String() {
				t.Errorf("%d to %q", a.status, got)
			}
		})
	}
}

func TestForms(t *testing.T) {
	c := newCity(t, sqlite(t))
	p := c.citizen(t, "wang")
	const form = "application/x-www-form-urlencoded"
	for _, k := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"too large", form, "username=" + strings.Repeat("a", 20<<10), 413},
		{"a field too long", form, "username=" + strings.Repeat("a", 4<<10), 400},
		{"a field twice", form, "username=wang&username=li&password=x&otp=1", 400},
		{"broken escape", form, "username=%zz", 400},
		{"semicolons", form, "username=a;password=b", 400},
		{"nothing", form, "", 400},
		{"JSON", "application/json", `{"username":"wang"}`, 400},
		{"no type", "", "username=wang", 400},
	} {
		t.Run(k.name, func(t *testing.T) {
			want(t, c.client(t).do("POST", "/login", k.contentType, k.body), k.status, "<main")
		})
	}
	t.Run("credentials in the address", func(t *testing.T) {
		q := url.Values{"username": {"wang"}, "password": {password}, "otp": {c.code(p, 0)}}.Encode()
		want(t, c.client(t).do("POST", "/login?"+q, form, ""), 400, "Enter your username")
		if a := c.client(t).get("/login?" + q); strings.Contains(a.body, password) {
			t.Error("the page repeats them")
		}
	})
	t.Run("another site's form", func(t *testing.T) {
		b := c.client(t)
		b.from = "cross-site"
		for _, path := range []string{"/login", "/logout", "/account/acting", "/account/passkeys/x/remove", "/login/passkey/finish", "/account/passkeys/finish"} {
			want(t, b.post(path, "username", "wang", "password", password, "otp", c.code(p, 0)), 403)
		}
	})
	t.Run("in Chinese", func(t *testing.T) {
		b := c.client(t)
		want(t, b.get("/login?lang=zh"), 303)
		want(t, b.signIn(p, "000000"), 400, "用户名、密码或验证码不正确")
	})
}

func TestAddAccountRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p := c.citizen(t, "wang")
		other := c.addPerson(t, "李四")
		for _, k := range []struct {
			name string
			a    login.Account
			kind fault.Kind
		}{
			{"again", login.Account{Person: p.id, Username: "wang", Password: password}, fault.Conflict},
			{"a second username", login.Account{Person: p.id, Username: "wang2", Password: password}, fault.Conflict},
			{"taken", login.Account{Person: other, Username: "WANG", Password: password}, fault.Conflict},
			{"taken, full-width", login.Account{Person: other, Username: "ｗａｎｇ", Password: password}, fault.Conflict},
			{"unknown person", login.Account{Person: "nobody", Username: "li", Password: password}, fault.NotFound},
			{"short username", login.Account{Person: other, Username: "l", Password: password}, fault.Invalid},
			{"long username", login.Account{Person: other, Username: strings.Repeat("l", 65), Password: password}, fault.Invalid},
			{"space in the username", login.Account{Person: other, Username: "l i", Password: password}, fault.Invalid},
			{"short password", login.Account{Person: other, Username: "li", Password: "1234567"}, fault.Invalid},
			{"long password", login.Account{Person: other, Username: "li", Password: strings.Repeat("a", 129)}, fault.Invalid},
			{"password not UTF-8", login.Account{Person: other, Username: "li", Password: password + "\xff"}, fault.Invalid},
		} {
			t.Run(k.name, func(t *testing.T) {
				_, err := c.service.AddAccount(t.Context(), actor, k.a)
				if fault.KindOf(err) != k.kind || strings.Contains(fmt.Sprint(err), k.a.Password) {
					t.Errorf("error %v", err)
				}
			})
		}
	})
}

func TestPasswordIsHashedAnew(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p := c.citizen(t, "wang")
		c.exec(t, `UPDATE login_accounts SET password = $1`, login.OldHash(p.password))
		like := func() int {
			return c.count(t, `SELECT COUNT(*) FROM login_accounts WHERE password LIKE $1`, login.NewHash()+"%")
		}
		want(t, c.client(t).signIn(p, "000000"), 400)
		if like() != 0 {
			t.Error("hashed anew by a wrong code")
		}
		want(t, c.client(t).signIn(p, c.code(p, 0)), 303)
		if like() != 1 {
			t.Error("kept")
		}
		want(t, c.client(t).signIn(p, c.code(p, 1)), 303)
	})
}

// TestNothingInClear: neither username nor secret stands in the database.
func TestNothingInClear(t *testing.T) {
	c := newCity(t, sqlite(t))
	p := c.citizen(t, "wangxiaoming")
	for _, column := range []string{"lookup", "sealed", "password"} {
		n := c.count(t, `SELECT COUNT(*) FROM login_accounts WHERE instr(`+column+`, $1) > 0 OR instr(`+column+`, $2) > 0 OR instr(`+column+`, $3) > 0`,
			[]byte(p.username), p.totp, []byte(p.password))
		if n != 0 {
			t.Errorf("%s holds it in clear", column)
		}
	}
	if !slices.Equal(c.events(t, "login.account.add"), []string{"login.account.add"}) {
		t.Error("no event")
	}
}
