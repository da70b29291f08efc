package e2e_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
)

// TestStartAFirmByPages goes the whole way by pages, in both languages: a citizen applies
// for a firm, a clerk sees it on the desk's first page and approves it, the citizen acts
// for the firm, and its licence in the wallet verifies. Nothing is out of order afterwards.
func TestStartAFirmByPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "city")
	s := demo(t, dir, anyPort...)
	clerk, _ := s.clerksOf(t, agency)
	b, desk := tab{t, testkit.Browser(t)}, tab{t, testkit.Browser(t)}
	b.open(s.Issuer + "/wallet")
	b.signIn(s.Citizens[0])
	b.see(`a[href="/wallet/apply"]`)
	desk.open(s.Issuer + "/desk")
	desk.signIn(clerk)
	desk.see(".cards")
	for lang, says := range map[string]struct{ name, waits, founded string }{"zh": {"江城湖畔小馆餐饮有限公司", "待审核", "已设立"}, "en": {"江城晨光书店有限公司", "With the agency", "Founded"}} {
		b.open(s.Issuer + "/wallet/apply?lang=" + lang)
		b.click(`a[href="/wallet/found"]`)
		b.see("[name=scope]")
		b.press("submit") // nothing filled in: every problem at once
		b.see(".problems")
		if n, _ := strconv.Atoi(b.text(`document.querySelectorAll(".problems li").length`)); n < 5 {
			t.Errorf("%s: an empty form has %d problems", lang, n)
		}
		b.fill(map[string]string{"agency": agency, "name": says.name, "kind": "有限责任公司（自然人独资）", "capital_10k": "50", "currency": "人民币",
			"address": "江城市东湖区湖滨路18号2幢101室", "industry": "住宿和餐饮业", "scope": "餐饮服务"})
		b.press("submit")
		b.see("button[name=withdraw], details")
		address := b.text("location.href")
		b.tagged(says.waits)

		desk.open(s.Issuer + "/desk?lang=" + lang)
		desk.click(`a[href="/desk/foundings"]`)
		desk.click(`a[href="/desk/foundings/` + address[strings.LastIndexByte(address, '/')+1:] + `"]`)
		desk.press("approve")
		desk.see(`.actions a.button[href^="/desk/licenses/"]`)
		desk.tagged(says.founded)
		desk.click(`.actions a.button[href^="/desk/licenses/"]`)
		desk.see(".code img")

		b.open(address)
		b.tagged(says.founded)
		b.press("act")
		b.see(`.card.permit .button`)
		if page := b.text("document.body.innerText"); !strings.Contains(page, says.name) {
			t.Errorf("%s: the wallet is not the new firm's:\n%s", lang, page)
		}
		b.click(".card.permit .button")
		b.see(".screen .code img")
		b.text(`(async () => { const i = document.querySelector(".code img"); await i.decode(); return 1 })()`)
		picture := filepath.Join(t.TempDir(), lang+".png")
		if err := testkit.Shot(b.ctx, picture, 390, 844); err != nil {
			t.Fatal(err)
		}
		if r := run(t, "verify", "--data", dir, "--json", picture); r.code != 0 || !strings.Contains(r.out, `"valid"`) || !strings.Contains(r.out, says.name) {
			t.Errorf("%s: the permit's picture: code %d\n%s", lang, r.code, r.out)
		}
		b.open(s.Issuer + "/firm")
		b.see(`a[href^="/firm/orders/"]`)
		if page := b.text("document.body.innerText"); !strings.Contains(page, says.name) {
			t.Errorf("%s: no certificate is ordered for the firm:\n%s", lang, page)
		}
		b.open(s.Issuer + "/wallet")
		b.click(".switch summary")
		b.fill(map[string]string{"firm": "self"})
		b.press("act")
		b.verdict("", func() bool {
			return b.text(`document.querySelector(".lead")?.innerText.includes(`+strconv.Quote(says.name)+`) === false`) == "true"
		})
	}
	s.stop(t)
	if last := run(t, "fsck", "--data", dir).last(); !strings.HasSuffix(last, "problems=0") {
		t.Error(last)
	}
}

// tagged wants a page that says how something stands.
func (b tab) tagged(want string) {
	b.t.Helper()
	b.see(".tag")
	if word := b.text(`document.querySelector(".tag").innerText`); word != want {
		b.t.Errorf("it is %q, want %q, at %s", word, want, b.text("location.pathname"))
	}
}
