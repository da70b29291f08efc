package desk

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// founding returns an application to one of the clerk's agencies, or to one whose place it
// has taken; c then acts for the one of them that deals with it now, if any does.
func (s *Service) founding(ctx context.Context, c *clerk, id string) (*licenses.Founding, error) {
	for _, a := range c.agencies {
		f, err := s.licenses.FoundingAt(ctx, a.ID, id)
		if errors.Is(err, licenses.ErrNoFounding) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.agency = a
		_, err = s.chooseFor(ctx, c, f.Agency, licenses.FirmType)
		return f, err
	}
	return nil, licenses.ErrNoFounding
}

// foundingPage is what founding.html sees.
type foundingPage struct {
	desk
	Queue     string
	Name      string // of the firm
	Tag       tag
	Lines     []line
	Submitter web.Text
	Submitted time.Time
	Decider   web.Text
	Decided   time.Time  // zero while it waits
	Reason    string     // of a rejection
	Asked     web.Text   // the agency that was asked
	Dealing   web.Text   // the one that deals with it, or decided
	Firm      string     // USCC, once it is founded
	License   string     // address, then
	Signing   bool       // the licence is not signed yet
	Bar       *web.Text  // why the visitor cannot decide
	Why       []web.Text // why it cannot be approved as things are now
	Review    *web.Form  // nil unless the visitor can
	Self      string
	Notice    *web.Text
}

