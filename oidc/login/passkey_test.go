package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/oidc/login"
)

// enrolled is a person with a passkey, and the browser that enrolled it.
func (c *city) enrolled(t testing.TB, username string) (*person, *client, *authenticator) {
	t.Helper()
	p, b, a := c.citizen(t, username), c.client(t), newAuthenticator(t, c.issuer)
	want(t, b.signIn(p, c.code(p, 0)), 303)
	want(t, b.enrol(a, "我的手机"), 201, "/account?done=passkey-added")
	return p, b, a
}

func TestPasskey(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b, a := c.enrolled(t, "wang")
		want(t, b.get("/account?done=passkey-added"), 200, "The passkey was added", "我的手机", "Never used")
		want(t, b.post("/logout"), 200)
		c.clock.add(time.Hour)
		done := b.present(a)
		want(t, done, 200, `"next":"/wallet"`)
		id := c.identity(t, b)
		if id == nil || id.Person != p.id || id.ACR != login.ACRPhishingResistant || !cmp.Equal(id.AMR, []string{"hwk", "user", "mfa"}) {
			t.Fatalf("identity %+v", id)
		}
		want(t, b.get("/account"), 200, "A passkey", "Last used")

		second := newAuthenticator(t, c.issuer)
		second.flags |= flagBE | flagBS
		want(t, b.enrol(second, ""), 201)
		want(t, b.get("/account"), 200, "Passkey 2", "Synchronized")
		if string(second.handle) != string(a.handle) || strings.Contains(string(a.handle), p.id) {
			t.Error("the user handle is another one, or the person's id")
		}
		other := c.client(t)
		want(t, other.present(second), 200)
		if amr := c.identity(t, other).AMR; amr[0] != "swk" {
			t.Errorf("amr %v", amr)
		}
		if diff := cmp.Diff([]string{"login.passkey.add", "login.passkey.add", "login.sign_in", "login.sign_in", "login.sign_in", "login.sign_out"},
			c.events(t, "login.passkey.add", "login.sign_in", "login.sign_out")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOptions(t *testing.T) {
	c := newCity(t, sqlite(t))
	_, b, a := c.enrolled(t, "wang")
	o := b.challenge("/account/passkeys/begin")
	if o["rp_id"] != "localhost" || o["username"] != "wang" || o["display_name"] != "王小明" || o["user_handle"] != b64(a.handle) ||
		!cmp.Equal(o["exclude"], []any{b64(a.id)}) || !cmp.Equal(o["algorithms"], []any{-7.0, -8.0, -257.0}) || len(o["challenge"].(string)) != 43 {
		t.Errorf("options %v", o)
	}
	if o := b.challenge("/login/passkey/begin"); o["rp_id"] != "localhost" || o["timeout"] != 300000.0 || len(o) != 3 {
		t.Errorf("options %v", o)
	}
}

func TestAssertionRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, _, a := c.enrolled(t, "wang")
		_, _, li := c.enrolled(t, "li")
		b := c.client(t)
		stranger := newAuthenticator(t, c.issuer)
		for _, k := range []struct {
			name   string
			change func(a *authenticator, answer map[string]any)
			lie    func(a *authenticator)
			status int
		}{
			{name: "wrong origin", lie: func(a *authenticator) { a.origin = "http://localhost:1" }, status: 403},
			{name: "origin with a path", lie: func(a *authenticator) { a.origin += "/x" }, status: 403},
			{name: "origin in capitals", lie: func(a *authenticator) { a.origin = strings.ToUpper(a.origin) }, status: 403},
			{name: "framed by another site", lie: func(a *authenticator) { a.cross = true }, status: 403},
			{name: "wrong RP", lie: func(a *authenticator) { a.rpID = "evil.example" }, status: 403},
			{name: "an answer to create", lie: func(a *authenticator) { a.kind = "webauthn.create" }, status: 403},
			{name: "user not verified", lie: func(a *authenticator) { a.flags = flagUP }, status: 403},
			{name: "user not present", lie: func(a *authenticator) { a.flags = flagUV }, status: 403},
			{name: "backup eligible of a sudden", lie: func(a *authenticator) { a.flags |= flagBE }, status: 403},
			{name: "backed up but not eligible", lie: func(a *authenticator) { a.flags |= flagBS }, status: 403},
			{name: "another key", lie: func(a *authenticator) { a.key = stranger.key }, status: 403},
			{name: "unknown credential", lie: func(a *authenticator) { a.id = stranger.id }, status: 403},
			{name: "user handle of another person", lie: func(a *authenticator) { a.handle = li.handle }, status: 403},
			{name: "no user handle", lie: func(a *authenticator) { a.handle = nil }, status: 403},
			{name: "credential of another person", lie: func(a *authenticator) { a.id = li.id }, status: 403},
			{name: "signature cut", change: func(_ *authenticator, x map[string]any) { x["signature"] = x["signature"].(string)[:8] }, status: 403},
			{name: "no signature", change: func(_ *authenticator, x map[string]any) { x["signature"] = "" }, status: 403},
			{name: "authenticator data cut", change: func(_ *authenticator, x map[string]any) { x["authenticator_data"] = "AAAA" }, status: 400},
			{name: "client data is no JSON", change: func(_ *authenticator, x map[string]any) { x["client_data"] = "AAAA" }, status: 400},
			{name: "no id", change: func(_ *authenticator, x map[string]any) { x["id"] = "" }, status: 400},
			{name: "not base64", change: func(_ *authenticator, x map[string]any) { x["id"] = "!" }, status: 400},
			{name: "a number for bytes", change: func(_ *authenticator, x map[string]any) { x["id"] = 1 }, status: 400},
			{name: "unknown field", change: func(_ *authenticator, x map[string]any) { x["admin"] = true }, status: 400},
			{name: "too large", change: func(_ *authenticator, x map[string]any) { x["next"] = strings.Repeat("a", 20<<10) }, status: 413},
		} {
			t.Run(k.name, func(t *testing.T) {
				liar := *a
				liar.count = a.count + 1
				if k.lie != nil {
					k.lie(&liar)
				}
				x := liar.get(t, b.challenge("/login/passkey/begin")["challenge"].(string))
				if k.change != nil {
					k.change(&liar, x)
				}
				answer := b.json("/login/passkey/finish", x)
				want(t, answer, k.status)
				if k.status == 403 && !strings.Contains(answer.body, `"the passkey was not accepted"`) {
					t.Errorf("says %s", answer.body)
				}
				if b.cookie("__Host-signet") != "" {
					t.Error("got a session")
				}
			})
		}
		want(t, b.present(a), 200) // none of it harmed the passkey
	})
}

