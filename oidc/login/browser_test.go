package login_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc/login"
)

// page is a tab of Chromium.
type page struct {
	t   testing.TB
	ctx context.Context
	c   *city
}

func (c *city) browse(t testing.TB, flags ...string) page {
	t.Helper()
	return page{t, testkit.Browser(t, flags...), c}
}

func (p page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	check(p.t, chromedp.Do(ctx, steps...))
}

func (p page) open(path string)      { p.t.Helper(); p.do(chromedp.Navigate(p.c.issuer + path)) }
func (p page) click(selector string) { p.t.Helper(); p.do(chromedp.Click(chromedp.CSS(selector))) }
func (p page) fill(name, text string) {
	p.t.Helper()
	p.do(chromedp.SetValue(chromedp.CSS(name), text))
}

// until waits until an expression is true.
func (p page) until(expression string) {
	p.t.Helper()
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		// While the browser goes to another page there is nothing to ask.
		if ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && ok {
			return
		}
	}
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.href + ' ' + document.body.innerText"))
	p.t.Fatalf("never came true: %s\n%s", expression, text)
}

func (p page) says(text string) {
	p.t.Helper()
	p.until("document.querySelector('#passkey-problem').textContent.includes(`" + text + "`)")
}

// shot keeps a picture of the page where SIGNET_SHOTS names a folder for them.
func (p page) shot(name string) {
	p.t.Helper()
	if dir := os.Getenv("SIGNET_SHOTS"); dir != "" {
		check(p.t, testkit.Shot(p.ctx, filepath.Join(dir, name+".png"), 1100, 900))
		check(p.t, testkit.Shot(p.ctx, filepath.Join(dir, name+"-phone.png"), 390, 844))
	}
}

// TestInChromium goes the way of a citizen: first sign-in, first passkey, and
// from then on the passkey.
func TestInChromium(t *testing.T) {
	c := newCity(t, sqlite(t))
	who := c.citizen(t, "wangxiaoming")
	p := c.browse(t, "--accept-lang=zh-CN")
	testkit.Allow(p.ctx, "Failed to load resource")
	_, err := testkit.VirtualPasskey(p.ctx)
	check(t, err)

	p.open("/login")
	p.until("!document.querySelector('#passkey').hidden")
	p.shot("login")
	p.click("#passkey-go")
	p.says("操作已取消或超时") // the authenticator is empty
	p.shot("login-cancelled")
	p.fill("#username", who.username)
	p.fill("#password", who.password)
	p.fill("#otp", "000000")
	p.click("[name=sign-in]")
	p.until("document.querySelector('.problems')")
	p.shot("login-wrong")
	p.fill("#password", who.password)
	p.fill("#otp", c.code(who, 0))
	p.click("[name=sign-in]")
	p.until("location.pathname === '/account'")
	p.until("!document.querySelector('#passkey').hidden")
	p.shot("account-first")

	p.fill("#passkey-name", "我的手机")
	p.click("#passkey-go")
	p.until("location.search === '?done=passkey-added'")
	p.until("document.body.innerText.includes('我的手机')")
	p.shot("account-passkey")
	p.click("#passkey-go")
	p.says("此设备上已有您的通行密钥")

	p.open("/logout")
	p.shot("logout")
	p.click("main [name=logout]")
	p.until("document.body.innerText.includes('您已退出登录')")
	p.shot("logout-done")

	p.passkey("/account")
	p.until("document.body.innerText.includes('通行密钥') && location.pathname === '/account'")
	if n := c.metric(t, "signet_login_sign_ins_total", "passkey"); n != 1 {
		t.Errorf("%v sign-ins by passkey", n)
	}
	p.do(chromedp.Click(chromedp.CSS("a[href$='/remove']")))
	p.until("location.pathname.endsWith('/remove')")
	p.shot("remove")
	p.click("main [name=remove]")
	p.until("location.search === '?done=passkey-removed'")

	p.open("/logout")
	p.click("main [name=logout]")
	p.until("document.body.innerText.includes('您已退出登录')")
	p.open("/login?lang=en")
	p.click("#passkey-go")
	p.says("The passkey was not accepted")
}

// passkey signs in by passkey. The virtual authenticator may answer the page's
// offer before there is a button to press.
func (p page) passkey(next string) {
	p.t.Helper()
	p.passkeyAt("/login?next="+next, next)
}

// passkeyAt signs in by passkey at an address that leads on to next.
func (p page) passkeyAt(at, next string) {
	p.t.Helper()
	p.open(at)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		at, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.pathname"))
		if err == nil && at == next {
			return
		}
		_, _ = chromedp.Run(p.ctx, chromedp.Evaluate[bool]("(b => { if (b && !b.disabled) b.click(); return true })(document.querySelector('#passkey-go'))"))
	}
	p.t.Fatal("the passkey signs nobody in")
}

// TestDemoPasskey: a passkey that AddPasskey registered works in a browser that
// was given its private half.
func TestDemoPasskey(t *testing.T) {
	c := newCity(t, sqlite(t))
	who, a := c.citizen(t, "wang"), newAuthenticator(t, c.issuer)
	check(t, c.service.AddPasskey(t.Context(), actor, who.id, login.Passkey{CredentialID: a.id, UserHandle: a.handle,
		PublicKey: login.COSEKey(&a.key.PublicKey), Name: "demo"}))
	private, err := x509.MarshalPKCS8PrivateKey(a.key)
	check(t, err)
	p := c.browse(t, "--accept-lang=en-GB")
	testkit.Allow(p.ctx, "Failed to load resource")
	id, err := testkit.VirtualPasskey(p.ctx)
	check(t, err)
	check(t, testkit.AddCredential(p.ctx, id, testkit.Passkey{CredentialID: b64(a.id), UserHandle: b64(a.handle),
		PrivateKeyPKCS8: base64.RawURLEncoding.EncodeToString(private), RPID: "localhost"}))
	p.passkey("/account")
	p.until("document.body.innerText.includes('A passkey')")
}

// TestWithoutJavaScript: the forms are whole without the script.
func TestWithoutJavaScript(t *testing.T) {
	c := newCity(t, sqlite(t))
	who := c.citizen(t, "wang")
	p := c.browse(t, "--accept-lang=en-GB", "--blink-settings=scriptEnabled=false")
	p.open("/login")
	p.shot("login-without-script")
	p.fill("#username", who.username)
	p.fill("#password", who.password)
	p.fill("#otp", c.code(who, 0))
	p.click("[name=sign-in]")
	p.until("location.pathname === '/account'")
	p.until("getComputedStyle(document.querySelector('#passkey')).display === 'none'")
}
