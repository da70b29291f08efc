package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

func TestSessionEnds(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		ctx := t.Context()
		live := func() bool {
			id := c.identity(t, b)
			if id == nil {
				return false
			}
			ok, err := c.service.Live(ctx, id.Session)
			check(t, err)
			return ok
		}
		t.Run("without use", func(t *testing.T) {
			want(t, b.signIn(p, c.code(p, 0)), 303)
			session := c.identity(t, b).Session
			c.clock.add(29 * time.Minute)
			if !live() {
				t.Fatal("ended too soon")
			}
			c.clock.add(29 * time.Minute) // the use before counts
			if !live() {
				t.Fatal("use did not prolong it")
			}
			c.clock.add(29 * time.Minute)
			if ok, err := c.service.Live(ctx, session); !ok || err != nil { // asking does not
				t.Fatal(ok, err)
			}
			c.clock.add(time.Minute)
			if live() {
				t.Error("lives on")
			}
			if err := c.service.ActFor(ctx, session, ""); !errors.Is(err, login.ErrSession) {
				t.Errorf("error %v", err)
			}
		})
		t.Run("after 12 hours", func(t *testing.T) {
			want(t, b.signIn(p, c.code(p, 0)), 303)
			for range 36 {
				if !live() {
					t.Fatal("ended too soon")
				}
				c.clock.add(20 * time.Minute)
			}
			if live() {
				t.Error("lives on")
			}
		})
		t.Run("swept", func(t *testing.T) {
			b.challenge("/login/passkey/begin")
			want(t, c.client(t).signIn(p, c.code(p, 0)), 303)
			c.clock.add(time.Hour)
			want(t, b.signIn(p, c.code(p, 0)), 303)
			check(t, c.service.Sweep(ctx))
			if n := c.count(t, `SELECT COUNT(*) FROM login_sessions`); n != 1 {
				t.Errorf("%d sessions", n)
			}
			if n := c.count(t, `SELECT COUNT(*) FROM login_challenges`); n != 0 {
				t.Errorf("%d challenges", n)
			}
			if !live() || c.metric(t, "signet_login_swept_total") < 2 {
				t.Error("swept too much, or did not count")
			}
		})
	})
}

// TestNewSession: signing in anew ends what the browser had, whoever it was, and a
// cookie from before is worth nothing.
func TestNewSession(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, li, b := c.citizen(t, "wang"), c.citizen(t, "li"), c.client(t)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		old := c.client(t)
		old.jar.SetCookies(mustURL(t, c.issuer), []*http.Cookie{{Name: "__Host-signet", Value: b.cookie("__Host-signet"), Secure: true, Path: "/"}})
		elsewhere := c.client(t)
		c.clock.add(30 * time.Second)
		want(t, elsewhere.signIn(p, c.code(p, 0)), 303)
		want(t, b.signIn(li, c.code(li, 0)), 303)
		if c.identity(t, old) != nil {
			t.Error("the old session lives on")
		}
		if id := c.identity(t, b); id == nil || id.Person != li.id {
			t.Error("not the new person")
		}
		if c.identity(t, elsewhere) == nil {
			t.Error("a session in another browser ended")
		}
		session := c.identity(t, elsewhere).Session
		check(t, c.service.SignOut(t.Context(), session))
		check(t, c.service.SignOut(t.Context(), session))
		check(t, c.service.SignOut(t.Context(), "nobody"))
		if c.identity(t, elsewhere) != nil {
			t.Error("signed out but there")
		}
		if e := c.events(t, "login.sign_out"); len(e) != 2 {
			t.Errorf("events %v", e)
		}
	})
}