func TestChallenge(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, enroller, a := c.enrolled(t, "wang")
		begin, finish := "/login/passkey/begin", "/login/passkey/finish"
		next := func(b *client) map[string]any {
			a.count++
			return a.get(t, b.challenge(begin)["challenge"].(string))
		}
		t.Run("replayed", func(t *testing.T) {
			b := c.client(t)
			x := next(b)
			want(t, b.json(finish, x), 200)
			want(t, b.json(finish, x), 409)
		})
		t.Run("used up by a wrong answer", func(t *testing.T) {
			b := c.client(t)
			x := next(b)
			good := x["signature"]
			x["signature"] = "AAAA"
			want(t, b.json(finish, x), 403)
			x["signature"] = good
			want(t, b.json(finish, x), 409)
		})
		t.Run("of another browser", func(t *testing.T) {
			b, thief := c.client(t), c.client(t)
			x := next(b)
			thief.challenge(begin)
			want(t, thief.json(finish, x), 409)
			want(t, c.client(t).json(finish, x), 409)
			want(t, b.json(finish, x), 200) // the thief did not use it up
		})
		t.Run("expired", func(t *testing.T) {
			b := c.client(t)
			x := next(b)
			c.clock.add(5 * time.Minute)
			want(t, b.json(finish, x), 409)
		})
		t.Run("invented", func(t *testing.T) {
			b := c.client(t)
			b.challenge(begin)
			want(t, b.json(finish, a.get(t, "c2lnbmV0")), 409)
		})
		t.Run("two tabs", func(t *testing.T) {
			b := c.client(t)
			x, y := next(b), next(b)
			want(t, b.json(finish, x), 200)
			want(t, b.json(finish, y), 200)
		})
		t.Run("to enrol is not to sign in", func(t *testing.T) {
			o := enroller.challenge(begin)
			o["user_handle"] = b64(a.handle)
			want(t, enroller.json("/account/passkeys/finish", newAuthenticator(t, c.issuer).create(t, o, "")), 409)
			a.count++
			want(t, enroller.json(finish, a.get(t, enroller.challenge("/account/passkeys/begin")["challenge"].(string))), 409)
		})
		t.Run("once for many at once", func(t *testing.T) {
			b, other := c.client(t), c.replica(t)
			x := next(b)
			var won atomic.Int64
			var group sync.WaitGroup
			for i := range 8 {
				group.Go(func() {
					copied := *b
					if i%2 == 0 {
						copied.base = other
					}
					switch s := copied.json(finish, x).status; s {
					case 200:
						won.Add(1)
					case 409:
					default:
						t.Errorf("status %d", s)
					}
				})
			}
			group.Wait()
			if won.Load() != 1 {
				t.Errorf("%d signed in", won.Load())
			}
		})
		if n := c.metric(t, "signet_login_refusals_total", "passkey", "challenge"); n < 5 {
			t.Errorf("counted %v", n)
		}
	})
}

