package login_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc/login"
)

// TestPasskeysInChromium: a second device's passkey is added and named, the first
// removed, and where one is asked for, the second signs in.
func TestPasskeysInChromium(t *testing.T) {
	c := newCity(t, sqlite(t))
	who := c.citizen(t, "wangxiaoming")
	p := c.browse(t, "--accept-lang=en-GB")
	testkit.Allow(p.ctx, "Failed to load resource")
	first, err := testkit.VirtualPasskey(p.ctx)
	check(t, err)

	// A site asks for a passkey; there is none yet, and the page says what to do.
	p.open("/login?next=/wallet&acr=urn:signet:acr:phishing-resistant")
	p.fill("#username", who.username)
	p.fill("#password", who.password)
	p.fill("#otp", c.code(who, 0))
	p.click("[name=sign-in]")
	p.until("document.body.innerText.includes('you have none yet')")
	p.shot("step-up-none")
	p.click("main .actions .button")
	p.until("location.pathname === '/account'")
	p.fill("#passkey-name", "First")
	p.click("#passkey-go")
	p.until("location.search === '?done=passkey-added'")

	// Another device: the first authenticator is away.
	check(t, testkit.RemoveAuthenticator(p.ctx, first))
	_, err = testkit.VirtualPasskey(p.ctx)
	check(t, err)
	p.fill("#passkey-name", "Second")
	p.click("#passkey-go")
	p.until("document.body.innerText.includes('First') && document.body.innerText.includes('Second')")
	p.do(chromedp.Click(chromedp.CSS("a[href$='/name']")))
	p.until("location.pathname.endsWith('/name')")
	p.fill("#name", "Old phone")
	p.click("[name=rename]")
	p.until("document.body.innerText.includes('Old phone') && !document.body.innerText.includes('First')")
	p.do(chromedp.Click(chromedp.CSS("a[href$='/remove']")))
	p.until("location.pathname.endsWith('/remove')")
	p.click("main [name=remove]")
	p.until("location.search === '?done=passkey-removed'")
	p.until("!document.body.innerText.includes('Old phone')")

	// Signed in by password: the step up takes the passkey, and the session goes on.
	session := c.count(t, `SELECT COUNT(*) FROM login_sessions`)
	p.passkeyAt("/login?next=/account&acr=urn:signet:acr:phishing-resistant", "/account")
	p.until("document.querySelector('dl.summary').innerText.includes('A passkey')")
	if n := c.count(t, `SELECT COUNT(*) FROM login_sessions WHERE acr = $1`, login.ACRPhishingResistant); n != 1 || session != 1 {
		t.Errorf("%d sessions of that level", n)
	}
	if e := c.events(t, "login.sign_out"); len(e) != 0 {
		t.Errorf("events %v", e)
	}
}
