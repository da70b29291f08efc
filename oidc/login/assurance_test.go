package login_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/oidc/login"
)

func TestReaches(t *testing.T) {
	c := newCity(t, sqlite(t))
	levels := c.service.Levels()
	if diff := cmp.Diff([]string{login.ACRDeclared, login.ACRVerified, login.ACRPhishingResistant}, levels); diff != "" {
		t.Fatal(diff)
	}
	for i, have := range levels {
		for j, want := range levels {
			if c.service.Reaches(have, want) != (i >= j) {
				t.Errorf("%s for %s", have, want)
			}
		}
		for _, none := range []string{"", "0", "urn:signet:acr:Verified", have + " "} {
			if c.service.Reaches(have, none) || c.service.Reaches(none, have) || c.service.Reaches(none, none) {
				t.Errorf("%q counts as a level", none)
			}
		}
	}
	levels[0] = "changed"
	if c.service.Levels()[0] != login.ACRDeclared {
		t.Error("the list can be changed from outside")
	}
}

const (
	stepUp      = "/login?acr=urn%3Asignet%3Aacr%3Aphishing-resistant&next=%2Fwallet&reauth=1"
	stepUpFirst = "/login?next=/wallet&acr=urn:signet:acr:phishing-resistant"
)

// TestStepUp: a level that was asked for is reached, or the page says what to do; the
// session goes on, with its level as it is.
func TestStepUp(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		want(t, b.get(stepUpFirst), 200, "This service asks for a passkey", "No passkey yet?")
		want(t, b.signIn(p, c.code(p, 0), "next", "/wallet", "acr", login.ACRPhishingResistant), 303, stepUp)
		a := b.get(stepUp)
		want(t, a, 200, "you have none yet", `href="/account"`)
		if strings.Contains(a.body, `name="password"`) || strings.Contains(a.body, "data-begin") {
			t.Error("offers what does not help")
		}
		key := newAuthenticator(t, c.issuer)
		want(t, b.enrol(key, ""), 201)
		a = b.get(stepUpFirst) // signed in, but not at that level
		want(t, a, 200, `data-again="1"`, `data-acr="urn:signet:acr:phishing-resistant"`)
		if strings.Contains(a.body, `name="password"`) {
			t.Error("offers a password that does not help")
		}
		session, cookie := c.identity(t, b).Session, b.cookie("__Host-signet")
		c.clock.add(time.Minute)
		want(t, b.present(key), 200, `"next":"/wallet"`)
		id := c.identity(t, b)
		if id.Session != session || id.ACR != login.ACRPhishingResistant || !id.AuthTime.Equal(c.clock.Now()) || !cmp.Equal(id.AMR, []string{"hwk", "user", "mfa"}) {
			t.Errorf("identity %+v", id)
		}
		before := c.client(t)
		before.jar.SetCookies(mustURL(t, c.issuer), []*http.Cookie{{Name: "__Host-signet", Value: cookie, Secure: true, Path: "/"}})
		if c.identity(t, before) != nil {
			t.Error("the cookie from before is still good")
		}
		want(t, b.get(stepUpFirst), 303, "/wallet")
		want(t, b.get("/login?next=/wallet&acr=urn:signet:acr:verified"), 303, "/wallet")

		// A weaker proof afterwards is not called a stronger one.
		c.clock.add(time.Minute)
		want(t, b.signIn(p, c.code(p, 0), "again", "1", "next", "/wallet"), 303, "/wallet")
		if id := c.identity(t, b); id.Session != session || id.ACR != login.ACRVerified || !cmp.Equal(id.AMR, []string{"pwd", "otp", "mfa"}) {
			t.Errorf("identity %+v", id)
		}
		if e := c.events(t, "login.sign_out"); len(e) != 0 {
			t.Errorf("events %v", e)
		}
		want(t, b.get("/login?next=/wallet&acr=nonsense"), 303, "/wallet") // no level, so whoever needs one looks itself
	})
}

// TestAgainSamePerson: where somebody is to prove themselves again, nobody else does.
func TestAgainSamePerson(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b, key := c.enrolled(t, "wang")
		li, _, liKey := c.enrolled(t, "li")
		session := c.identity(t, b).Session
		still := func() {
			t.Helper()
			if id := c.identity(t, b); id == nil || id.Person != p.id || id.Session != session {
				t.Fatalf("identity %+v", id)
			}
		}
		c.clock.add(time.Minute)
		want(t, b.get("/login?reauth=1&next=/wallet"), 200, `name="again" value="1"`, "Use another account")
		want(t, b.signIn(li, c.code(li, 0), "again", "1"), 400, "not the account that is signed in")
		still()
		a := b.presentAgain(liKey)
		want(t, a, 200, "problem=other")
		still()
		want(t, b.get("/login?next=%2Fwallet&problem=other&reauth=1"), 200, "not the account that is signed in")
		// The refusal has used nothing up.
		want(t, b.signIn(li, c.code(li, 0), "again", "1"), 400, "not the account that is signed in")
		want(t, b.presentAgain(key), 200, `"next":"/wallet"`)
		still()

		a = b.get("/login?other=1&next=/wallet")
		want(t, a, 200, `name="username"`)
		if strings.Contains(a.body, `name="again"`) || strings.Contains(a.body, "data-again") {
			t.Error("asks for the same person")
		}
		want(t, b.signIn(li, c.code(li, 0), "next", "/wallet"), 303, "/wallet")
		if id := c.identity(t, b); id.Person != li.id || id.Session == session {
			t.Errorf("identity %+v", id)
		}
		if ok, err := c.service.Live(t.Context(), session); ok || err != nil {
			t.Error("the other person's session lives on", err)
		}
		// With nobody signed in there is nobody to be the same as.
		want(t, c.client(t).signIn(p, c.code(p, 0), "again", "1"), 303)
	})
}

// presentAgain presents the passkey where whoever is signed in is asked again.
func (c *client) presentAgain(a *authenticator) answer {
	c.t.Helper()
	o := c.challenge("/login/passkey/begin")
	a.count++
	m := a.get(c.t, o["challenge"].(string))
	m["again"] = true
	return c.json("/login/passkey/finish", m)
}
