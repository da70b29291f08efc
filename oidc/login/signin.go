package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// errCredentials refuses a sign-in whatever is wrong with it.
var errCredentials = web.Refuse(fault.Denied, web.Text{ZH: "用户名、密码或验证码不正确。验证码每30秒更换一次，且只能使用一次。",
	EN: "The username, password or code is not correct. A code changes every 30 seconds and works once."})

// waitError refuses a try before its time.
type waitError struct{ wait time.Duration }

// Error implements error.
func (e *waitError) Error() string { return "too many tries" }

// credentials are what a person types.
type credentials struct{ username, password, code string }

// signInByPassword begins a session for the owner of the account. It fails with
// errCredentials and *waitError.
func (s *Service) signInByPassword(ctx context.Context, c credentials, address string, v visit) (cookie string, err error) {
	username := foldUsername(c.username)
	back, err := s.admit(ctx, username, address, v.device)
	if err != nil {
		if _, ok := errors.AsType[*waitError](err); ok {
			s.metrics.refused(methodPassword, reasonLimit)
		}
		return "", err
	}
	p, err := s.prove(ctx, username, foldPassword(c.password), foldCode(c.code))
	if err == nil {
		cookie, err = s.begin(ctx, p, v)
	}
	switch {
	case err == nil && cookie == "": // the code was used
		err = errCredentials
	case err == nil:
		back()
		return cookie, nil
	}
	if errors.Is(err, errCredentials) {
		s.metrics.refused(methodPassword, reasonCredentials)
	} else {
		back()
	}
	return "", err
}

// account is a row of login_accounts.
type account struct {
	person, password string
	sealed           []byte
}

// prove checks username, password and code, with the same work for a username
// that nobody has. Nothing is used up unless all three are right.
func (s *Service) prove(ctx context.Context, username, password, code string) (proof, error) {
	a, err := s.findAccount(ctx, username)
	if err != nil {
		return proof{}, err
	}
	stored := s.hasher.nobody
	if a != nil {
		stored = a.password
	}
	right, stale, err := s.hasher.verify(ctx, stored, password)
	if err != nil {
		return proof{}, err
	}
	secret := make([]byte, totpSize)
	if a != nil {
		opened, err := s.openAccount(ctx, a.person, a.sealed)
		if err != nil {
			return proof{}, err
		}
		secret = opened.TOTP
	}
	step, match := matchTOTP(secret, code, s.o.Now())
	if a == nil || !right || !match {
		return proof{}, errCredentials
	}
	renewed := a.password
	if stale {
		if renewed, err = s.hasher.hash(ctx, password); err != nil {
			return proof{}, err
		}
	}
	return passwordProof(a, step, renewed), nil
}

