package desk

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// button is an act that the clerk may choose.
type button struct {
	Name, Class string
	Label       web.Text
}

// past is a line of a licence's history.
type past struct {
	What, Who web.Text
	At        time.Time
	Reason    string
}

// licensePage is what license.html sees.
type licensePage struct {
	desk
	List        string
	Type        web.Text
	Issuer      web.Text // whose place the visitor's agency may have taken
	Number      string
	Identifier  string
	Tag         tag
	Holder      string
	HolderID    string
	From, Last  time.Time // Last is within the last day
	Reason      string
	Lines       []line
	SVG, PNG    string // addresses, "" while it is being signed
	Application string // address, "" if it came from elsewhere
	History     []past
	Self        string
	Form        *web.Form
	Buttons     []button
	Replace     []link    // ways of putting a new version in its place
	Versions    []version // of the number, the newest first; none while there is one
	Done        *web.Text
	Notice      *web.Text
	Bar         *web.Text // why the visitor can do nothing to it
}

// license returns a licence of one of the clerk's agencies, or of one whose place
// it has taken; c then acts for the clerk's. Of several it is the one that may act on
// the licence.
func (s *Service) license(ctx context.Context, c *clerk, id string) (*licenses.License, error) {
	l, err := s.licenses.Any(ctx, id)
	if err != nil {
		return nil, err
	}
	found := ""
	for _, a := range c.agencies {
		heir, err := s.licenses.Inherits(ctx, a.ID, l)
		if err != nil {
			return nil, err
		}
		if !heir {
			continue
		}
		may, err := s.mayAct(ctx, a.ID, l)
		if err != nil {
			return nil, err
		}
		if found == "" || may {
			found = a.ID
		}
		if may {
			break
		}
	}
	if !c.choose(found) {
		return nil, licenses.ErrNotFound
	}
	return l, nil
}

// mayAct reports whether an agency that inherits a licence has authority for it now: in
// the area of the agency that issued it, as the register asks.
func (s *Service) mayAct(ctx context.Context, agency string, l *licenses.License) (bool, error) {
	owner, err := s.registry.FindAgency(ctx, l.Agency)
	if err != nil {
		return false, err
	}
	return s.registry.MayIssue(ctx, agency, l.Type, owner.Area, s.now())
}

// licenseBar says why the clerk can do nothing to a licence, nil if they can.
func (s *Service) licenseBar(ctx context.Context, c *clerk, l *licenses.License) (*web.Text, error) {
	party, err := s.licenses.Party(ctx, c.person, l.ID)
	if err != nil || party {
		return &licenses.TextParty, err
	}
	may, err := s.mayAct(ctx, c.agency.ID, l)
	if err != nil || !may {
		return &textNoAuthority, err
	}
	return nil, nil
}

// done are what the address of a licence may say has just been done, with the
// status that bears it out.
var done = map[string]struct {
	status licenses.Status
	text   web.Text
}{
	"issue":                  {licenses.Issued, web.Text{ZH: "已签发", EN: "The licence is issued"}},
	string(licenses.Suspend): {licenses.Suspended, web.Text{ZH: "已暂停", EN: "The licence is suspended"}},
	string(licenses.Resume):  {licenses.Issued, web.Text{ZH: "已恢复", EN: "The licence is in force again"}},
	"renew":                  {licenses.Issued, web.Text{ZH: "已延续", EN: "The licence is renewed"}},
	"change":                 {licenses.Issued, web.Text{ZH: "已变更", EN: "The licence is changed"}},
	"reprint":                {licenses.Issued, web.Text{ZH: "已补证", EN: "The licence is issued once more"}},
	string(licenses.Revoke):  {licenses.Revoked, web.Text{ZH: "已吊销", EN: "The licence is revoked"}},
}

func (s *Service) getLicense(w http.ResponseWriter, r *http.Request, c *clerk, id string) error {
	l, err := s.license(r.Context(), c, id)
	if err != nil {
		return err
	}
	data, err := s.licensePage(r.Context(), c, l, db.NewID())
	if err != nil {
		return err
	}
	if d, ok := done[r.Form.Get("done")]; ok && d.status == l.Status {
		data.Done = &d.text
	}
	return s.drawLicense(w, r, data, 0)
}

