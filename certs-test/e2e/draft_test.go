package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
)

const saveButton = "button[value=save]"

// TestDrafts leaves forms half filled in, at the desk and in the wallet, goes on with
// them from the lists, and ends one by sending it in and one by throwing it away.
func TestDrafts(t *testing.T) {
	s := demo(t, filepath.Join(t.TempDir(), "city"), anyPort...)
	firm := s.Firms[0]
	clerk, _ := s.clerksOf(t, agency)
	desk, b := tab{t, testkit.Browser(t)}, tab{t, testkit.Browser(t)}

	desk.open(s.Issuer + "/desk/food-business/new")
	desk.signIn(clerk)
	desk.see("[name=trade_name]")
	desk.fill(map[string]string{"trade_name": "老灶", "seats": "-3"})
	desk.click(saveButton)
	desk.see(".notice.good[role=status]")
	desk.open(s.Issuer + "/desk?lang=en")
	desk.click(`a[href*="draft="]`)
	desk.see("[name=trade_name]")
	if name, seats := desk.text(`document.getElementById("trade_name").value`), desk.text(`document.getElementById("seats").value`); name != "老灶" || seats != "-3" {
		t.Errorf("gone on with, it says %q and %q", name, seats)
	}
	address := desk.text("location.href")
	desk.fill(food(firm.USCC))
	desk.press("submit")
	desk.see(".panel")
	application := desk.text("location.pathname")
	desk.open(s.Issuer + "/desk")
	desk.see(".cards")
	if desk.text(`document.querySelector('a[href*="draft="]')`) != "null" {
		t.Error("it was submitted and is a draft")
	}
	desk.open(address)
	desk.see("dl.summary")
	if at := desk.text("location.pathname"); at != application {
		t.Errorf("the draft's address leads to %s, want %s", at, application)
	}

	b.open(s.Issuer + "/wallet")
	b.signIn(s.citizen(t, firm.Delegates[len(firm.Delegates)-1]))
	b.see(".switch summary")
	b.click(".switch summary")
	b.fill(map[string]string{"firm": firm.USCC})
	b.press("act")
	b.click(`a[href="/wallet/apply"]`)
	b.click(`a[href="/wallet/apply/new/food-business"]`)
	b.see("[name=trade_name]")
	b.fill(map[string]string{"trade_name": "老灶", "agency": agency})
	b.click(saveButton)
	b.see(".notice.good[role=status]")
	mine := b.text("location.href")
	if !strings.Contains(mine, "draft=") {
		t.Fatalf("saving led to %s", mine)
	}
	b.open(s.Issuer + "/wallet/apply")
	b.click(`a[href*="draft="]`)
	b.see("[name=trade_name]")
	if got := b.text(`document.getElementById("trade_name").value + " " + document.querySelector("[name=agency]:checked, select[name=agency]").value`); got != "老灶 "+agency {
		t.Errorf("gone on with, it says %q", got)
	}
	b.open(s.Issuer + "/wallet/apply")
	b.click("td details summary")
	b.press("drop")
	b.see(".cards")
	b.open(mine)
	b.see("h1")
	if b.text(`document.querySelector("[name=trade_name]")`) != "null" {
		t.Error("what was thrown away is there")
	}
}
