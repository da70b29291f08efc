package login_test

import (
	"encoding/base32"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/oidc/login"
)

var (
	codePattern  = regexp.MustCompile(`<li><code>([A-Z2-7-]{19})</code></li>`)
	keyPattern   = regexp.MustCompile(`<code>([A-Z2-7 ]{39})</code>`)
	offerPattern = regexp.MustCompile(`name="offer" value="([^"]+)"`)
)

// codes makes recovery codes for whoever is signed in.
func (c *client) codes() (list []string) {
	c.t.Helper()
	a := c.post("/account/codes")
	want(c.t, a, 200, "not shown again")
	for _, m := range codePattern.FindAllStringSubmatch(a.body, -1) {
		list = append(list, m[1])
	}
	if len(list) != 10 || len(slices.Compact(slices.Sorted(slices.Values(list)))) != 10 {
		c.t.Fatalf("codes %v", list)
	}
	return list
}

// recovering is a person with codes, who is signed in nowhere.
func (c *city) recovering(t testing.TB, username string) (*person, []string) {
	t.Helper()
	p, b := c.citizen(t, username), c.client(t)
	want(t, b.signIn(p, c.code(p, 0)), 303)
	list := b.codes()
	want(t, b.post("/logout"), 200)
	c.clock.add(time.Minute)
	return p, list
}

// offered returns the new key that a recovery's page shows, and its form's offer.
func (c *client) offered() (secret []byte, offer string) {
	c.t.Helper()
	a := c.get("/login/recover")
	want(c.t, a, 200, "Choose a new password")
	key := strings.ReplaceAll(keyPattern.FindStringSubmatch(a.body)[1], " ", "")
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key)
	check(c.t, err)
	return secret, offerPattern.FindStringSubmatch(a.body)[1]
}

const fresh = "entirely new words"

func TestRecovery(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, codes := c.recovering(t, "wang")
		elsewhere := c.client(t)
		want(t, elsewhere.signIn(p, c.code(p, 0)), 303)
		b := c.client(t)
		want(t, b.get("/login/recover"), 200, "Enter your username")
		// As people copy it from paper: small letters, no hyphens.
		want(t, b.post("/login/recover", "username", " WANG", "code", strings.ToLower(strings.ReplaceAll(codes[3], "-", " "))), 303, "/login/recover")
		want(t, b.get("/login/recover"), 200, "this takes 24 hours")
		want(t, b.get("/account"), 303) // it is no session
		if c.identity(t, b) != nil {
			t.Fatal("a recovery signs somebody in")
		}
		c.clock.add(24*time.Hour - time.Second)
		want(t, b.get("/login/recover"), 200, "this takes 24 hours")
		want(t, b.post("/login/recover/finish", "password", fresh, "again", fresh, "otp", "000000"), 303, "/login/recover")
		want(t, c.client(t).get("/login/recover"), 200, "Enter your username") // another browser
		c.clock.add(time.Second)
		secret, offer := b.offered()
		q := &person{id: p.id, username: p.username, password: fresh, totp: secret}
		want(t, b.post("/login/recover/finish", "offer", offer, "password", "short", "again", "short", "otp", c.code(q, 0)), 400, "8 to 128 characters")
		want(t, b.post("/login/recover/finish", "offer", offer, "password", fresh, "again", fresh, "otp", c.code(p, 0)), 400, "The code is not correct")
		want(t, b.post("/login/recover/finish", "offer", "", "password", fresh, "again", fresh, "otp", c.code(q, 0)), 303, "/login/recover")
		want(t, c.client(t).post("/login/recover/finish", "offer", offer, "password", fresh, "again", fresh, "otp", c.code(q, 0)), 409, "This recovery is over")
		want(t, b.post("/login/recover/finish", "offer", offer, "password", fresh, "again", fresh, "otp", c.code(q, 0)), 303, "/login/recover?done=1")
		want(t, b.get("/login/recover?done=1"), 200, "You have your account back")
		if c.identity(t, b) != nil {
			t.Error("signed in without two factors")
		}
		want(t, b.post("/login/recover/finish", "offer", offer, "password", "once more", "again", "once more", "otp", c.code(q, 0)), 409)
		c.clock.add(time.Minute)
		want(t, b.post("/login", "username", "wang", "password", password, "otp", c.code(p, 0)), 400, uniform)
		want(t, b.post("/login", "username", "wang", "password", fresh, "otp", c.code(q, 0)), 303)
		want(t, b.get("/account"), 200, "Somebody used a recovery code", "The account was recovered with a code")
		want(t, b.get("/account/codes"), 200, "Codes that you have not used: 9")
		want(t, c.client(t).post("/login/recover", "username", "wang", "code", codes[3]), 400, "or the code was used")
		for kind, n := range map[string]int{"login.recovery.begin": 1, "login.recovery.stop": 0, "login.account.recovered": 1, "login.account.recovery-codes": 1} {
			if e := c.events(t, kind); len(e) != n {
				t.Errorf("events %v", e)
			}
		}
	})
}