func TestCookie(t *testing.T) {
	c := newCity(t, sqlite(t))
	p, b := c.citizen(t, "wang"), c.client(t)
	want(t, b.signIn(p, c.code(p, 0)), 303)
	good := b.cookie("__Host-signet")
	if len(good) != 43 {
		t.Fatalf("cookie %q", good)
	}
	for _, k := range []struct{ name, value string }{
		{"empty", ""}, {"short", good[:42]}, {"long", good + "A"}, {"padded", good + "="}, {"another", strings.Repeat("A", 43)},
		{"endless", strings.Repeat("A", 8000)}, {"not base64", strings.Repeat("!", 43)}, {"the session's name", c.identity(t, b).Session},
	} {
		t.Run(k.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.Header.Set("Cookie", "__Host-signet="+k.value)
			if id, err := c.service.Identify(r); id != nil || err != nil {
				t.Errorf("got %v, %v", id, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	r.Header.Set("Cookie", "__Host-signet="+good)
	if id, err := c.service.Identify(r); id != nil || err == nil {
		t.Error("a database that does not answer is taken for nobody signed in")
	}
}

func TestActing(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		ctx := t.Context()
		want(t, b.signIn(p, c.code(p, 0)), 303)
		if a := b.get("/account"); strings.Contains(a.body, `name="firm"`) {
			t.Error("there is nobody to act for")
		}
		want(t, b.post("/account/acting", "firm", c.firm.USCC, "choose", ""), 400, "no delegation in force")
		_, err := c.registry.Delegate(ctx, actor, registry.Delegation{Firm: c.firm.USCC, Person: p.id})
		check(t, err)
		want(t, b.get("/account"), 200, c.firm.Name, `value="self" checked`)
		want(t, b.post("/account/acting", "choose", ""), 400, "Choose who you are acting for")
		for name, firm := range map[string]string{"unknown": completeUSCC("91990101MA0000009"), "no code": "x", "endless": strings.Repeat("9", 1000), "SQL": "' OR 1=1 --"} {
			t.Run(name, func(t *testing.T) { want(t, b.post("/account/acting", "firm", firm), 400, "no delegation in force") })
		}
		want(t, b.post("/account/acting", "firm", c.firm.USCC, "choose", ""), 303, "/account?done=acting")
		id := c.identity(t, b)
		if id.Firm != c.firm.USCC || id.FirmName != c.firm.Name || !id.Chosen {
			t.Fatalf("identity %+v", id)
		}
		want(t, b.get("/account?done=acting"), 200, "Your choice was saved", c.firm.USCC+`" checked`)
		want(t, b.post("/account/acting", "firm", c.firm.USCC, "next", "//evil.example"), 303, "/")
		check(t, c.registry.Withdraw(ctx, actor, c.firm.USCC, p.id))
		if id := c.identity(t, b); id.Firm != "" || id.FirmName != "" || id.Chosen {
			t.Errorf("acts without delegation: %+v", id)
		}
		if err := c.service.ActFor(ctx, id.Session, c.firm.USCC); fault.KindOf(err) != fault.Denied || !errors.Is(err, login.ErrDelegation) {
			t.Errorf("error %v", err)
		}
		check(t, c.service.ActFor(ctx, id.Session, "self"))
		check(t, c.service.ActFor(ctx, id.Session, ""))
		if id := c.identity(t, b); id.Firm != "" || !id.Chosen {
			t.Errorf("identity %+v", id)
		}
		if diff := cmp.Diff([]string{"login.acting", "login.acting"}, c.events(t, "login.acting")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRoles(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		if a := b.get("/account"); strings.Contains(a.body, `href="/desk"`) {
			t.Error("a citizen is led to the desk")
		}
		_, err := c.registry.Employ(t.Context(), actor, registry.Post{Person: p.id, Agency: c.agency.ID, Role: web.RoleClerk})
		check(t, err)
		if diff := cmp.Diff([]web.Role{{Agency: c.agency.ID, Name: web.RoleClerk}}, c.identity(t, b).Roles); diff != "" {
			t.Error(diff)
		}
		want(t, b.get("/account"), 200, `href="/desk"`)
		check(t, c.registry.Dismiss(t.Context(), actor, p.id, c.agency.ID, web.RoleClerk))
		if roles := c.identity(t, b).Roles; len(roles) != 0 {
			t.Errorf("roles %v", roles)
		}
	})
}

func TestFormTo(t *testing.T) {
	c := newCity(t, sqlite(t))
	o := c.options
	o.FormTo = func(_ context.Context, next string) string {
		if next == "/oidc/interaction/x" {
			return "http://127.0.0.1:9999"
		}
		return ""
	}
	c.options = o
	b := c.client(t)
	b.base = c.replica(t)
	for path, wants := range map[string]string{"/login?next=/oidc/interaction/x": "form-action 'self' http://127.0.0.1:9999;", "/login": "form-action 'self';"} {
		if csp := b.get(path).header.Get("Content-Security-Policy"); !strings.Contains(csp, wants) {
			t.Errorf("%s: %s", path, csp)
		}
	}
	if csp := b.post("/login", "next", "/oidc/interaction/x").header.Get("Content-Security-Policy"); !strings.Contains(csp, "http://127.0.0.1:9999;") {
		t.Errorf("sent back: %s", csp)
	}
}

func TestNew(t *testing.T) {
	c := newCity(t, sqlite(t))
	site := func() *web.Site {
		s, err := web.NewSite(web.SiteOptions{})
		check(t, err)
		return s
	}
	for _, k := range []struct {
		name   string
		change func(o *login.Options)
		ok     bool
	}{
		{"as it is", func(*login.Options) {}, true},
		{"https", func(o *login.Options) { o.Issuer = "https://id.jiangcheng.example" }, true},
		{"an address has no passkeys", func(o *login.Options) { o.Issuer = "http://127.0.0.1:8080" }, true},
		{"no database", func(o *login.Options) { o.DB = nil }, false},
		{"no site", func(o *login.Options) { o.Site = nil }, false},
		{"no issuer", func(o *login.Options) { o.Issuer = "" }, false},
		{"issuer with a path", func(o *login.Options) { o.Issuer = "https://id.jiangcheng.example/" }, false},
		{"http elsewhere", func(o *login.Options) { o.Issuer = "http://id.jiangcheng.example" }, false},
	} {
		t.Run(k.name, func(t *testing.T) {
			o := c.options
			o.Site = site()
			k.change(&o)
			s, err := login.New(o)
			if (err == nil) != k.ok {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				s.Mount(http.NewServeMux())
			}
		})
	}
}

func TestRun(t *testing.T) {
	c := newCity(t, sqlite(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.service.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHoldSession: what is held is in force, and its end waits for whoever holds it.
func TestHoldSession(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		session := c.identity(t, b).Session
		hold := func(session string) (live bool) {
			check(t, c.db.Update(t.Context(), func(tx db.Tx) (err error) {
				live, err = c.service.HoldSession(t.Context(), tx, session)
				return err
			}))
			return live
		}
		if !hold(session) || hold("nobody's") || hold("") {
			t.Error("a session that is none, or none that is one")
		}
		ended := make(chan error, 1)
		check(t, c.db.Update(t.Context(), func(tx db.Tx) error {
			live, err := c.service.HoldSession(t.Context(), tx, session)
			if err != nil || !live {
				return fmt.Errorf("held %t: %w", live, err)
			}
			go func() { ended <- c.service.SignOut(t.Context(), session) }()
			select {
			case err := <-ended:
				t.Errorf("ended while it was held: %v", err)
			case <-time.After(200 * time.Millisecond):
			}
			return nil
		}))
		check(t, <-ended)
		if hold(session) {
			t.Error("held after its end")
		}
		c.clock.add(time.Minute)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		session = c.identity(t, b).Session
		c.clock.add(30 * time.Minute)
		if hold(session) {
			t.Error("held, and it is idle for too long")
		}
	})
}
