package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/testkit"
)

// TestSignOutEverywhere is one person in two browsers: each shows the other, and
// signing out everywhere in one ends both, and what an agency's site was given.
func TestSignOutEverywhere(t *testing.T) {
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	u := s.Officers[0]
	one, two := tab{t, testkit.Browser(t, "--lang=en-GB")}, tab{t, testkit.Browser(t, "--lang=en-GB")}
	id, err := testkit.VirtualPasskey(two.ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = testkit.AddCredential(two.ctx, id, testkit.Passkey{CredentialID: u.Passkey.CredentialID, UserHandle: u.Passkey.UserHandle,
		PrivateKeyPKCS8: u.Passkey.PrivateKey, SignCount: u.Passkey.SignCount, RPID: u.Passkey.RPID})
	if err != nil {
		t.Fatal(err)
	}
	one.open(s.Clients[0].URL + "/")
	one.press("signin")
	one.signIn(u)
	one.press("allow")
	one.see("#signed-in")
	two.open(s.Issuer + "/account")
	two.see("#passkey-go, .who .link")
	two.text(`document.querySelector("#passkey-go")?.click()`)
	two.see(".who .link")

	two.open(s.Issuer + "/account/sessions")
	two.see("button[name=end]")
	if said := two.text("document.body.innerText"); !strings.Contains(said, "Chrome, Linux") || !strings.Contains(said, "127.0.0.0/24") {
		t.Errorf("the page says %s", said)
	}
	one.open(s.Issuer + "/account/sites")
	one.see("a[href$='/withdraw']")
	two.press("end-all")
	two.see(".panel")
	for _, b := range []tab{one, two} {
		b.open(s.Issuer + "/account/history")
		b.see("[name=username]")
	}
	// The site was told from behind: its own session is over too.
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		one.open(s.Clients[0].URL + "/")
		if one.text(`!!document.querySelector("button[name=signin]")`) == "true" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the site was not told")
		}
	}
	one.open(s.Clients[1].URL + "/") // single sign-on is over: whoever wants to go on proves themselves
	one.press("signin")
	one.see("[name=username]")
}

// TestLogoutReachesBothSites: signed in at two agencies' sites, out at the portal, and
// out at both, of which one has tokens bound to keys.
func TestLogoutReachesBothSites(t *testing.T) {
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	b, u := tab{t, testkit.Browser(t, "--lang=en-GB")}, s.Citizens[1]
	b.open(s.Clients[0].URL + "/")
	b.press("signin")
	b.signIn(u)
	b.press("allow")
	b.see("#signed-in")
	b.open(s.Clients[1].URL + "/")
	b.press("signin")
	b.press("allow")
	b.see("#signed-in")
	b.signOut(s.Issuer)
	for i, site := range s.Clients[:2] {
		for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
			b.open(site.URL + "/")
			if b.text(`!!document.querySelector("button[name=signin]")`) == "true" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("site %d was not told", i)
			}
		}
	}
}