// TestRecoveryStops: a sign-in during the wait, by whatever, stops it.
func TestRecoveryStops(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b, key := c.enrolled(t, "wang")
		codes := b.codes()
		for name, signIn := range map[string]func(){
			"password": func() { want(t, c.client(t).signIn(p, c.code(p, 0)), 303) },
			"passkey":  func() { want(t, c.client(t).present(key), 200) },
			"again":    func() { want(t, b.presentAgain(key), 200) },
		} {
			t.Run(name, func(t *testing.T) {
				thief := c.client(t)
				want(t, thief.post("/login/recover", "username", "wang", "code", codes[0]), 303)
				c.clock.add(24 * time.Hour)
				_, offer := thief.offered()
				signIn()
				want(t, thief.get("/login/recover"), 200, "Enter your username")
				want(t, thief.post("/login/recover/finish", "offer", offer, "password", fresh, "again", fresh, "otp", "000000"), 409, "This recovery is over")
				if got := c.kinds(t, p); !slices.Contains(got[:2], login.RecoveryStopped) {
					t.Errorf("history %v", got)
				}
				codes = codes[1:]
			})
		}
		if e := c.events(t, "login.recovery.stop"); len(e) != 3 {
			t.Errorf("events %v", e)
		}
	})
}

// TestChangeStopsRecovery: whoever changes a secret of their account while a thief waits
// with a stolen code has stopped the thief.
func TestChangeStopsRecovery(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		for name, change := range map[string]func(b *client){
			"codes":    func(b *client) { b.codes() },
			"password": func(b *client) { want(t, b.post("/account/password", "password", fresh, "again", fresh), 303) },
		} {
			p, b, thief := c.citizen(t, name), c.client(t), c.client(t)
			want(t, b.signIn(p, c.code(p, 0)), 303)
			codes := b.codes()
			want(t, thief.post("/login/recover", "username", name, "code", codes[0]), 303)
			want(t, thief.get("/login/recover"), 200, "this takes 24 hours")
			change(b)
			c.clock.add(24 * time.Hour)
			want(t, thief.get("/login/recover"), 200, "Enter your username")
			if got := c.kinds(t, p); !slices.Contains(got, login.RecoveryStopped) {
				t.Errorf("%s: history %v", name, got)
			}
		}
	})
}

func TestRecoveryRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, codes := c.recovering(t, "wang")
		_, others := c.recovering(t, "li")
		first := ""
		for name, k := range map[string][2]string{
			"unknown user":      {"nobody", codes[0]},
			"wrong code":        {"wang", "AAAA-AAAA-AAAA-AAAA"},
			"another's code":    {"wang", others[0]},
			"part of a code":    {"wang", codes[0][:14]},
			"a code and more":   {"wang", codes[0] + "A"},
			"two codes":         {"wang", codes[0] + codes[1]},
			"not UTF-8":         {"wang", codes[0] + "\xff"},
			"a one-time code":   {"wang", c.code(p, 0)},
			"password for code": {"wang", password},
		} {
			t.Run(name, func(t *testing.T) {
				c.clock.add(10 * time.Minute)
				b := c.client(t)
				a := b.post("/login/recover", "username", k[0], "code", k[1])
				want(t, a, 400, "The username or the recovery code is not correct")
				if b.cookie("__Host-signet-recovery") != "" || strings.Contains(a.body, k[1]) {
					t.Error("got a cookie, or the page repeats the code")
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
		want(t, c.client(t).post("/login/recover", "username", " "), 400, "Enter your username", "Enter a recovery code")
		c.clock.add(10 * time.Minute)
		for range login.PairBurst {
			want(t, c.client(t).post("/login/recover", "username", "wang", "code", "x"), 400)
		}
		a := c.client(t).post("/login/recover", "username", "wang", "code", codes[0])
		want(t, a, 429, "Too many tries")
		if a.header.Get("Retry-After") == "" {
			t.Error("does not say until when")
		}
		c.clock.add(10 * time.Minute)
		check(t, c.service.Disable(t.Context(), actor, p.id))
		want(t, c.client(t).post("/login/recover", "username", "wang", "code", codes[0]), 400)
		check(t, c.service.Enable(t.Context(), actor, p.id))
		b := c.client(t)
		want(t, b.post("/login/recover", "username", "wang", "code", codes[0]), 303)
		c.clock.add(24 * time.Hour)
		secret, offer := b.offered()
		q := &person{totp: secret}
		check(t, c.service.Disable(t.Context(), actor, p.id))
		want(t, b.post("/login/recover/finish", "offer", offer, "password", fresh, "again", fresh, "otp", c.code(q, 0)), 409)
		check(t, c.service.Enable(t.Context(), actor, p.id))
		c.clock.add(7 * 24 * time.Hour)
		want(t, b.get("/login/recover"), 200, "Enter your username")
		check(t, c.service.Sweep(t.Context()))
		if n := c.count(t, `SELECT COUNT(*) FROM login_recoveries`); n != 0 {
			t.Errorf("%d recoveries are left", n)
		}
		if n := c.count(t, `SELECT COUNT(*) FROM login_codes`); n != 20 {
			t.Errorf("%d codes", n)
		}
	})
}

// TestCodeOnce: of many who send one code at once to two replicas, one begins a
// recovery.
func TestCodeOnce(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, codes := c.recovering(t, "wang")
		bases := []string{c.issuer, c.replica(t)}
		var won, lost atomic.Int32
		var wait sync.WaitGroup
		for i := range 6 {
			b := c.client(t)
			b.base = bases[i%2]
			wait.Go(func() {
				switch a := b.post("/login/recover", "username", "wang", "code", codes[0]); a.status {
				case 303:
					won.Add(1)
				case 400:
					lost.Add(1)
				default:
					t.Errorf("status %d", a.status)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || lost.Load() != 5 {
			t.Errorf("%d won, %d lost", won.Load(), lost.Load())
		}
	})
}

func TestCodesNeedFreshProof(t *testing.T) {
	c := newCity(t, sqlite(t))
	_, b, key := c.enrolled(t, "wang")
	old := b.codes()
	c.clock.add(6 * time.Minute)
	want(t, b.get("/account/codes"), 303, "/login?reauth=1&next=/account/codes")
	want(t, b.post("/account/codes"), 303, "/login?reauth=1&next=/account")
	want(t, b.present(key), 200)
	fresh := b.codes()
	want(t, c.client(t).post("/login/recover", "username", "wang", "code", old[0]), 400)
	want(t, c.client(t).post("/login/recover", "username", "wang", "code", fresh[0]), 303)
	if n := c.count(t, `SELECT COUNT(*) FROM login_codes`); n != 10 {
		t.Errorf("%d codes", n)
	}
}