func (s *Service) drawLicense(w http.ResponseWriter, r *http.Request, data *licensePage, status int) error {
	return s.pages.Render(w, r, web.Page{Template: "license", Title: web.Text{ZH: data.Type.ZH + " " + data.Number, EN: data.Type.EN + " " + data.Number},
		Data: data, Status: status, Wrong: data.Form != nil && data.Form.Wrong()})
}

func (s *Service) licensePage(ctx context.Context, c *clerk, l *licenses.License, key string) (*licensePage, error) {
	at := "/desk/licenses/" + l.ID
	data := &licensePage{desk: c.desk(), List: c.at("/desk/licenses"), Type: s.typeName(l.Type), Number: l.Number, Identifier: l.Identifier,
		Tag: licenseTag(l, s.now()), Holder: l.Holds(), HolderID: l.Holder, From: l.NotBefore, Last: l.NotAfter.Add(-time.Second),
		Reason: l.Reason, Self: c.at(at)}
	var err error
	if data.Issuer, err = s.agencyName(ctx, l.Agency); err != nil {
		return nil, err
	}
	if l.Permit != "" {
		data.SVG, data.PNG = c.at(at+"/qr.svg"), c.at(at+"/qr.png")
	}
	if f := s.formOf(l.Type); f != nil {
		for _, in := range f.Inputs {
			if v, ok := l.Data[in.Name]; ok {
				data.Lines = append(data.Lines, line{in.Label, in.Shown(v)})
			}
		}
	}
	if data.Bar, err = s.licenseBar(ctx, c, l); err != nil {
		return nil, err
	}
	if data.Bar == nil {
		data.acts(l, key)
	}
	for _, x := range replacements {
		if data.Bar == nil && s.licenses.Offers(l, x.kind) && (x.kind != licenses.Changed || s.formOf(l.Type) != nil) {
			data.Replace = append(data.Replace, link{Name: x.label, Address: c.at(at + "/" + x.path)})
		}
	}
	if data.Versions, err = s.versions(ctx, c, l); err != nil {
		return nil, err
	}
	if data.History, err = s.history(ctx, l.ID); err != nil {
		return nil, err
	}
	from, err := s.find(ctx, "license = $1 AND license <> ''", l.ID)
	if err != nil || len(from) != 1 {
		return data, err
	}
	sees, err := s.registry.Inherits(ctx, c.agency.ID, from[0].Agency, l.Type)
	if sees {
		data.Application = c.at("/desk/applications/" + from[0].ID)
	}
	return data, err
}

var buttons = map[licenses.Act]button{
	licenses.Suspend: {string(licenses.Suspend), "secondary", web.Text{ZH: "暂停", EN: "Suspend"}},
	licenses.Resume:  {string(licenses.Resume), "secondary", web.Text{ZH: "恢复", EN: "Resume"}},
	licenses.Revoke:  {string(licenses.Revoke), "danger", web.Text{ZH: "吊销", EN: "Revoke"}},
}

// acts adds what can be done to a licence as it stands.
func (p *licensePage) acts(l *licenses.License, key string) {
	switch l.Status {
	case licenses.Issued:
		p.Buttons = []button{buttons[licenses.Suspend], buttons[licenses.Revoke]}
	case licenses.Suspended:
		p.Buttons = []button{buttons[licenses.Resume], buttons[licenses.Revoke]}
	default:
		return
	}
	p.Form = &web.Form{Fields: []web.Field{
		{Name: inKey, Type: "hidden", Value: key},
		{Name: inReason, Type: "textarea", Required: true, Label: web.Text{ZH: "理由", EN: "Reason"},
			Hint: web.Text{ZH: "最多 500 字，记入证照档案", EN: "Up to 500 characters. It is kept in the licence's record"}},
	}}
}

const historyMost = 100

