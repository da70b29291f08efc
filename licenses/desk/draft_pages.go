package desk

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses/form"
)

// inDraft names a draft: in the address of its form, and in the form that throws it
// away.
const inDraft = "draft"

// kept is what the page of a form says of its draft.
type kept struct {
	At  time.Time // when it was saved last
	Now bool      // that was just done
}

// draftRow is a draft in a list.
type draftRow struct {
	ID      string
	Type    web.Text
	Address string // where it is gone on with
	Agency  string // at whose desk it is, "" for a clerk who has no other
	At      time.Time
}

// draftList is what the template "drafts" sees.
type draftList struct {
	First, Rest []draftRow
}

// draftList lists what the clerk has begun for their agency.
func (s *Service) draftList(ctx context.Context, c *clerk) (list draftList, err error) {
	found, err := s.drafts(ctx, c.person, shelf{agency: c.agency.ID})
	if err != nil {
		return list, err
	}
	rows := make([]draftRow, len(found))
	for i, d := range found {
		rows[i] = draftRow{ID: d.ID, Type: s.typeName(d.Type), Address: c.at("/desk/"+d.Type+"/new", inDraft, d.ID), At: d.Changed}
		if len(c.agencies) > 1 {
			rows[i].Agency = d.Agency
		}
	}
	return listDrafts(rows), nil
}

// listDrafts shows the newest openly.
func listDrafts(rows []draftRow) draftList {
	if len(rows) > homeRows {
		return draftList{rows[:homeRows], rows[homeRows:]}
	}
	return draftList{First: rows}
}

// getDraft draws the form of a draft as it was left, for the agency at whose desk it
// is. A form that has been submitted leads to its application.
func (s *Service) getDraft(w http.ResponseWriter, r *http.Request, c *clerk, licenseType string) error {
	d, err := s.findDraft(r.Context(), c.person, r.Form.Get(inDraft))
	switch {
	case err != nil:
		return err
	case d.Application != "":
		http.Redirect(w, r, c.at("/desk/applications/"+d.Application), http.StatusSeeOther)
		return nil
	case d.Type != licenseType || !c.choose(d.shelf.agency):
		return errNoDraft
	}
	f, able, err := s.form(r.Context(), c, licenseType, true)
	if err != nil {
		return err
	}
	return s.drawForm(w, r, c, f, applyPage{Form: c.around(f.Fields(f.GoOn(d.Draft), nil), able, d.ID),
		Kept: &kept{d.Changed, r.Form.Get("done") == form.Save}})
}

// filled is a form as a clerk has sent it.
type filled struct {
	form  *form.Form
	able  []agency
	draft form.Draft
	key   string
}

// postDraft keeps a form as it is. What could not be kept is said; whatever else is
// wrong is said when the form is submitted.
func (s *Service) postDraft(w http.ResponseWriter, r *http.Request, c *clerk, in filled) error {
	d := &draft{person: c.person, shelf: shelf{agency: c.agency.ID}}
	d.ID, d.Type, d.Values = in.key, in.form.Type.ID, in.draft.Values
	application, err := s.saveDraft(r.Context(), d)
	page := applyPage{Form: in.form.Fields(in.draft, nil)}
	switch {
	case errors.Is(err, errStale):
		in.key = db.NewID()
		page.Form.Problems = append(page.Form.Problems, textStale)
	case errors.Is(err, errManyDrafts) && page.Form.BlameFault(err):
	case err != nil:
		return err
	case application != "":
		http.Redirect(w, r, c.at("/desk/applications/"+application), http.StatusSeeOther)
		return nil
	case len(in.draft.Problems) == 0:
		http.Redirect(w, r, c.at("/desk/"+d.Type+"/new", inDraft, d.ID, "done", form.Save), http.StatusSeeOther)
		return nil
	default:
		page.Kept = &kept{s.now(), true}
	}
	page.Form = c.around(page.Form, in.able, in.key)
	return s.drawForm(w, r, c, in.form, page)
}

// postDrafts throws a draft away.
func (s *Service) postDrafts(w http.ResponseWriter, r *http.Request, c *clerk) error {
	id := r.PostForm.Get(inDraft)
	if !r.PostForm.Has("drop") {
		return fault.New(fault.Invalid, "want drop")
	}
	if err := s.dropDraft(r.Context(), c.person, id, shelf{agency: c.agency.ID}); err != nil {
		return err
	}
	http.Redirect(w, r, c.at("/desk"), http.StatusSeeOther)
	return nil
}
