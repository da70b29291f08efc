package console_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/testkit"
)

// page is a tab of Chromium.
type page struct {
	t   testing.TB
	ctx context.Context
	c   *city
}

func (p page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	must(p.t, chromedp.Do(ctx, steps...))
}

func (p page) open(path string)      { p.t.Helper(); p.do(chromedp.Navigate(p.c.base + path)) }
func (p page) click(selector string) { p.t.Helper(); p.do(chromedp.Click(chromedp.CSS(selector))) }

func (p page) fill(selector, text string) {
	p.t.Helper()
	p.do(chromedp.SetValue(chromedp.CSS(selector), text))
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

// as makes the browser that of who.
func (p page) as(who string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, network.SetCookie, network.SetCookieParams{Name: "who", Value: who, URL: p.c.base})
	must(p.t, err)
}

// TestInChromium: an officer enrols a passkey, and approves with it.
func TestInChromium(t *testing.T) {
	c := newCity(t, sqlite(t))
	p := page{t, testkit.Browser(t, "--accept-lang=zh-CN"), c}
	testkit.Allow(p.ctx, "Failed to load resource")
	_, err := testkit.VirtualPasskey(p.ctx)
	must(t, err)
	p.as("cai")
	p.open("/security/officers")
	p.until("!document.querySelector('#passkey').hidden")
	p.click("#passkey-go")
	p.says("请填写登记码")
	p.fill("#passkey-code", "wrong")
	p.click("#passkey-go")
	p.says("登记码不正确")
	p.fill("#passkey-code", c.codes["cai"])
	p.fill("#passkey-name", "保险柜")
	p.click("#passkey-go")
	p.until("location.search === '?done=enrol' && document.body.innerText.includes('保险柜')")

	id := c.ask("ann", "red")
	p.open("/security/requests/" + id)
	p.until("!document.querySelector('#passkey').hidden")
	// What is to be signed is not what the page shows.
	p.do(chromedp.Evaluate[chromedp.Void]("void (document.querySelector('#passkey').dataset.challenge = 'x')"))
	p.click("#passkey-go")
	p.says("未签名")
	c.wantState(id, approval.Open)
	p.open("/security/requests/" + id)
	p.click("#passkey-go")
	p.until("location.search === '?done=approve' && document.body.innerText.includes('已批准并执行完毕')")
	c.wantState(id, approval.Done)

	// Everything else goes without a script.
	own := c.ask("bob", "blue")
	p.open("/security/requests/" + own)
	p.click("main > details:last-of-type > summary")
	p.fill("#reason", "不同意")
	p.click("[name=reject]")
	p.until("location.search === '?done=reject'")
	c.wantState(own, approval.Rejected)
	if q := c.wantState(own, approval.Rejected); !strings.Contains(q.Note, "不同意") {
		t.Errorf("note %q", q.Note)
	}
}

// TestWithoutJavaScript: the pages are whole without the script.
func TestWithoutJavaScript(t *testing.T) {
	c := newCity(t, sqlite(t))
	id := c.ask("ann", "red")
	p := page{t, testkit.Browser(t, "--accept-lang=en-GB", "--blink-settings=scriptEnabled=false"), c}
	p.as("bob")
	p.open("/security/requests/" + id)
	p.until("getComputedStyle(document.querySelector('#passkey')).display === 'none' && document.body.innerText.includes('Approving on this page needs JavaScript')")
	p.as("ann")
	p.open("/security/requests/" + id)
	p.click("[name=withdraw]")
	p.until("location.search === '?done=withdraw'")
	c.wantState(id, approval.Withdrawn)
}
