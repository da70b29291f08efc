package e2e_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
)

// TestApplicationToPermit follows an application through both pages, in both
// languages: a firm's delegate applies, a clerk asks, the delegate answers, the clerk
// approves, and the permit that is then in the wallet verifies.
func TestApplicationToPermit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "city")
	s := demo(t, dir, anyPort...)
	firm := s.Firms[0]
	clerk, _ := s.clerksOf(t, agency)
	delegate := s.citizen(t, firm.Delegates[len(firm.Delegates)-1])
	b, desk := tab{t, testkit.Browser(t)}, tab{t, testkit.Browser(t)}
	b.open(s.Issuer + "/wallet")
	b.signIn(delegate)
	b.click(".switch summary")
	b.fill(map[string]string{"firm": firm.USCC})
	b.press("act")
	b.see(`a[href="/wallet/apply"]`)
	desk.open(s.Issuer + "/desk")
	desk.signIn(clerk)
	desk.see(".cards")
	for lang, says := range map[string]struct{ question, issued string }{"zh": {"请说明面积。", "已签发"}, "en": {"How large is it?", "Issued"}} {
		b.open(s.Issuer + "/wallet?lang=" + lang)
		b.click(`a[href="/wallet/apply"]`)
		b.click(`a[href="/wallet/apply/new/food-business"]`)
		b.see("[name=trade_name]")
		b.press("submit") // nothing filled in: every problem at once
		b.see(".problems")
		form := food("")
		delete(form, "holder") // whose it is follows from who is signed in
		form["agency"] = agency
		b.fill(form)
		b.press("submit")
		b.see("button[name=withdraw]")
		address := b.text("location.href")
		id := address[strings.LastIndexByte(address, '/')+1:]

		desk.open(s.Issuer + "/desk/applications/" + id + "?lang=" + lang)
		desk.see("[name=message]")
		desk.fill(map[string]string{"message": says.question})
		desk.press("ask")
		desk.says(says.question)

		b.open(address)
		b.see("button[name=answer]")
		if page := b.text("document.body.innerText"); !strings.Contains(page, says.question) {
			t.Errorf("%s: the question is not there:\n%s", lang, page)
		}
		b.fill(map[string]string{"message": "86 m²"})
		b.press("answer")
		b.says("86 m²")

		desk.open(s.Issuer + "/desk/applications/" + id)
		desk.see("button[name=approve]")
		if page := desk.text("document.body.innerText"); !strings.Contains(page, "86 m²") {
			t.Errorf("%s: the answer is not there:\n%s", lang, page)
		}
		desk.press("approve")
		desk.see(".code img")

		b.open(address)
		b.see(`.actions a.button[href^="/wallet/"]`)
		if word := b.text(`document.querySelector(".tag").innerText`); word != says.issued {
			t.Errorf("%s: it is %q", lang, word)
		}
		b.click(`.actions a.button[href^="/wallet/"]`)
		b.click(`.actions a.button[href$="/show"]`)
		b.see(".screen .code img")
		b.text(`(async () => { const i = document.querySelector(".code img"); await i.decode(); return 1 })()`)
		picture := filepath.Join(t.TempDir(), lang+".png")
		if err := testkit.Shot(b.ctx, picture, 390, 844); err != nil {
			t.Fatal(err)
		}
		if r := run(t, "verify", "--data", dir, "--json", picture); r.code != 0 || !strings.Contains(r.out, `"valid"`) {
			t.Errorf("%s: the permit's picture: code %d\n%s", lang, r.code, r.out)
		}
	}
}

// says waits until the page shows a message among what it tells.
func (b tab) says(message string) {
	b.t.Helper()
	b.verdict("", func() bool {
		return b.text(`[...document.querySelectorAll("dd")].some((x) => x.innerText === `+strconv.Quote(message)+`)`) == "true"
	})
}
