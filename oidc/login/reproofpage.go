package login

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/signet-city/signet/internal/web"
)

// reproofPage is what code.html sees: first the question for a desk's code, then for a
// new password and a code of the new key.
type reproofPage struct {
	Form     web.Form
	ID       string // names the desk's code
	Username string // people forget it too
	Key      *totpPage
	Done     bool
}

func newReproofPage() *reproofPage {
	return &reproofPage{Form: web.Form{Fields: []web.Field{
		{Name: "code", Label: web.Text{ZH: "窗口代码", EN: "Code of the desk"}, Hint: web.Text{ZH: "10个字符，形如ABCDE-FGHJK，不分大小写", EN: "Ten characters, such as ABCDE-FGHJK, in capitals or not"},
			Required: true, MaxLength: 64},
	}}}
}

// setting makes the page ask for a new password.
func (p *reproofPage) setting(id, username string, secret []byte, sealed string) *reproofPage {
	p.ID, p.Username, p.Key = id, username, totpPageOf(secret, sealed)
	p.Form = web.Form{Fields: append(newPasswordPage().Form.Fields, p.Key.Form.Fields...)}
	return p
}

func reproofOf(p *reproofPage) web.Page {
	page := web.Page{Template: "code", Title: web.Text{ZH: "使用窗口代码恢复账户", EN: "Get your account back with a desk's code"}, Data: p, Wrong: p.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

// waitSeconds tells the client how long to wait, and returns it.
func waitSeconds(w http.ResponseWriter, e *waitError) int {
	seconds := int(math.Ceil(e.wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return seconds
}

func (s *Service) showCode(w http.ResponseWriter, r *http.Request) error {
	page := newReproofPage()
	page.Done = r.URL.Query().Get("done") == "1"
	return s.pages.Render(w, r, reproofOf(page))
}

// takeCode takes a desk's code and asks for what is new. The code is not used up yet:
// who leaves now comes back with it.
func (s *Service) takeCode(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	page := newReproofPage()
	if strings.TrimSpace(form["code"]) == "" {
		page.Form.Blame("code", web.Text{ZH: "请输入窗口代码", EN: "Enter the code of the desk"})
		return s.pages.Render(w, r, reproofOf(page))
	}
	found, err := s.findReproof(r.Context(), form["code"], addressOf(r))
	if tooSoon, ok := errors.AsType[*waitError](err); ok {
		page.Form.Problems = append(page.Form.Problems, tooMany(waitSeconds(w, tooSoon)))
		answer := reproofOf(page)
		answer.Status = http.StatusTooManyRequests
		return s.pages.Render(w, r, answer)
	}
	if errors.Is(err, errReproofCode) && page.Form.BlameFault(err) {
		return s.pages.Render(w, r, reproofOf(page))
	}
	if err != nil {
		return err
	}
	_, account, err := s.accountOf(r.Context(), found.person)
	if err != nil {
		return err
	}
	secret := newTOTPSecret()
	sealed, err := s.sealOffer(r.Context(), reproofOffer(found.ID), secret)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, reproofOf(page.setting(found.ID, account.Username, secret, sealed)))
}

// reproofOffer is what an offer is for that only the right code was answered with. The
// prefix keeps it apart from the ids of sessions and recoveries.
func reproofOffer(id string) string { return "reproof:" + id }

// takeReproofed takes the new password and a code of the new key.
func (s *Service) takeReproofed(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	secret, err := s.openOffer(r.Context(), reproofOffer(form["proof"]), form["offer"])
	if err != nil { // too old, or none
		http.Redirect(w, r, "/login/code", http.StatusSeeOther)
		return nil
	}
	found, err := s.reproofByID(r.Context(), form["proof"])
	if err != nil {
		return err
	}
	_, account, err := s.accountOf(r.Context(), found.person)
	if err != nil {
		return err
	}
	page := newReproofPage().setting(found.ID, account.Username, secret, form["offer"])
	blamePassword(&page.Form, form)
	step, ok := matchTOTP(secret, foldCode(form["otp"]), s.o.Now())
	if !ok {
		page.Form.Blame("otp", errNewCode)
	}
	if page.Form.Wrong() {
		return s.pages.Render(w, r, reproofOf(page))
	}
	v, err := s.recoveryVisit(r)
	if err != nil {
		return err
	}
	if err := s.useReproof(r.Context(), found, foldPassword(form["password"]), secret, step, v); err != nil {
		return err
	}
	http.Redirect(w, r, "/login/code?done=1", http.StatusSeeOther)
	return nil
}
