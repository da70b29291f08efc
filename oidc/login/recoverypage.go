package login

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/web"
)

// recoverPage is what recover.html sees: first the question for a code, then the wait,
// then the question for a new password and a code of the new key.
type recoverPage struct {
	Form  web.Form
	Ready time.Time // the wait's end, zero where there is none
	Key   *totpPage // the new key, nil until it is time
	Done  bool
}

func newRecoverPage() *recoverPage {
	return &recoverPage{Form: web.Form{Fields: []web.Field{
		{Name: "username", Label: web.Text{ZH: "用户名", EN: "Username"}, Autocomplete: "username", Required: true, MaxLength: 64},
		{Name: "code", Label: web.Text{ZH: "恢复码", EN: "Recovery code"}, Hint: web.Text{ZH: "形如ABCD-EFGH-IJKL-MNOP", EN: "Such as ABCD-EFGH-IJKL-MNOP"}, Required: true, MaxLength: 64},
	}}}
}

// setting makes the page ask for a new password.
func (p *recoverPage) setting(secret []byte, sealed string) *recoverPage {
	p.Key = totpPageOf(secret, sealed)
	p.Form = web.Form{Fields: append(newPasswordPage().Form.Fields, p.Key.Form.Fields...)}
	return p
}

func recoverOf(p *recoverPage) web.Page {
	page := web.Page{Template: "recover", Title: web.Text{ZH: "恢复账户", EN: "Get your account back"}, Data: p, Wrong: p.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

func (s *Service) showRecover(w http.ResponseWriter, r *http.Request) error {
	found, err := s.findRecovery(r.Context(), cookieHash(r, recoveryCookie))
	if err != nil {
		return err
	}
	page := newRecoverPage()
	switch {
	case r.URL.Query().Get("done") == "1":
		page.Done = true
	case found == nil:
	case s.o.Now().Before(found.ready):
		page.Ready = found.ready
	default:
		secret := newTOTPSecret()
		sealed, err := s.sealOffer(r.Context(), found.id, secret)
		if err != nil {
			return err
		}
		page.setting(secret, sealed)
	}
	return s.pages.Render(w, r, recoverOf(page))
}

// takeRecover takes a code and begins to wait.
func (s *Service) takeRecover(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	page := newRecoverPage()
	page.Form.Field("username").Value = form["username"]
	for name, text := range map[string]web.Text{"username": {ZH: "请输入用户名", EN: "Enter your username"}, "code": {ZH: "请输入恢复码", EN: "Enter a recovery code"}} {
		if strings.TrimSpace(form[name]) == "" {
			page.Form.Blame(name, text)
		}
	}
	if page.Form.Wrong() {
		return s.pages.Render(w, r, recoverOf(page))
	}
	v, err := s.recoveryVisit(r)
	if err != nil {
		return err
	}
	cookie, err := s.beginRecovery(r.Context(), form["username"], form["code"], addressOf(r), v)
	if tooSoon, ok := errors.AsType[*waitError](err); ok {
		seconds := int(math.Ceil(tooSoon.wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		page.Form.Problems = append(page.Form.Problems, tooMany(seconds))
		answer := recoverOf(page)
		answer.Status = http.StatusTooManyRequests
		return s.pages.Render(w, r, answer)
	}
	if errors.Is(err, errRecovery) && page.Form.BlameFault(err) {
		return s.pages.Render(w, r, recoverOf(page))
	}
	if err != nil {
		return err
	}
	setCookie(w, recoveryCookie, cookie, recoveryWait+recoveryLife)
	http.Redirect(w, r, "/login/recover", http.StatusSeeOther)
	return nil
}

// takeRecovered takes the new password and a code of the new key.
func (s *Service) takeRecovered(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	found, err := s.findRecovery(r.Context(), cookieHash(r, recoveryCookie))
	if err != nil {
		return err
	}
	if found == nil {
		return errRecoveryOver
	}
	secret, err := s.openOffer(r.Context(), found.id, form["offer"])
	if err != nil || s.o.Now().Before(found.ready) {
		http.Redirect(w, r, "/login/recover", http.StatusSeeOther)
		return nil
	}
	page := newRecoverPage().setting(secret, form["offer"])
	blamePassword(&page.Form, form)
	step, ok := matchTOTP(secret, foldCode(form["otp"]), s.o.Now())
	if !ok {
		page.Form.Blame("otp", errNewCode)
	}
	if page.Form.Wrong() {
		return s.pages.Render(w, r, recoverOf(page))
	}
	v, err := s.recoveryVisit(r)
	if err != nil {
		return err
	}
	if err := s.completeRecovery(r.Context(), found, foldPassword(form["password"]), secret, step, v); err != nil {
		return err
	}
	setCookie(w, recoveryCookie, "", -1e9)
	http.Redirect(w, r, "/login/recover?done=1", http.StatusSeeOther)
	return nil
}