func TestCounter(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, _, a := c.enrolled(t, "wang")
		b := c.client(t)
		a.count = 9
		want(t, b.present(a), 200) // 10
		a.count = 9
		want(t, b.present(a), 403) // 10 again
		a.count = 3
		want(t, b.present(a), 403) // 4
		if diff := cmp.Diff([]string{"login.passkey.copied", "login.passkey.copied"}, c.events(t, "login.passkey.copied")); diff != "" {
			t.Error(diff)
		}
		if c.metric(t, "signet_login_refusals_total", "passkey", "counter") != 2 {
			t.Error("not counted")
		}
		a.count = 10
		want(t, b.present(a), 200) // 11

		_, _, zero := c.enrolled(t, "li") // most synchronized passkeys never count
		for range 2 {
			zero.count = ^uint32(0)
			want(t, b.present(zero), 200)
		}
	})
}

func TestEnrolmentRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b, first := c.enrolled(t, "wang")
		li, other, _ := c.enrolled(t, "li")
		begin, finish := "/account/passkeys/begin", "/account/passkeys/finish"
		for _, k := range []struct {
			name   string
			lie    func(a *authenticator)
			change func(x map[string]any)
			status int
		}{
			{name: "wrong origin", lie: func(a *authenticator) { a.origin = "https://evil.example" }, status: 400},
			{name: "wrong RP", lie: func(a *authenticator) { a.rpID = "evil.example" }, status: 400},
			{name: "an answer to get", lie: func(a *authenticator) { a.kind = "webauthn.get" }, status: 400},
			{name: "user not verified", lie: func(a *authenticator) { a.flags = flagUP }, status: 400},
			{name: "short credential id", lie: func(a *authenticator) { a.id = a.id[:8] }, status: 400},
			{name: "another id", change: func(x map[string]any) { x["id"] = b64(first.id) }, status: 400},
			{name: "enrolled already", lie: func(a *authenticator) { a.id = first.id }, status: 409},
			{name: "no CBOR", change: func(x map[string]any) { x["attestation"] = "AAAA" }, status: 400},
			{name: "no attestation", change: func(x map[string]any) { x["attestation"] = "" }, status: 400},
			{name: "name too long", change: func(x map[string]any) { x["name"] = strings.Repeat("名", 41) }, status: 400},
			{name: "name with a line break", change: func(x map[string]any) { x["name"] = "a\nb" }, status: 400},
			{name: "unknown field", change: func(x map[string]any) { x["person"] = li.id }, status: 400},
			{name: "too large", change: func(x map[string]any) { x["attestation"] = strings.Repeat("A", 20<<10) }, status: 413},
		} {
			t.Run(k.name, func(t *testing.T) {
				a := newAuthenticator(t, c.issuer)
				if k.lie != nil {
					k.lie(a)
				}
				x := a.create(t, b.challenge(begin), "x")
				if k.change != nil {
					k.change(x)
				}
				want(t, b.json(finish, x), k.status)
			})
		}
		t.Run("another person's challenge", func(t *testing.T) {
			want(t, b.json(finish, newAuthenticator(t, c.issuer).create(t, other.challenge(begin), "")), 409)
		})
		t.Run("not signed in", func(t *testing.T) {
			want(t, c.client(t).json(begin, nil), 403)
			want(t, c.client(t).json(finish, newAuthenticator(t, c.issuer).create(t, b.challenge(begin), "")), 403)
		})
		if n := c.count(t, `SELECT COUNT(*) FROM login_passkeys`); n != 2 {
			t.Errorf("%d passkeys", n)
		}
		t.Run("signed in too long ago", func(t *testing.T) {
			o := b.challenge(begin)
			c.clock.add(5*time.Minute + time.Second)
			want(t, b.json(begin, nil), 403, "sign in again")
			want(t, b.json(finish, newAuthenticator(t, c.issuer).create(t, o, "")), 403)
			want(t, b.get("/account"), 200, "/login?reauth=1&amp;next=/account")
			want(t, b.signIn(p, c.code(p, 0)), 303)
		})
		t.Run("too many", func(t *testing.T) {
			for i := 1; i < login.MaxPasskeys; i++ {
				want(t, b.enrol(newAuthenticator(t, c.issuer), fmt.Sprint("key ", i)), 201)
			}
			want(t, b.enrol(newAuthenticator(t, c.issuer), ""), 409)
			want(t, b.get("/account"), 200, "as many passkeys as you can")
		})
	})
}