func (s *Service) getFounding(w http.ResponseWriter, r *http.Request, c *clerk) error {
	f, err := s.founding(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.againFounding(w, r, c, f, 0, nil)
}

// againFounding draws the application with a notice.
func (s *Service) againFounding(w http.ResponseWriter, r *http.Request, c *clerk, f *licenses.Founding, status int, notice *web.Text) error {
	data, err := s.foundingPage(r.Context(), c, f)
	if err != nil {
		return err
	}
	data.Notice = notice
	return s.pages.Render(w, r, foundingOf(data, status))
}

func foundingOf(data *foundingPage, status int) web.Page {
	return web.Page{Template: "founding", Title: web.Text{ZH: "开办企业：" + data.Name, EN: "New firm: " + data.Name}, Data: data,
		Status: status, Wrong: len(data.Why) > 0 || data.Review != nil && data.Review.Wrong()}
}

func (s *Service) foundingPage(ctx context.Context, c *clerk, f *licenses.Founding) (*foundingPage, error) {
	data := &foundingPage{desk: c.desk(), Queue: c.at("/desk/foundings"), Name: f.Name, Tag: foundingTag(f.State), Submitted: f.Created, Decided: f.Decided,
		Reason: f.Reason, Firm: f.Firm, Self: c.at("/desk/foundings/" + f.ID)}
	person, err := s.registry.PersonByID(ctx, f.Person)
	if err != nil && !errors.Is(err, registry.ErrPerson) {
		return nil, err
	}
	data.Lines = s.foundingLines(f, person)
	people := s.names()
	for to, actor := range map[*web.Text]string{&data.Submitter: f.Submitter, &data.Decider: f.Decider} {
		if actor == "" {
			continue
		}
		if *to, err = people.actor(ctx, actor); err != nil {
			return nil, err
		}
	}
	if f.License != nil {
		data.Signing = f.License.Status == licenses.Signing
		see, err := s.sees(ctx, c, f.License.ID)
		if err != nil {
			return nil, err
		}
		if see {
			data.License = c.at("/desk/licenses/" + f.License.ID)
		}
	}
	office := f.Registrar()
	if f.State == licenses.FoundingSubmitted {
		if office, _, err = s.registry.Office(ctx, f.Agency, licenses.FirmType, s.now()); err != nil {
			return nil, err
		}
	}
	if data.Dealing, err = s.agencyName(ctx, office); err != nil {
		return nil, err
	}
	if office != f.Agency {
		if data.Asked, err = s.agencyName(ctx, f.Agency); err != nil {
			return nil, err
		}
	}
	if f.State != licenses.FoundingSubmitted {
		return data, nil
	}
	if data.Bar, err = s.foundingBar(ctx, c, f); err == nil && data.Bar == nil {
		data.Review = foundingForm()
	}
	return data, err
}

// foundingBar says why the clerk cannot decide on an application that waits, nil if they
// can. DecideFounding asks the same once more.
func (s *Service) foundingBar(ctx context.Context, c *clerk, f *licenses.Founding) (*web.Text, error) {
	if f.Person == c.person {
		return &textOwnFounding, nil
	}
	office, may, err := s.registry.Office(ctx, f.Agency, licenses.FirmType, s.now())
	switch {
	case err != nil:
		return nil, err
	case office != c.agency.ID:
		name, err := s.agencyName(ctx, office)
		return standing{Dealing: name}.textAwayTo(), err
	case !may:
		return &textNoAuthority, nil
	}
	return nil, nil
}

func foundingForm() *web.Form {
	return &web.Form{Fields: []web.Field{{Name: inReason, Type: "textarea", Label: web.Text{ZH: "退回理由", EN: "Reason for rejecting"},
		Hint: web.Text{ZH: "退回时必填，最多 500 字，申请人可以看到", EN: "Needed only to reject. Up to 500 characters; the applicant reads it"}}}}
}

// foundingInputs returns the form that was filled in, one without inputs if none can be
// made of the type now.
func (s *Service) foundingInputs() *form.Form {
	if f := s.formOf(licenses.FirmType); f != nil {
		if founding, err := form.Founding(f.Type); err == nil {
			return founding
		}
	}
	return &form.Form{}
}

// foundingLines lists what was applied for, as far as the type still knows it.
func (s *Service) foundingLines(f *licenses.Founding, person registry.Person) []line {
	plain := func(v string) web.Text { return web.Text{ZH: v, EN: v} }
	name, number := textUnknown, "—"
	if person.Name != "" {
		name, number = plain(person.Name), registry.Mask(person.Number)
	}
	list := []line{{web.Text{ZH: "企业名称", EN: "Name of the firm"}, plain(f.Name)}, {web.Text{ZH: "法定代表人", EN: "Legal representative"}, name},
		{web.Text{ZH: "法定代表人证件号码", EN: "Number of their document"}, plain(number)}}
	for _, in := range s.foundingInputs().Inputs {
		if v, ok := f.Data[in.Name]; ok {
			list = append(list, line{in.Label, in.Shown(v)})
		}
	}
	return list
}

func (s *Service) postFounding(w http.ResponseWriter, r *http.Request, c *clerk) error {
	f, err := s.founding(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	d := licenses.FoundingDecision{Approve: r.PostForm.Has("approve"), Reason: reasonOf(r)}
	if d.Approve == r.PostForm.Has("reject") {
		return fault.New(fault.Invalid, "want either approve or reject")
	}
	waits := f.State == licenses.FoundingSubmitted
	if bar, err := s.foundingBar(r.Context(), c, f); err != nil || bar != nil {
		if bar == &textOwnFounding {
			s.metrics.decided.WithLabelValues("barred").Inc()
		}
		if err == nil {
			err = s.againFounding(w, r, c, f, http.StatusForbidden, notWaiting(waits, bar))
		}
		return err
	}
	if problem, bad := badReason(d.Reason); waits && !d.Approve && bad {
		return s.refusedFounding(w, r, c, f, d, []licenses.Problem{{Path: "/" + inReason, Text: problem}})
	}
	_, err = s.licenses.DecideFounding(r.Context(), c.caller(), f.ID, d)
	switch {
	case licenses.Problems(err) != nil:
		return s.refusedFounding(w, r, c, f, d, licenses.Problems(err))
	case fault.KindOf(err) == fault.Conflict:
		if f, err = s.founding(r.Context(), c, f.ID); err != nil {
			return err
		}
		return s.againFounding(w, r, c, f, http.StatusConflict, &textLateFirm)
	case err != nil:
		return err
	}
	http.Redirect(w, r, c.at("/desk/foundings/"+f.ID), http.StatusSeeOther)
	return nil
}

// notWaiting is the notice for whoever may not decide: the page of an application that
// waits says so itself.
func notWaiting(waits bool, bar *web.Text) *web.Text {
	if waits {
		return nil
	}
	return bar
}

// refusedFounding draws the application, which still waits, with what is wrong: with the
// reason, or with the firm as things are now.
func (s *Service) refusedFounding(w http.ResponseWriter, r *http.Request, c *clerk, f *licenses.Founding, d licenses.FoundingDecision, problems []licenses.Problem) error {
	data, err := s.foundingPage(r.Context(), c, f)
	if err != nil {
		return err
	}
	status := http.StatusConflict
	switch {
	case data.Review == nil: // the authority ended in between
		status = http.StatusForbidden
	case !d.Approve:
		status = http.StatusBadRequest
		data.Review.Field(inReason).Value = strings.Map(form.Visible, d.Reason)
		for _, p := range problems {
			data.Review.Blame(inReason, p.Text)
		}
	default:
		inputs := s.foundingInputs()
		for _, p := range problems {
			data.Why = append(data.Why, inputs.About(form.Property(p.Path), p.Text))
		}
	}
	return s.pages.Render(w, r, foundingOf(data, status))
}
