package wallet

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// Applications is where holders' applications go: the desk. Whom an applicant may
// apply for is checked there once more.
type Applications interface {
	// Offices returns the agencies that may issue licences of a type now.
	Offices(ctx context.Context, licenseType string) ([]registry.Agency, error)
	// Apply submits a claim once for each key, and returns the application's id or
	// everything that is wrong with the claim.
	Apply(ctx context.Context, by licenses.Applicant, c licenses.Claim) (id string, problems []licenses.Problem, err error)
	// AppliedFor returns the newest applications of a holder.
	AppliedFor(ctx context.Context, by licenses.Applicant) ([]licenses.Applied, error)
	// Applied returns one of them with its messages.
	Applied(ctx context.Context, by licenses.Applicant, id string) (licenses.Applied, error)
	// Answer answers the agency's question, once for each key.
	Answer(ctx context.Context, by licenses.Applicant, id, key, text string) error
	// Attach adds a file to an application that waits, once for each key.
	Attach(ctx context.Context, by licenses.Applicant, id string, f licenses.File) error
	// Attachment returns a file of an application.
	Attachment(ctx context.Context, by licenses.Applicant, id, file string) (licenses.Attached, error)
	// Withdraw takes back an application that waits.
	Withdraw(ctx context.Context, by licenses.Applicant, id string) error
	Drafts
}

const maxForm = 64 << 10 // bytes of a form

var errLost = web.Refuse(fault.Denied, web.Text{ZH: "您对该企业的授权已失效。请在“我的证照”切换后再办理。",
	EN: "Your delegation for that firm is no longer in force. Switch on “My permits” first."})

// applying is a handler of somebody who applies: h is for whom.
type applying func(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) error

func (s *Service) mountApply(mux *http.ServeMux) {
	for pattern, serve := range map[string]applying{
		"GET /wallet/apply":             s.getApply,
		"GET /wallet/apply/new/{type}":  s.getClaim,
		"POST /wallet/apply/new/{type}": s.postClaim,
		"GET /wallet/apply/sent/{id}":   s.getSent,
		"POST /wallet/apply/sent/{id}":  s.postSent,
		postAttachment:                  s.postAttachment,
		"POST /wallet/apply/drafts":     s.postDrafts,

		"GET /wallet/apply/sent/{id}/attachments/{file}": s.getAttachment,
	} {
		mux.Handle(pattern, s.pages.SignedIn(func(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
			h, err := s.holder(r.Context(), id)
			if err != nil {
				return err
			}
			if h.Lost {
				return errLost
			}
			if pattern == postAttachment {
				err = web.ParseFiles(w, r, form.MaxUpload)
			} else {
				err = web.ParseForm(w, r, maxForm)
			}
			if err != nil {
				return err
			}
			return serve(w, r, h, licenses.Applicant{Person: id.Person, Kind: h.kind, Holder: h.ref})
		}))
	}
}

// offered returns the types that such a holder may apply for, in order.
func (s *Service) offered(kind string) (list []*licenses.Type) {
	for _, t := range s.o.Licenses.Types() {
		if t.Apply && t.Holder == kind {
			list = append(list, t)
		}
	}
	return list
}

// claimForm returns the form of a type that such a holder may apply for.
func (s *Service) claimForm(kind, licenseType string) (*form.Form, error) {
	t := typeOf(s.offered(kind), licenseType)
	if t == nil {
		return nil, fault.New(fault.NotFound, "no such licence type")
	}
	f, err := form.New(t)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, "no such licence type", err)
	}
	return f.ForHolder(), nil
}

func (s *Service) getClaim(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) error {
	if r.Form.Has(inDraft) {
		return s.getDraft(w, r, h, by)
	}
	f, err := s.claimForm(h.kind, r.PathValue("type"))
	if err != nil {
		return err
	}
	offices, err := s.o.Applications.Offices(r.Context(), f.Type.ID)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, claimPage(h, f, claimForm(f.Fields(form.Draft{}, nil), offices, "", db.NewID())))
}

