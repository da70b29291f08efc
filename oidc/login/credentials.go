package login

import (
	"context"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// changer returns the person at a browser as somebody who changes their account.
func (s *Service) changer(r *http.Request, id *web.Identity) (by, error) {
	v, err := s.visitOf(r, true)
	return by{actor: "person:" + id.Person, session: id.Session, visit: v}, err
}

// isFresh answers with the way to sign in again, and reports false, if the person has
// proved themselves too long ago to change their account.
func (s *Service) isFresh(w http.ResponseWriter, r *http.Request, id *web.Identity) bool {
	if s.checkFresh(id) == nil {
		return true
	}
	next := "/account"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		next = r.URL.EscapedPath()
	}
	http.Redirect(w, r, "/login?reauth=1&next="+next, http.StatusSeeOther)
	return false
}

// change writes what a person changes of their account, with its event and the entry
// of the history. It also ends the person's other sessions where others says so.
func (s *Service) change(ctx context.Context, person string, kind Kind, b by, others bool, f func(tx db.Tx) error) error {
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := holdSession(ctx, tx, person, b.session); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		if others {
			if err := s.endOthers(ctx, tx, person, b); err != nil {
				return err
			}
		}
		// A code that was stolen is of no use any more once its owner has changed a secret.
		if others || kind == RecoveryCodesMade {
			if err := s.stopRecoveries(ctx, tx, person, b); err != nil {
				return err
			}
		}
		_, err := audit.Append(ctx, tx, audit.Event{Kind: "login.account." + string(kind), Actor: b.actor, Object: "person:" + person})
		if err != nil {
			return err
		}
		return s.remember(ctx, tx, person, kind, b)
	})
}

// holdSession makes sure that a session still stands, and keeps its account as it is
// until the transaction ends: whoever was signed out while their change was under way
// changes nothing any more. It fails with ErrSession; no session, "", is none to check.
func holdSession(ctx context.Context, tx db.Tx, person, session string) error {
	if session == "" {
		return nil
	}
	open, err := holdAccount(ctx, tx, person)
	if err != nil {
		return err
	}
	if !open {
		return ErrSession
	}
	return stands(ctx, tx, person, session)
}

// stands looks for a person's session after their account is held, in a statement of
// its own: it sees what was committed before. It fails with ErrSession.
func stands(ctx context.Context, tx db.Tx, person, session string) error {
	var one int
	return noRows(tx.QueryRowContext(ctx, `SELECT 1 FROM login_sessions WHERE id = $1 AND person = $2`, session, person).Scan(&one), ErrSession)
}