// history reads what the log says of a licence, the newest first.
func (s *Service) history(ctx context.Context, id string) ([]past, error) {
	var events []audit.Record
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		events, err = audit.Find(ctx, tx, audit.EventFilter{Object: "license:" + id, Newest: true, Limit: historyMost})
		return err
	})
	if err != nil {
		return nil, err
	}
	people := s.names()
	var list []past
	for _, e := range events {
		what, ok := eventWords[e.Kind]
		if !ok {
			continue
		}
		who, err := people.actor(ctx, e.Actor)
		if err != nil {
			return nil, err
		}
		reason, _ := e.Data["reason"].(string)
		list = append(list, past{what, who, e.At, reason})
	}
	return list, nil
}

func (s *Service) postLicense(w http.ResponseWriter, r *http.Request, c *clerk, id string) error {
	l, err := s.license(r.Context(), c, id)
	if err != nil {
		return err
	}
	act, err := actOf(r)
	if err != nil {
		return err
	}
	key, reason := r.PostForm.Get(inKey), reasonOf(r)
	if _, err := db.IDBytes(key); err != nil {
		return s.refuse(w, r, c, l, act, http.StatusBadRequest, textStale)
	}
	if problem, bad := badReason(reason); bad {
		return s.refuse(w, r, c, l, act, http.StatusBadRequest, problem)
	}
	// The key is the clerk's own, so that nobody can use up another's.
	_, err = s.licenses.Act(r.Context(), c.caller(), l.ID, act, reason, c.person+"-"+key)
	if fault.KindOf(err) == fault.Conflict {
		if l, err = s.license(r.Context(), c, id); err != nil {
			return err
		}
		return s.refuse(w, r, c, l, act, http.StatusConflict, web.Text{ZH: "证照状态已发生变化，您的操作没有生效。以下为最新状态。",
			EN: "The licence has changed meanwhile: what you did has had no effect. This is how it stands now."})
	}
	if err != nil {
		return err
	}
	s.metrics.acts.WithLabelValues(string(act), "done").Inc()
	http.Redirect(w, r, c.at("/desk/licenses/"+l.ID, "done", string(act)), http.StatusSeeOther)
	return nil
}

// actOf returns the act whose button was pressed: exactly one.
func actOf(r *http.Request) (act licenses.Act, err error) {
	for _, a := range []licenses.Act{licenses.Suspend, licenses.Resume, licenses.Revoke} {
		if r.PostForm.Has(string(a)) {
			if act != "" {
				return "", fault.New(fault.Invalid, "want one act")
			}
			act = a
		}
	}
	if act == "" {
		return "", fault.New(fault.Invalid, "want suspend, resume or revoke")
	}
	return act, nil
}

// refuse draws the licence with what was wrong with an act: at the reason, or as a
// notice where there is nothing to mend.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, c *clerk, l *licenses.License, act licenses.Act, status int, says web.Text) error {
	s.metrics.acts.WithLabelValues(string(act), "refused").Inc()
	data, err := s.licensePage(r.Context(), c, l, db.NewID())
	if err != nil {
		return err
	}
	if status == http.StatusConflict || data.Form == nil || says == textStale {
		data.Notice = &says
	} else {
		data.Form.Field(inReason).Value = mapVisible(reasonOf(r))
		data.Form.Blame(inReason, says)
	}
	return s.drawLicense(w, r, data, status)
}

// getFile draws the permit as a picture, or the page that replaces it.
func (s *Service) getFile(w http.ResponseWriter, r *http.Request, c *clerk) error {
	draw, kind := licenses.SVG, "image/svg+xml"
	switch r.PathValue("file") {
	case "qr.svg":
	case "qr.png":
		draw, kind = licenses.PNG, "image/png"
	default:
		return s.getReplace(w, r, c)
	}
	l, err := s.license(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	if l.Permit == "" {
		return web.Refuse(fault.Unavailable, web.Text{ZH: "证照正在签发，请稍后再试。", EN: "The permit is being signed: try again in a moment."})
	}
	b, err := draw(l.Permit)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "private, no-store")
	if kind == "image/png" {
		h.Set("Content-Disposition", `attachment; filename="`+l.Number+`.png"`)
	}
	_, err = w.Write(b)
	return err
}