func (s *Service) postClaim(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) error {
	if !h.isOf(r.PostForm) {
		return errSwitched
	}
	f, err := s.claimForm(h.kind, r.PathValue("type"))
	if err != nil {
		return err
	}
	offices, err := s.o.Applications.Offices(r.Context(), f.Type.ID)
	if err != nil {
		return err
	}
	d, agency, key := f.Read(r.PostForm), office(r.PostForm, offices), r.PostForm.Get(form.InKey)
	if form.Saves(r.PostForm) {
		return s.postDraft(w, r, h, by, filled{f, offices, d, agency, key})
	}
	claim := licenses.Claim{Type: f.Type.ID, Agency: agency, Key: key, Data: d.Request.Data, Wrong: len(d.Problems) > 0 || agency == ""}
	if agency == "" && len(offices) > 0 {
		claim.Agency = offices[0].ID // every error at once: whoever is asked, the data have to be right
	}
	id, problems, err := s.o.Applications.Apply(r.Context(), by, claim)
	if err != nil {
		return err
	}
	if id != "" {
		http.Redirect(w, r, "/wallet/apply/sent/"+id, http.StatusSeeOther)
		return nil
	}
	page := claimForm(f.Fields(d, problems), offices, agency, key)
	if agency == "" {
		page.Blame(form.InAgency, web.Text{ZH: "请选择发证机关", EN: "Choose an agency"})
	}
	return s.pages.Render(w, r, claimPage(h, f, page))
}

// office returns the chosen agency, "" unless it is one of those that may issue.
func office(values url.Values, offices []registry.Agency) string {
	chosen := values[form.InAgency]
	for _, a := range offices {
		if len(chosen) == 1 && a.ID == chosen[0] {
			return a.ID
		}
	}
	return ""
}

func (s *Service) getSent(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) error {
	a, err := s.o.Applications.Applied(r.Context(), by, r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.drawSent(w, r, h, a, answerForm(a, db.NewID()), nil)
}

// drawSent draws an application. wrong is what is wrong with a file that was just sent.
func (s *Service) drawSent(w http.ResponseWriter, r *http.Request, h holder, a licenses.Applied, answer *web.Form, wrong error) error {
	sent, err := s.sent(r.Context(), a)
	if err != nil {
		return err
	}
	if wrong != nil && (sent.Attach == nil || !sent.Attach.BlameFault(wrong)) {
		return wrong
	}
	return s.pages.Render(w, r, sentPage(h, sent, answer))
}

// postAttachment is the one form with a file.
const postAttachment = "POST /wallet/apply/sent/{id}/attachments"

func (s *Service) postAttachment(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) error {
	id := r.PathValue("id")
	f, err := form.ReadFile(r)
	if err == nil {
		err = s.o.Applications.Attach(r.Context(), by, id, f)
	}
	if fault.KindOf(err) == fault.Invalid {
		if a, found := s.o.Applications.Applied(r.Context(), by, id); found == nil {
			return s.drawSent(w, r, h, a, answerForm(a, db.NewID()), err)
		}
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/wallet/apply/sent/"+url.PathEscape(id), http.StatusSeeOther)
	return nil
}

func (s *Service) getAttachment(w http.ResponseWriter, r *http.Request, _ holder, by licenses.Applicant) error {
	a, err := s.o.Applications.Attachment(r.Context(), by, r.PathValue("id"), r.PathValue("file"))
	if err != nil {
		return err
	}
	return form.WriteFile(w, a)
}

// postSent answers a question or withdraws the application, by the button pressed.
func (s *Service) postSent(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) (err error) {
	id := r.PathValue("id")
	switch answer, withdraw := r.PostForm.Has("answer"), r.PostForm.Has("withdraw"); {
	case answer == withdraw:
		return fault.New(fault.Invalid, "want either answer or withdraw")
	case withdraw:
		err = s.o.Applications.Withdraw(r.Context(), by, id)
	default:
		key, text := r.PostForm.Get(form.InKey), r.PostForm.Get(inMessage)
		err = s.o.Applications.Answer(r.Context(), by, id, key, text)
		if fault.KindOf(err) == fault.Invalid {
			a, found := s.o.Applications.Applied(r.Context(), by, id)
			if again := answerForm(a, db.NewID()); found == nil && again != nil && again.BlameFault(err) {
				again.Field(inMessage).Value = strings.Map(form.Visible, strings.Join(strings.Fields(text), " "))
				return s.drawSent(w, r, h, a, again, nil)
			}
		}
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/wallet/apply/sent/"+url.PathEscape(id), http.StatusSeeOther)
	return nil
}