// changePassword replaces a person's password and ends their other sessions. It fails
// with kind Invalid for a password that is none.
func (s *Service) changePassword(ctx context.Context, person, password string, b by) error {
	password = foldPassword(password)
	if err := checkPassword(password); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.change(ctx, person, PasswordChanged, b, true, func(tx db.Tx) error {
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET password = $2 WHERE person = $1 AND disabled = 0`, person, hash))
		if err == nil && n == 0 {
			err = ErrSession
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return nil
}

// passwordPage is what password.html sees.
type passwordPage struct{ Form web.Form }

func newPasswordPage() *passwordPage {
	return &passwordPage{web.Form{Fields: []web.Field{
		{Name: "password", Type: "password", Label: web.Text{ZH: "新密码", EN: "New password"}, Autocomplete: "new-password", Required: true, MaxLength: 256,
			Hint: web.Text{ZH: fmt.Sprintf("%d至%d个字符，可用词语或句子", minPassword, maxPassword), EN: fmt.Sprintf("%d to %d characters. A few words make a good one", minPassword, maxPassword)}},
		{Name: "again", Type: "password", Label: web.Text{ZH: "再次输入新密码", EN: "The new password once more"}, Autocomplete: "new-password", Required: true, MaxLength: 256},
	}}}
}

// blamePassword says what is wrong with a new password.
func blamePassword(f *web.Form, form map[string]string) {
	switch {
	case checkPassword(foldPassword(form["password"])) != nil:
		f.Blame("password", web.Text{ZH: fmt.Sprintf("密码应为%d至%d个字符", minPassword, maxPassword), EN: fmt.Sprintf("A password has %d to %d characters", minPassword, maxPassword)})
	case form["password"] != form["again"]:
		f.Blame("again", web.Text{ZH: "两次输入的密码不一致", EN: "The two passwords differ"})
	}
}

func passwordOf(p *passwordPage) web.Page {
	page := web.Page{Template: "password", Title: web.Text{ZH: "更改密码", EN: "Change your password"}, Data: p, Wrong: p.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

func (s *Service) showPassword(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.isFresh(w, r, id) {
		return nil
	}
	return s.pages.Render(w, r, passwordOf(newPasswordPage()))
}

func (s *Service) takePassword(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if !s.isFresh(w, r, id) {
		return nil
	}
	page := newPasswordPage()
	blamePassword(&page.Form, form)
	if page.Form.Wrong() {
		return s.pages.Render(w, r, passwordOf(page))
	}
	b, err := s.changer(r, id)
	if err != nil {
		return err
	}
	if err := s.changePassword(r.Context(), id.Person, form["password"], b); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?done=password", http.StatusSeeOther)
	return nil
}

// offer is a secret of one-time codes that a person has been shown and not yet taken.
// It waits sealed in their page: nothing is stored until they prove that they have it.
type offer struct {
	Session string `json:"session"`
	Until   int64  `json:"until"`
	Secret  []byte `json:"secret"`
}

const (
	offerLabel = "login.offer"
	offerLife  = 10 * time.Minute
)

// errOffer says that a page with a new secret is too old, or another session's.
var errOffer = errors.New("the offer is not good")

// sealOffer makes one for a session, or for a recovery.
func (s *Service) sealOffer(ctx context.Context, session string, secret []byte) (string, error) {
	plain, err := json.Marshal(offer{session, db.Micros(s.o.Now().Add(offerLife)), secret})
	if err != nil {
		return "", errors.New("encode offer")
	}
	sealed, err := s.o.Sealer.Seal(ctx, plain, []byte(offerLabel))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (s *Service) openOffer(ctx context.Context, session, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) == 0 {
		return nil, errOffer
	}
	plain, err := s.o.Sealer.Open(ctx, sealed, []byte(offerLabel))
	var o offer
	if err != nil || json.Unmarshal(plain, &o) != nil || o.Session != session || !s.o.Now().Before(db.Time(o.Until)) || len(o.Secret) != totpSize {
		return nil, errOffer
	}
	return o.Secret, nil
}

// totpPage is what totp.html sees.
type totpPage struct {
	Secret string // in groups of four
	Link   string // for an authenticator app on the same device
	Offer  string
	Form   web.Form
}

func (s *Service) newTOTPPage(ctx context.Context, id *web.Identity, secret []byte) (*totpPage, error) {
	sealed, err := s.sealOffer(ctx, id.Session, secret)
	if err != nil {
		return nil, err
	}
	return totpPageOf(secret, sealed), nil
}

func totpPageOf(secret []byte, sealed string) *totpPage {
	text := totpEncoding.EncodeToString(secret)
	p := &totpPage{Offer: sealed, Link: "otpauth://totp/Signet?secret=" + text + "&issuer=Signet", Form: web.Form{Fields: []web.Field{
		{Name: "otp", Label: web.Text{ZH: "新密钥生成的动态验证码", EN: "Six-digit code of the new key"}, Autocomplete: "one-time-code", InputMode: "numeric", Required: true, MaxLength: 16}}}}
	for i := 0; i < len(text); i += 4 {
		p.Secret = strings.TrimSpace(p.Secret + " " + text[i:min(i+4, len(text))])
	}
	return p
}

// errNewCode is said of a code that the new key does not make.
var errNewCode = web.Text{ZH: "验证码不正确，请确认应用中已添加新密钥", EN: "The code is not correct. Make sure that your app has the new key"}

func totpOf(p *totpPage) web.Page {
	page := web.Page{Template: "totp", Title: web.Text{ZH: "更换动态验证码密钥", EN: "A new key for your codes"}, Data: p, Wrong: p.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

func (s *Service) showTOTP(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.isFresh(w, r, id) {
		return nil
	}
	page, err := s.newTOTPPage(r.Context(), id, newTOTPSecret())
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, totpOf(page))
}

func (s *Service) takeTOTP(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if !s.isFresh(w, r, id) {
		return nil
	}
	secret, err := s.openOffer(r.Context(), id.Session, form["offer"])
	if err != nil {
		http.Redirect(w, r, "/account/totp", http.StatusSeeOther)
		return nil
	}
	step, ok := matchTOTP(secret, foldCode(form["otp"]), s.o.Now())
	if !ok {
		page := totpPageOf(secret, form["offer"])
		page.Form.Blame("otp", errNewCode)
		return s.pages.Render(w, r, totpOf(page))
	}
	b, err := s.changer(r, id)
	if err != nil {
		return err
	}
	if err := s.changeTOTP(r.Context(), id.Person, secret, step, b); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?done=totp", http.StatusSeeOther)
	return nil
}

// changeTOTP replaces the secret of a person's one-time codes, uses up the step of the
// code that proved it, and ends their other sessions. It fails with kind Conflict if
// the account was changed meanwhile.
func (s *Service) changeTOTP(ctx context.Context, person string, secret []byte, step int64, b by) error {
	var old []byte
	err := s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT sealed FROM login_accounts WHERE person = $1`, person).Scan(&old)
	})
	if err != nil {
		return fmt.Errorf("change key of codes: %w", err)
	}
	account, err := s.openAccount(ctx, person, old)
	if err != nil {
		return fmt.Errorf("change key of codes: %w", err)
	}
	account.TOTP = secret
	sealed, err := s.sealAccount(ctx, person, account)
	if err != nil {
		return fmt.Errorf("change key of codes: %w", err)
	}
	err = s.change(ctx, person, CodesChanged, b, true, func(tx db.Tx) error {
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET sealed = $3, totp_step = $4 WHERE person = $1 AND sealed = $2 AND disabled = 0`,
			person, old, sealed, step))
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "the account was changed meanwhile, try again")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("change key of codes: %w", err)
	}
	return nil
}
