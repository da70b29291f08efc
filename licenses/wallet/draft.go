package wallet

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// Drafts is where forms are kept that somebody has begun: at the desk too. It finds
// nobody else's, also not of those who act for the same firm.
type Drafts interface {
	// SaveDraft keeps a form as it is. It returns the application's id if the form has
	// been sent in, and then keeps nothing.
	SaveDraft(ctx context.Context, by licenses.Applicant, d licenses.Draft) (application string, err error)
	// FindDraft returns a draft, or the application that it has become.
	FindDraft(ctx context.Context, by licenses.Applicant, id string) (licenses.Draft, error)
	// Drafts returns what they have begun for the holder, without its values.
	Drafts(ctx context.Context, by licenses.Applicant) ([]licenses.Draft, error)
	// DropDraft throws a draft away.
	DropDraft(ctx context.Context, by licenses.Applicant, id string) error
}

// inDraft names a draft: in the address of its form, and in the form that throws it
// away.
const inDraft = "draft"

var textStale = web.Text{ZH: "表单已失效，请核对后重新保存", EN: "The form was out of date: check it and save it again"}

// kept is what the page of a form says of its draft.
type kept struct {
	At  time.Time // when it was saved last
	Now bool      // that was just done
}

// draftRow is a draft in a list.
type draftRow struct {
	ID      string
	Name    web.Text // of the type
	Address string   // where it is gone on with, "" if the type cannot be applied for any more
	At      time.Time
}

// draftRows lists what somebody has begun for a holder.
func (s *Service) draftRows(ctx context.Context, h holder, by licenses.Applicant) ([]draftRow, error) {
	list, err := s.o.Applications.Drafts(ctx, by)
	if err != nil {
		return nil, err
	}
	rows := make([]draftRow, len(list))
	for i, d := range list {
		rows[i] = draftRow{ID: d.ID, Name: web.Text{ZH: d.Type, EN: d.Type}, At: d.Changed}
		if t := typeOf(s.o.Licenses.Types(), d.Type); t != nil {
			rows[i].Name = web.Text(t.Names)
		}
		if typeOf(s.offered(h.kind), d.Type) != nil {
			rows[i].Address = draftAddress(d.Type, d.ID, "")
		}
	}
	return rows, nil
}

func draftAddress(licenseType, id, done string) string {
	q := url.Values{inDraft: {id}}
	if done != "" {
		q.Set("done", done)
	}
	return "/wallet/apply/new/" + url.PathEscape(licenseType) + "?" + q.Encode()
}

// getDraft draws the form of a draft as it was left. A form that has been sent in leads
// to its application.
func (s *Service) getDraft(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) error {
	f, err := s.claimForm(h.kind, r.PathValue("type"))
	if err != nil {
		return err
	}
	d, err := s.o.Applications.FindDraft(r.Context(), by, r.Form.Get(inDraft))
	switch {
	case err != nil:
		return err
	case d.Application != "":
		http.Redirect(w, r, "/wallet/apply/sent/"+url.PathEscape(d.Application), http.StatusSeeOther)
		return nil
	case d.Type != f.Type.ID:
		return fault.New(fault.NotFound, "no such draft")
	}
	offices, err := s.o.Applications.Offices(r.Context(), f.Type.ID)
	if err != nil {
		return err
	}
	page := claimForm(f.Fields(f.GoOn(d), nil), offices, office(url.Values{form.InAgency: {d.Agency}}, offices), d.ID)
	return s.pages.Render(w, r, draftPage(h, f, page, &kept{d.Changed, r.Form.Get("done") == form.Save}))
}

// filled is a form as an applicant has sent it.
type filled struct {
	form    *form.Form
	offices []registry.Agency
	draft   form.Draft
	agency  string // chosen, "" for none
	key     string
}

// postDraft keeps a form as it is. What could not be kept is said; whatever else is
// wrong is said when it is sent in.
func (s *Service) postDraft(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant, in filled) error {
	d := licenses.Draft{ID: in.key, Type: in.form.Type.ID, Agency: in.agency, Values: in.draft.Values}
	application, err := s.o.Applications.SaveDraft(r.Context(), by, d)
	fields, now := in.form.Fields(in.draft, nil), (*kept)(nil)
	switch {
	case fault.KindOf(err) == fault.Invalid:
		in.key = db.NewID()
		fields.Problems = append(fields.Problems, textStale)
	case fault.KindOf(err) == fault.Conflict && fields.BlameFault(err): // too many: nothing is lost from the page
	case err != nil:
		return err
	case application != "":
		http.Redirect(w, r, "/wallet/apply/sent/"+url.PathEscape(application), http.StatusSeeOther)
		return nil
	case len(in.draft.Problems) == 0:
		http.Redirect(w, r, draftAddress(d.Type, d.ID, form.Save), http.StatusSeeOther)
		return nil
	default:
		now = &kept{s.o.Now(), true}
	}
	return s.pages.Render(w, r, draftPage(h, in.form, claimForm(fields, in.offices, in.agency, in.key), now))
}

// draftPage is the page of a form of which k is said. One that was saved is no failure,
// whatever of it could not be kept.
func draftPage(h holder, f *form.Form, page web.Form, k *kept) web.Page {
	p := claimPage(h, f, page)
	p.Data.(*claimData).Kept = k
	if k != nil {
		p.Status = http.StatusOK
	}
	return p
}

// postDrafts throws a draft away.
func (s *Service) postDrafts(w http.ResponseWriter, r *http.Request, _ holder, by licenses.Applicant) error {
	if !r.PostForm.Has("drop") {
		return fault.New(fault.Invalid, "want drop")
	}
	if err := s.o.Applications.DropDraft(r.Context(), by, r.PostForm.Get(inDraft)); err != nil {
		return err
	}
	http.Redirect(w, r, "/wallet/apply", http.StatusSeeOther)
	return nil
}
