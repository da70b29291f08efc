package login

import (
	"net/http"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// accountPage is what account.html sees.
type accountPage struct {
	Identity *web.Identity
	Acting   web.Form
	CanAct   bool // there is a firm to act for
	Passkeys []listed
	Allowed  bool // the issuer's host can have passkeys
	Full     bool // no more of them
	Fresh    bool // passkeys may be changed
	Desk     bool
	Reproofs bool   // works at an identity desk
	Done     string // what has just been done: one of a few words
	News     []Entry
	More     []Link
}

// Link is a page that /account leads to besides its own.
type Link struct {
	Path  string
	Label web.Text
}

const mostRadios = 12

func (s *Service) showAccount(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	return s.renderAccount(w, r, id, nil)
}

func (s *Service) renderAccount(w http.ResponseWriter, r *http.Request, id *web.Identity, problem error) error {
	firms, err := s.o.Registry.FirmsOf(r.Context(), id.Person, s.o.Now())
	if err != nil {
		return err
	}
	passkeys, err := s.passkeysOf(r.Context(), id.Person)
	if err != nil {
		return err
	}
	acting := actingForm(firms)
	if id.Firm != "" {
		acting.Fields[0].Value = id.Firm
	}
	page := &accountPage{Identity: id, Acting: acting, CanAct: len(firms) > 0, Passkeys: passkeys,
		Allowed: s.passkeys != nil, Full: len(passkeys) >= maxPasskeys, Fresh: s.checkFresh(id) == nil,
		Desk: len(id.Agencies(web.RoleClerk)) > 0, Reproofs: len(id.Agencies(web.RoleIdentity)) > 0, Done: r.URL.Query().Get("done")}
	if page.News, err = s.News(r.Context(), id.Person, id.Session); err != nil {
		return err
	}
	page.More = s.o.More
	status := 0
	if problem != nil {
		if !page.Acting.BlameFault(problem) {
			return problem
		}
		status = http.StatusBadRequest
	}
	return s.pages.Render(w, r, web.Page{Template: "account", Title: web.Text{ZH: "我的账户", EN: "Your account"}, Status: status,
		Data: page, Wrong: page.Acting.Wrong()})
}

// actingForm offers oneself and some firms.
func actingForm(firms []registry.Firm) web.Form {
	field := web.Field{Name: "firm", Label: web.Text{ZH: "您以谁的名义办理？", EN: "Who are you acting for?"}, Type: "radio", Value: self,
		Options: []web.Option{{Value: self, Label: web.Text{ZH: "本人", EN: "Myself"}}}}
	for _, f := range firms {
		field.Options = append(field.Options, web.Option{Value: f.USCC, Label: web.Text{ZH: f.Name, EN: f.Name}, Hint: web.Text{ZH: f.USCC, EN: f.USCC}})
	}
	return selectable(web.Form{Fields: []web.Field{field}})
}

// selectable makes a select of too many radio buttons.
func selectable(f web.Form) web.Form {
	if len(f.Fields[0].Options) > mostRadios {
		f.Fields[0].Type = "select"
	}
	return f
}

func (s *Service) takeActing(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	firm, next := form["firm"], "/account?done=acting"
	if form["next"] != "" {
		next = localNext(form["next"])
	}
	if firm == "" {
		return s.renderAccount(w, r, id, web.Refuse(fault.Invalid, web.Text{ZH: "请选择您以谁的名义办理", EN: "Choose who you are acting for"}))
	}
	if err := s.ActFor(r.Context(), id.Session, firm); err != nil {
		return s.renderAccount(w, r, id, err)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// findListed returns a passkey of the person by its row's id.
func (s *Service) findListed(r *http.Request, id *web.Identity) (listed, error) {
	list, err := s.passkeysOf(r.Context(), id.Person)
	if err != nil {
		return listed{}, err
	}
	for _, p := range list {
		if p.ID == r.PathValue("id") {
			return p, nil
		}
	}
	return listed{}, errPasskeyGone
}

// removePage is what remove.html sees.
type removePage struct {
	Passkey listed
	Last    bool
}

func (s *Service) askRemove(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.isFresh(w, r, id) {
		return nil
	}
	p, err := s.findListed(r, id)
	if err != nil {
		return err
	}
	list, err := s.passkeysOf(r.Context(), id.Person)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, web.Page{Template: "remove", Title: web.Text{ZH: "移除通行密钥", EN: "Remove passkey"}, Data: removePage{p, len(list) == 1}})
}

func (s *Service) takeRemove(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.isFresh(w, r, id) {
		return nil
	}
	b, err := s.changer(r, id)
	if err != nil {
		return err
	}
	if err := s.removePasskey(r.Context(), id.Person, r.PathValue("id"), b); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?done=passkey-removed", http.StatusSeeOther)
	return nil
}

// takeSeen takes the news off the page.
func (s *Service) takeSeen(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if err := s.Seen(r.Context(), id.Person, form["entry"]); err != nil {
		return err
	}
	http.Redirect(w, r, "/account", http.StatusSeeOther)
	return nil
}
