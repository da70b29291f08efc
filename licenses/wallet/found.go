package wallet

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// Foundings is where people apply for new firms whose legal representative they will
// be. Package licenses provides it.
type Foundings interface {
	// ApplyFounding submits a claim once for each key, and returns the application's id
	// or everything that is wrong with the claim.
	ApplyFounding(ctx context.Context, person string, c licenses.FoundingClaim) (id string, problems []licenses.Problem, err error)
	// FoundingsOf returns the newest applications of a person.
	FoundingsOf(ctx context.Context, person string) ([]*licenses.Founding, error)
	// FoundingOf returns one of them with the licence that came of it.
	FoundingOf(ctx context.Context, person, id string) (*licenses.Founding, error)
	// WithdrawFounding takes back an application that waits.
	WithdrawFounding(ctx context.Context, person, id string) error
}

// mountFound adds the pages of those who start a firm. They are about the person who is
// signed in, whomever the session acts for: nobody else becomes the firm's legal
// representative.
func (s *Service) mountFound(mux *http.ServeMux) {
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, *web.Identity) error{
		"GET /wallet/found":            s.getFound,
		"POST /wallet/found":           s.postFound,
		"GET /wallet/found/sent/{id}":  s.getFounding, // /wallet/found/{id} and /wallet/{id}/show overlap
		"POST /wallet/found/sent/{id}": s.postFounding,
	} {
		mux.Handle(pattern, s.pages.SignedIn(func(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
			if err := web.ParseForm(w, r, maxForm); err != nil {
				return err
			}
			return serve(w, r, id)
		}))
	}
}

// foundForm returns the form of a new firm and the agencies that register firms now.
func (s *Service) foundForm(ctx context.Context) (*form.Form, []registry.Agency, error) {
	t := typeOf(s.o.Licenses.Types(), licenses.FirmType)
	if t == nil {
		return nil, nil, fault.New(fault.NotFound, "firms are not founded here")
	}
	f, err := form.Founding(t)
	if err != nil {
		return nil, nil, fault.Wrap(fault.NotFound, "firms are not founded here", err)
	}
	offices, err := s.o.Applications.Offices(ctx, t.ID)
	return f, offices, err
}

// sure reports whether the person was proved well enough to start a firm.
func (s *Service) sure(id *web.Identity) bool { return slices.Contains(s.o.ACR, id.ACR) }

// unsure draws the page with what to do before there is a form.
func (s *Service) unsure(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	q := url.Values{"acr": {s.o.ACR[0]}, "next": {"/wallet/found"}}
	data := foundData{Person: id.Name, SignIn: "/login?" + q.Encode()}
	return s.drawFound(w, r, id, data)
}

func (s *Service) getFound(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.sure(id) {
		return s.unsure(w, r, id)
	}
	f, offices, err := s.foundForm(r.Context())
	if err != nil {
		return err
	}
	return s.drawFound(w, r, id, newFoundData(id.Name, f.Fields(form.Draft{}, nil), offices, "", db.NewID()))
}

// drawFound draws the form below what the person has applied for.
func (s *Service) drawFound(w http.ResponseWriter, r *http.Request, id *web.Identity, data foundData) error {
	list, err := s.o.Foundings.FoundingsOf(r.Context(), id.Person)
	if err != nil {
		return err
	}
	for _, f := range list {
		one, err := s.founding(r.Context(), f)
		if err != nil {
			return err
		}
		data.Sent = append(data.Sent, one)
	}
	return s.pages.Render(w, r, foundPage(data))
}

func (s *Service) postFound(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.sure(id) {
		return s.unsure(w, r, id)
	}
	f, offices, err := s.foundForm(r.Context())
	if err != nil {
		return err
	}
	d, agency, key := f.Read(r.PostForm), office(r.PostForm, offices), r.PostForm.Get(form.InKey)
	claim := licenses.FoundingClaim{Agency: agency, Key: key, Name: d.Name, Data: d.Request.Data, Wrong: len(d.Problems) > 0 || agency == ""}
	if agency == "" && len(offices) > 0 {
		claim.Agency = offices[0].ID // every error at once: whoever is asked, the data have to be right
	}
	made, problems, err := s.o.Foundings.ApplyFounding(r.Context(), id.Person, claim)
	full := errors.Is(err, licenses.ErrManyFoundings)
	if err != nil && !full {
		return err
	}
	if made != "" {
		http.Redirect(w, r, foundingAt(made), http.StatusSeeOther)
		return nil
	}
	data := newFoundData(id.Name, f.Fields(d, problems), offices, agency, key)
	if data.Full = full; agency == "" {
		data.Form.Blame(form.InAgency, web.Text{ZH: "请选择登记机关", EN: "Choose an agency"})
	}
	return s.drawFound(w, r, id, data)
}

// foundingAt is the address of an application for a new firm.
func foundingAt(id string) string { return "/wallet/found/sent/" + url.PathEscape(id) }

func (s *Service) getFounding(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	f, err := s.o.Foundings.FoundingOf(r.Context(), id.Person, r.PathValue("id"))
	if err != nil {
		return err
	}
	h, err := s.holder(r.Context(), id)
	if err != nil {
		return err
	}
	one, err := s.founding(r.Context(), f)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, foundingPage(id.Name, one, h))
}

// postFounding withdraws the application.
func (s *Service) postFounding(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !r.PostForm.Has("withdraw") {
		return fault.New(fault.Invalid, "want withdraw")
	}
	if err := s.o.Foundings.WithdrawFounding(r.Context(), id.Person, r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, foundingAt(r.PathValue("id")), http.StatusSeeOther)
	return nil
}