func TestRemovePasskey(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, b, a := c.enrolled(t, "wang")
		_, other, _ := c.enrolled(t, "li")
		page := b.get("/account")
		_, path, _ := strings.Cut(page.body, `href="/account/passkeys/`)
		path, _, _ = strings.Cut(path, `"`)
		path = "/account/passkeys/" + path
		want(t, b.get(path), 200, "Do you want to remove", "我的手机", "It is your only one")
		t.Run("by another person", func(t *testing.T) {
			want(t, other.get(path), 404, "There is no such passkey")
			want(t, other.post(path), 303)
			want(t, c.client(t).post(path), 303, "/login?next=%2F")
			want(t, c.client(t).present(a), 200)
		})
		t.Run("signed in too long ago", func(t *testing.T) {
			c.clock.add(16 * time.Minute)
			want(t, b.get(path), 303, "/login?reauth=1&next="+path)
			want(t, b.post(path), 303, "/login?reauth=1&next=/account")
			want(t, b.present(a), 200)
		})
		want(t, b.post(path), 303, "/account?done=passkey-removed")
		want(t, b.get("/account?done=passkey-removed"), 200, "The passkey was removed", "You have no passkey yet")
		want(t, b.post(path), 303)
		want(t, b.get(path), 404)
		want(t, c.client(t).present(a), 403)
		if e := c.events(t, "login.passkey.remove"); len(e) != 1 {
			t.Errorf("events %v", e)
		}
	})
}

func TestAddPasskey(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, li := c.citizen(t, "wang"), c.citizen(t, "li")
		a := newAuthenticator(t, c.issuer)
		k := login.Passkey{CredentialID: a.id, UserHandle: a.handle, PublicKey: login.COSEKey(&a.key.PublicKey), Name: "demo", SignCount: 5}
		check(t, c.service.AddPasskey(t.Context(), actor, p.id, k))
		a.count = 5
		want(t, c.client(t).present(a), 200)
		fresh := func(change func(*login.Passkey)) login.Passkey {
			n := k
			n.CredentialID = newAuthenticator(t, c.issuer).id
			change(&n)
			return n
		}
		check(t, c.service.AddPasskey(t.Context(), actor, p.id, fresh(func(*login.Passkey) {})))
		for _, x := range []struct {
			name, person string
			k            login.Passkey
			kind         fault.Kind
		}{
			{"again", p.id, k, fault.Conflict},
			{"credential of another person", li.id, fresh(func(n *login.Passkey) { n.CredentialID, n.UserHandle = k.CredentialID, []byte("li") }), fault.Conflict},
			{"another user handle", p.id, fresh(func(n *login.Passkey) { n.UserHandle = []byte("other") }), fault.Conflict},
			{"no account", c.addPerson(t, "李四"), fresh(func(n *login.Passkey) { n.UserHandle = []byte("nobody") }), fault.NotFound},
			{"no key", p.id, fresh(func(n *login.Passkey) { n.PublicKey = nil }), fault.Invalid},
			{"not a key", p.id, fresh(func(n *login.Passkey) { n.PublicKey = []byte{0xa0} }), fault.Invalid},
			{"short credential id", p.id, fresh(func(n *login.Passkey) { n.CredentialID = []byte("short") }), fault.Invalid},
			{"long user handle", p.id, fresh(func(n *login.Passkey) { n.UserHandle = make([]byte, 65) }), fault.Invalid},
			{"no name", p.id, fresh(func(n *login.Passkey) { n.Name = "" }), fault.Invalid},
		} {
			t.Run(x.name, func(t *testing.T) {
				if err := c.service.AddPasskey(t.Context(), actor, x.person, x.k); fault.KindOf(err) != x.kind {
					t.Errorf("error %v", err)
				}
			})
		}
	})
}

// TestSameHandle: two people cannot share a user handle.
func TestSameHandle(t *testing.T) {
	c := newCity(t, sqlite(t))
	p, li := c.citizen(t, "wang"), c.citizen(t, "li")
	a, b := newAuthenticator(t, c.issuer), newAuthenticator(t, c.issuer)
	add := func(p *person, x *authenticator) error {
		return c.service.AddPasskey(t.Context(), actor, p.id, login.Passkey{CredentialID: x.id, UserHandle: a.handle, PublicKey: login.COSEKey(&x.key.PublicKey), Name: "demo"})
	}
	check(t, add(p, a))
	if err := add(li, b); fault.KindOf(err) != fault.Conflict {
		t.Errorf("error %v", err)
	}
}

func TestCOSEKeyPanics(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	defer func() {
		if recover() == nil {
			t.Error("took a key of P-384")
		}
	}()
	login.COSEKey(&key.PublicKey)
}
