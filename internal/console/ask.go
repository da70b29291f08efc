package console

import (
	"net/http"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// kindsPage is what kinds.html sees.
type kindsPage struct {
	room
	Kinds []kind
}

type kind struct {
	link
	Hint web.Text
}

func (c *Console) getKinds(w http.ResponseWriter, r *http.Request, _ officer) error {
	data := kindsPage{room: in("/security/requests")}
	for _, a := range c.forms {
		data.Kinds = append(data.Kinds, kind{link{Name: a.Title, Address: a.address}, a.Hint})
	}
	return c.pages.Render(w, r, web.Page{Template: "kinds", Title: web.Text{ZH: "新的申请", EN: "New request"}, Data: data})
}

// askPage is what ask.html sees.
type askPage struct {
	room
	Title, Hint web.Text
	Form        web.Form
	Self        string
	Parts       bool // the form has files
}

var errKind = web.Refuse(fault.NotFound, web.Text{ZH: "没有此类申请。", EN: "there is no such kind of request"})

func (c *Console) getAsk(w http.ResponseWriter, r *http.Request, _ officer) error {
	a := c.findAsk(r.PathValue("kind"))
	if a == nil {
		return errKind
	}
	values := map[string]string{}
	for _, x := range a.Fields {
		values[x.Name] = seen(r.URL.Query().Get(x.Name))
	}
	form, err := a.draw(r.Context(), values, db.NewID())
	if err != nil {
		return err
	}
	return c.drawAsk(w, r, a, form, 0)
}

func (c *Console) drawAsk(w http.ResponseWriter, r *http.Request, a *ask, form web.Form, status int) error {
	return c.pages.Render(w, r, web.Page{Template: "ask", Title: a.Title, Status: status, Wrong: form.Wrong(),
		Data: &askPage{in("/security/requests"), a.Title, a.Hint, form, a.address, a.hasFile()}})
}

func (c *Console) postAsk(w http.ResponseWriter, r *http.Request, o officer) error {
	a := c.findAsk(r.PathValue("kind"))
	if a == nil {
		return errKind
	}
	form, err := a.draw(r.Context(), nil, seen(r.PostForm.Get(inKey)))
	if err != nil {
		return err
	}
	got, err := a.read(r, form)
	if err != nil {
		return err
	}
	for i := range form.Fields {
		if x := &form.Fields[i]; x.Type != "file" && x.Type != "hidden" {
			x.Value = got.values[x.Name]
		}
	}
	for name, problem := range got.wrong {
		form.Blame(name, problem)
	}
	if form.Wrong() {
		return c.drawAsk(w, r, a, form, http.StatusBadRequest)
	}
	params, err := got.encode()
	if err != nil {
		return err
	}
	made, err := c.o.Approvals.Submit(r.Context(), approval.SubmitSpec{Kind: a.Kind, Params: params, Requester: o.person,
		Reason: oneLine(r.PostForm.Get(inReason)), Key: r.PostForm.Get(inKey)})
	if err = c.metrics.did("submit", "page", err); err != nil {
		return c.refuseAsk(w, r, a, form, err)
	}
	http.Redirect(w, r, requestAddress(made.ID)+"?done=ask", http.StatusSeeOther)
	return nil
}

// refuseAsk sends the form back with what the request was refused for.
func (c *Console) refuseAsk(w http.ResponseWriter, r *http.Request, a *ask, form web.Form, err error) error {
	list, ok := says(err)
	if !ok {
		return err
	}
	form.Problems = append(form.Problems, list...)
	return c.drawAsk(w, r, a, form, web.Status(err))
}
