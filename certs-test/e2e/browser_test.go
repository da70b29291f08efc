package e2e_test

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc/login"
)

// tab is somebody at a tab of Chromium.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// patience is how long a page may take. Another test may be busy beside this one.
const patience = 20 * time.Second

func (b tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText.slice(0,600)"))
		b.t.Fatalf("at %s: %v\n%s", where, err, text)
	}
}

func (b tab) open(address string) { b.t.Helper(); b.do(chromedp.Navigate(address)) }

// see waits for an element.
func (b tab) see(selector string) { b.t.Helper(); b.do(chromedp.WaitVisible(chromedp.CSS(selector))) }

// press presses the button of that name.
func (b tab) press(name string) { b.t.Helper(); b.click("button[name=" + name + "]") }

// click clicks in the page: a mouse's click is lost where the page moves under it.
// That everything is reached with keyboard and pointer is shown by testkit.CheckPages.
func (b tab) click(selector string) {
	b.t.Helper()
	b.see(selector)
	if b.text(`(() => { const one = document.querySelector(`+strconv.Quote(selector)+`); one?.click(); return !!one; })()`) != "true" {
		b.t.Fatalf("%s went away on %s", selector, b.text("location.pathname"))
	}
}

// fill puts values into fields and chooses among radio buttons and in lists.
func (b tab) fill(values map[string]string) {
	b.t.Helper()
	for name, value := range values {
		q := func(s string) string { return strconv.Quote(s) }
		done := b.text(`(() => { const all = [...document.getElementsByName(` + q(name) + `)];
			if (all[0]?.type === "radio") { const one = all.find((x) => x.value === ` + q(value) + `); if (one) one.checked = true; return !!one; }
			if (all[0]) all[0].value = ` + q(value) + `; return all[0]?.value === ` + q(value) + `; })()`)
		if done != "true" {
			b.t.Fatalf("%s cannot be set to %q on %s", name, value, b.text("location.pathname"))
		}
	}
}

// text evaluates an expression.
func (b tab) text(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

// signIn proves somebody with password and one-time code.
func (b tab) signIn(u city.DemoUser) {
	b.t.Helper()
	b.see("[name=otp]")
	code, err := login.Code(u.TOTP, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	b.fill(map[string]string{"username": u.Username, "password": u.Password, "otp": code})
	b.press("sign-in")
}

// signOut ends the city's session and waits for the page that says so.
func (b tab) signOut(issuer string) {
	b.t.Helper()
	b.open(issuer + "/account")
	b.press("logout")
	b.see(".panel")
}

// TestPasskeyAndSingleSignOn is one citizen: signed in at one agency with password
// and code, a passkey enrolled, signed out (of the first agency too), signed in at
// another agency with the passkey, and back at the first one without being asked.
func TestPasskeyAndSingleSignOn(t *testing.T) {
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	b := tab{t, testkit.Browser(t)}
	if _, err := testkit.VirtualPasskey(b.ctx); err != nil {
		t.Fatal(err)
	}
	first, second, u := s.Clients[0], s.Clients[1], s.Citizens[0]

	b.open(first.URL + "/")
	b.press("signin")
	b.signIn(u)
	b.press("allow")
	b.see("#signed-in")
	subject := b.text(`document.querySelector("#signed-in").dataset.sub`)
	if !strings.Contains(b.text("document.body.innerText"), u.Name) {
		t.Error("the agency does not greet the citizen by name")
	}

	b.open(s.Issuer + "/account")
	b.click("#passkey-go")
	b.see(".notice[role=status]")
	b.signOut(s.Issuer)

	b.open(second.URL + "/")
	b.press("signin")
	b.see("#passkey-go, button[name=allow]") // browsers may offer the passkey by themselves
	b.text(`document.querySelector("#passkey-go")?.click()`)
	b.see("button[name=allow]")
	b.press("allow")
	b.see("#signed-in")
	if other := b.text(`document.querySelector("#signed-in").dataset.sub`); other == subject || other == "" {
		t.Errorf("two agencies know the citizen as %q and %q: they could compare notes", subject, other)
	}

	// The city's session ended, and the first agency has been told of it.
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		b.open(first.URL + "/")
		b.see("button[name=signin], button[name=signout]")
		if b.text(`!!document.querySelector("button[name=signin]")`) == "true" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the first agency was not told that the session ended")
		}
	}
	b.press("signin")
	b.see("#signed-in")
	if again := b.text(`document.querySelector("#signed-in").dataset.sub`); again != subject {
		t.Errorf("the agency knew the citizen as %s and now as %s", subject, again)
	}
	if claims := b.text("document.body.textContent"); !strings.Contains(claims, login.ACRPhishingResistant) {
		t.Error("the agency was not told that a passkey was used")
	}
}

// TestDemoPasskey signs in with the passkey of demo.json, as somebody's own tests do.
func TestDemoPasskey(t *testing.T) {
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	b := tab{t, testkit.Browser(t, "--lang=en-GB")}
	id, err := testkit.VirtualPasskey(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	u := s.Officers[0]
	err = testkit.AddCredential(b.ctx, id, testkit.Passkey{CredentialID: u.Passkey.CredentialID, UserHandle: u.Passkey.UserHandle,
		PrivateKeyPKCS8: u.Passkey.PrivateKey, SignCount: u.Passkey.SignCount, RPID: u.Passkey.RPID})
	if err != nil {
		t.Fatal(err)
	}
	b.open(s.Issuer + "/account")
	b.see("#passkey-go, .who .link")
	b.text(`document.querySelector("#passkey-go")?.click()`)
	b.see(".who .link")
	if who := b.text(`document.querySelector(".who").innerText`); !strings.Contains(who, u.Name) {
		t.Errorf("signed in as %q, want %s", who, u.Name)
	}
}

// food is an application for a food business licence as a clerk types it in.
func food(uscc string) map[string]string {
	return map[string]string{"holder": uscc, "trade_name": "老灶火锅", "premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川",
		"category": "餐饮服务经营者", "scope": "热食类食品制售", "seats": "86", "area_m2": "240", "supervisor": "周予安", "online": "是"}
}

// clerksOf returns the clerks of an agency.
func (s *served) clerksOf(t *testing.T, agency string) (first, second city.DemoUser) {
	t.Helper()
	var found []city.DemoUser
	for _, c := range s.Clerks {
		if c.Agency == agency {
			found = append(found, c)
		}
	}
	if len(found) < 2 {
		t.Fatalf("%s has %d clerks", agency, len(found))
	}
	return found[0], found[1]
}

// citizen returns the citizen with that username.
func (s *served) citizen(t *testing.T, username string) city.DemoUser {
	t.Helper()
	for _, u := range s.Citizens {
		if u.Username == username {
			return u
		}
	}
	t.Fatalf("no citizen %q", username)
	return city.DemoUser{}
}
