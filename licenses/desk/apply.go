package desk

import (
	"context"
	"errors"
	"net/http"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// The inputs of the desk's own.
const (
	inKey    = form.InKey
	inAgency = form.InAgency
)

var textNoAuthority = web.Text{ZH: "本部门没有办理此类证照的职权。", EN: "This agency has no authority for this type of licence."}

// applyPage is what apply.html sees.
type applyPage struct {
	desk
	Type    web.Text
	Form    web.Form
	Twice   bool   // it takes two reviews
	Earlier string // address of what the same form became before
	Kept    *kept  // nil unless it is a draft
}

// getType leads from the short address of a type to its form.
func (s *Service) getType(w http.ResponseWriter, r *http.Request, c *clerk) error {
	id := r.PathValue("type")
	if s.formOf(id) == nil {
		return fault.New(fault.NotFound, "no such licence type")
	}
	http.Redirect(w, r, c.at("/desk/"+id+"/new"), http.StatusSeeOther)
	return nil
}

// form returns the form of a type and those of the clerk's agencies that may issue
// it. Unless an agency was asked for, the first of them is chosen.
func (s *Service) form(ctx context.Context, c *clerk, licenseType string, asked bool) (*form.Form, []agency, error) {
	f := s.formOf(licenseType)
	if f == nil {
		return nil, nil, fault.New(fault.NotFound, "no such licence type")
	}
	var able []agency
	for _, a := range c.agencies {
		ok, err := s.may(ctx, &clerk{agency: a}, licenseType)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			able = append(able, a)
		}
	}
	if len(able) > 0 && !asked {
		c.agency = able[0]
	}
	for _, a := range able {
		if a.ID == c.agency.ID {
			return f, able, nil
		}
	}
	return nil, nil, web.Refuse(fault.Denied, textNoAuthority)
}

func (s *Service) getForm(w http.ResponseWriter, r *http.Request, c *clerk, licenseType string) error {
	if r.Form.Has(inDraft) {
		return s.getDraft(w, r, c, licenseType)
	}
	f, able, err := s.form(r.Context(), c, licenseType, r.Form.Get(inAgency) != "")
	if err != nil {
		return err
	}
	return s.drawForm(w, r, c, f, applyPage{Form: c.around(f.Fields(form.Draft{}, nil), able, db.NewID())})
}

// around adds to the inputs of a type those of the desk.
func (c *clerk) around(page web.Form, able []agency, key string) web.Form {
	own := []web.Field{{Name: inKey, Type: "hidden", Value: key}}
	switch {
	case len(able) > 1:
		choice := c.selector()[0]
		choice.Options = nil
		for _, a := range able {
			choice.Options = append(choice.Options, web.Option{Value: a.ID, Label: a.Name})
		}
		own = append(own, choice)
	case len(c.agencies) > 1:
		own = append(own, web.Field{Name: inAgency, Type: "hidden", Value: c.agency.ID})
	}
	page.Fields = append(own, page.Fields...)
	return page
}

func (s *Service) drawForm(w http.ResponseWriter, r *http.Request, c *clerk, f *form.Form, data applyPage) error {
	t := web.Text(f.Type.Names)
	data.desk, data.Type, data.Twice = c.desk(), t, len(f.Type.Reviews()) > 1
	page := web.Page{Template: "apply", Title: web.Text{ZH: "申请" + t.ZH, EN: "Apply: " + t.EN}, Data: &data, Wrong: data.Form.Wrong()}
	switch {
	case data.Kept != nil: // it was done: what is wrong did not hinder it
	case data.Earlier != "":
		page.Status = http.StatusConflict
	case page.Wrong:
		page.Status = http.StatusBadRequest
	}
	return s.pages.Render(w, r, page)
}

var (
	textStale = web.Text{ZH: "表单已失效，请核对后重新提交", EN: "The form was out of date: check it and send it again"}
	textUsed  = web.Text{ZH: "此表单已提交过，当时填写的内容不同", EN: "This form was sent in before, with other contents"}
)

func (s *Service) postForm(w http.ResponseWriter, r *http.Request, c *clerk, licenseType string) error {
	f, able, err := s.form(r.Context(), c, licenseType, r.PostForm.Get(inAgency) != "")
	if err != nil {
		return err
	}
	d, key := f.Read(r.PostForm), r.PostForm.Get(inKey)
	if form.Saves(r.PostForm) {
		return s.postDraft(w, r, c, filled{f, able, d, key})
	}
	again := applyPage{}
	id, problems, err := s.apply(r.Context(), c, d, key)
	used, isUsed := errors.AsType[errUsed](err)
	switch {
	case isUsed:
		again.Earlier = c.at("/desk/applications/" + used.application)
	case errors.Is(err, errStale):
		key = db.NewID()
	case err != nil:
		return err
	case id != "":
		http.Redirect(w, r, c.at("/desk/applications/"+id, "done", "submit"), http.StatusSeeOther)
		return nil
	}
	s.metrics.submitted.WithLabelValues("refused").Inc()
	again.Form = c.around(f.Fields(d, problems), able, key)
	if isUsed {
		again.Form.Problems = append(again.Form.Problems, textUsed)
	} else if err != nil {
		again.Form.Problems = append(again.Form.Problems, textStale)
	}
	return s.drawForm(w, r, c, f, again)
}

var errStale = errors.New("the form has no key of ours")

// apply submits a draft and returns the application's id, or what is wrong with
// the draft. A form that was sent before gives the application of then, whatever
// the register would say of it now.
func (s *Service) apply(ctx context.Context, c *clerk, d form.Draft, key string) (id string, problems []licenses.Problem, err error) {
	if _, err := db.IDBytes(key); err != nil {
		return "", nil, errStale
	}
	cl := &claim{agency: c.agency.ID, person: c.person, key: key, request: d.Request}
	if len(d.Problems) == 0 {
		if err := s.prepare(ctx, cl); err != nil {
			return "", nil, err
		}
		if id, err := s.replayed(ctx, cl); err != nil || id != "" {
			s.count(err, "replayed")
			return id, nil, err
		}
	}
	err = s.licenses.Check(ctx, c.agency.ID, d.Request)
	problems = licenses.Problems(err)
	if err != nil && problems == nil {
		return "", nil, err
	}
	if len(problems)+len(d.Problems) > 0 {
		return "", problems, nil
	}
	id, fresh, err := s.submit(ctx, cl)
	if fresh {
		s.count(err, "submitted")
	} else {
		s.count(err, "replayed")
	}
	return id, nil, err
}

func (s *Service) count(err error, result string) {
	if err == nil {
		s.metrics.submitted.WithLabelValues(result).Inc()
	}
}