// passwordProof is a person proved by password and the code of a time step. A step
// counts once, and none before it any more (RFC 6238 section 5.2).
func passwordProof(a *account, step int64, renewed string) proof {
	return proof{person: a.person, method: byPassword,
		use: func(ctx context.Context, tx db.Tx) (bool, error) {
			n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET totp_step = $3, password = $4
				WHERE person = $1 AND password = $2 AND totp_step < $3 AND disabled = 0`, a.person, a.password, step, renewed))
			return n == 1, err
		}}
}

// findAccount returns the account with a folded username, nil if there is none.
func (s *Service) findAccount(ctx context.Context, username string) (*account, error) {
	lookups, err := s.lookups(ctx, username)
	if err != nil {
		return nil, err
	}
	var a *account
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		a, err = accountUnder(ctx, tx, lookups)
		return err
	})
	return a, err
}

func keyOf(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// signInPage is what login.html sees.
type signInPage struct {
	Form     web.Form
	Next     string
	ACR      string // the level that was asked for, "" for any
	Passkeys bool   // the issuer's host can have them
	Again    bool   // somebody is signed in and proves themselves again
	Only     bool   // nothing but a passkey reaches the level
	None     bool   // whoever is signed in has no passkey
}

func newSignInPage(next, acr string, again bool) *signInPage {
	return &signInPage{Next: next, ACR: asked(acr), Again: again, Form: web.Form{Fields: []web.Field{
		{Name: "username", Label: web.Text{ZH: "用户名", EN: "Username"}, Autocomplete: "username webauthn", Required: true, MaxLength: 64},
		{Name: "password", Label: web.Text{ZH: "密码", EN: "Password"}, Type: "password", Autocomplete: "current-password", Required: true, MaxLength: 256},
		{Name: "otp", Label: web.Text{ZH: "动态验证码", EN: "Six-digit code"}, Hint: web.Text{ZH: "身份验证器应用中显示的6位数字", EN: "As your authenticator app shows it"},
			Autocomplete: "one-time-code", InputMode: "numeric", Required: true, MaxLength: 16},
	}}}
}

// localNext returns where to go after signing in.
func localNext(next string) string {
	switch {
	case next == "":
		return "/account"
	case len(next) > maxNext:
		return "/"
	}
	return web.LocalPath(next)
}

// showSignIn asks whoever is at the browser to prove themselves, unless they are
// signed in and that does.
func (s *Service) showSignIn(w http.ResponseWriter, r *http.Request) error {
	q, id := r.URL.Query(), web.IdentityOf(r.Context())
	page := newSignInPage(localNext(q.Get("next")), q.Get("acr"), id != nil && q.Get("other") != "1")
	if id != nil && q.Get("reauth") != "1" && q.Get("other") != "1" && (page.ACR == "" || reaches(id.ACR, page.ACR)) {
		http.Redirect(w, r, page.Next, http.StatusSeeOther)
		return nil
	}
	if q.Get("problem") == "other" && page.Again {
		page.Form.BlameFault(errOther)
	}
	return s.renderSignIn(w, r, page, 0)
}

func (s *Service) renderSignIn(w http.ResponseWriter, r *http.Request, page *signInPage, status int) error {
	page.Passkeys, page.Only = s.passkeys != nil, page.ACR != "" && !reaches(byPassword.acr, page.ACR)
	if id := web.IdentityOf(r.Context()); id != nil && page.Only && page.Again {
		list, err := s.passkeysOf(r.Context(), id.Person)
		if err != nil {
			return err
		}
		page.None = len(list) == 0
	}
	return s.pages.Render(w, r, web.Page{Template: "login", Title: web.Text{ZH: "登录", EN: "Sign in"}, Status: status, Data: page,
		Wrong: page.Form.Wrong(), FormTo: s.o.FormTo(r.Context(), page.Next)})
}

func (s *Service) takeSignIn(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	again := form["again"] != "" && web.IdentityOf(r.Context()) != nil
	page := newSignInPage(localNext(form["next"]), form["acr"], again)
	page.Form.Field("username").Value = form["username"]
	page.blameMissing(form)
	if page.Form.Wrong() {
		return s.renderSignIn(w, r, page, http.StatusBadRequest)
	}
	v, err := s.visitOf(r, again)
	if err != nil {
		return err
	}
	cookie, err := s.signInByPassword(r.Context(), credentials{form["username"], form["password"], form["otp"]}, addressOf(r), v)
	if err != nil {
		return s.refuseSignIn(w, r, page, err)
	}
	known, err := s.learn(r.Context(), v.device, keyOf(foldUsername(form["username"])))
	if err != nil {
		return err
	}
	setCookie(w, sessionCookie, cookie, 0)
	if known != "" {
		setCookie(w, deviceCookie, known, deviceLife)
	}
	http.Redirect(w, r, page.after(byPassword), http.StatusSeeOther)
	return nil
}

// after returns where somebody goes who has proved themselves by m: on, or back to
// this page if that does not reach the level that was asked for. The page then says
// what does.
func (p *signInPage) after(m method) string {
	if p.ACR == "" || reaches(m.acr, p.ACR) {
		return p.Next
	}
	return p.address()
}

// address returns where whoever is signed in is asked the same again, with more
// parameters.
func (p *signInPage) address(more ...string) string {
	q := url.Values{"reauth": {"1"}, "next": {p.Next}}
	if p.ACR != "" {
		q.Set("acr", p.ACR)
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "/login?" + q.Encode()
}

// refuseSignIn shows the form again with what was wrong.
func (s *Service) refuseSignIn(w http.ResponseWriter, r *http.Request, page *signInPage, err error) error {
	if tooSoon, ok := errors.AsType[*waitError](err); ok {
		seconds := int(math.Ceil(tooSoon.wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		page.Form.Problems = append(page.Form.Problems, tooMany(seconds))
		return s.renderSignIn(w, r, page, http.StatusTooManyRequests)
	}
	if (errors.Is(err, errCredentials) || errors.Is(err, errOther)) && page.Form.BlameFault(err) {
		return s.renderSignIn(w, r, page, http.StatusBadRequest)
	}
	return err
}

func tooMany(seconds int) web.Text {
	return web.Text{ZH: fmt.Sprintf("尝试次数过多，请在%d秒后再试。", seconds), EN: fmt.Sprintf("Too many tries. Try again in %d seconds.", seconds)}
}

// blameMissing asks for every field that is empty.
func (p *signInPage) blameMissing(form map[string]string) {
	for name, text := range map[string]web.Text{
		"username": {ZH: "请输入用户名", EN: "Enter your username"},
		"password": {ZH: "请输入密码", EN: "Enter your password"},
		"otp":      {ZH: "请输入动态验证码", EN: "Enter the six-digit code"},
	} {
		if strings.TrimSpace(form[name]) == "" {
			p.Form.Blame(name, text)
		}
	}
}

// readForm returns the fields of a form in a body. It fails with kind TooLarge or
// Invalid for one that is too large, not encoded as it says, or has a field twice
// or too long.
func readForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if err := web.ParseForm(w, r, maxBody); err != nil {
		return nil, err
	}
	form := map[string]string{}
	for name, values := range r.PostForm {
		if len(values) != 1 || len(values[0]) > maxField {
			return nil, fault.New(fault.Invalid, "the form has a field twice, or one that is too long")
		}
		form[name] = values[0]
	}
	return form, nil
}
