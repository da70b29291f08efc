package desk

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// The inputs of the page that replaces a licence, beside those of the type's
// schema, whose names no property may have.
const (
	inWhy     = "desk-reason"
	inCheck   = "desk-check"   // button: show what would change
	inConfirm = "desk-confirm" // button: do it
	inEdit    = "desk-edit"    // button: back to the form
)

// replacement is one way of putting a licence's next version in its place.
type replacement struct {
	kind  licenses.Kind
	path  string // last part of the address
	label web.Text
}

var replacements = []replacement{
	{licenses.Renewed, "renew", web.Text{ZH: "延续", EN: "Renew"}},
	{licenses.Changed, "change", web.Text{ZH: "变更", EN: "Change"}},
	{licenses.Reprinted, "reprint", web.Text{ZH: "补证", EN: "Reprint"}},
}

// difference is one line of what would change.
type difference struct {
	Label         web.Text
	Before, After web.Text
	Differs       bool
}

// replacePage is what replace.html sees.
type replacePage struct {
	desk
	Back    string // address of the licence
	Kind    replacement
	Type    web.Text
	Number  string
	Holder  string
	Form    web.Form
	Preview []difference // nil: the form is to be filled in
	Version int          // of the licence to come
}

func (p *replacePage) Label() web.Text { return p.Kind.label }
func (p *replacePage) Renewal() bool   { return p.Kind.kind == licenses.Renewed }

// replaced is a form as it was sent in, or as it is filled at first.
type replaced struct {
	form.Draft
	kind   licenses.Kind
	reason string
}

// asks is what the form asks the register for. Without a form of the type, a
// renewal keeps the data.
func (d *replaced) asks(f *form.Form) licenses.Replacement {
	r := licenses.Replacement{Kind: d.kind, Reason: d.reason, NotAfter: d.Request.NotAfter}
	if d.kind != licenses.Reprinted && f != nil {
		r.Data = d.Request.Data
	}
	return r
}

// replacement finds the licence and the way of replacing it that an address names.
func (s *Service) replacement(r *http.Request, c *clerk) (*licenses.License, replacement, *form.Form, error) {
	i := slices.IndexFunc(replacements, func(x replacement) bool { return x.path == r.PathValue("file") })
	if i < 0 {
		return nil, replacement{}, nil, fault.New(fault.NotFound, "no such page")
	}
	l, err := s.license(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return nil, replacement{}, nil, err
	}
	f := s.formOf(l.Type)
	if f == nil && replacements[i].kind == licenses.Changed {
		return nil, replacement{}, nil, fault.New(fault.NotFound, "no such page")
	}
	return l, replacements[i], f, nil
}

var textNotNow = web.Text{ZH: "该证照目前不能办理此事项。以下为最新状态。", EN: "That cannot be done with the licence now. This is how it stands."}

func (s *Service) getReplace(w http.ResponseWriter, r *http.Request, c *clerk) error {
	l, kind, f, err := s.replacement(r, c)
	if err != nil {
		return err
	}
	may, err := s.mayAct(r.Context(), c.agency.ID, l)
	if err != nil {
		return err
	}
	party, err := s.licenses.Party(r.Context(), c.person, l.ID)
	switch {
	case err != nil:
		return err
	case party:
		return licenses.ErrParty
	case !may:
		return web.Refuse(fault.Denied, textNoAuthority)
	case !s.licenses.Offers(l, kind.kind):
		return s.refuse(w, r, c, l, licenses.Act(kind.path), http.StatusConflict, textNotNow)
	}
	d := &replaced{Draft: form.Draft{Values: map[string]string{}}, kind: kind.kind}
	if f != nil {
		for _, in := range f.Inputs {
			if v, ok := l.Data[in.Name]; ok {
				d.Values[in.Name] = form.Written(v)
			}
		}
	}
	return s.drawReplace(w, r, &replacePage{desk: c.desk(), Kind: kind, Form: d.fields(f, nil, db.NewID())}, c, l)
}

func (s *Service) drawReplace(w http.ResponseWriter, r *http.Request, data *replacePage, c *clerk, l *licenses.License) error {
	data.Back, data.Type, data.Number, data.Holder = c.at("/desk/licenses/"+l.ID), s.typeName(l.Type), l.Number, l.Holds()
	word := data.Kind.label
	page := web.Page{Template: "replace", Title: web.Text{ZH: word.ZH + data.Type.ZH + " " + l.Number, EN: word.EN + ": " + data.Type.EN + " " + l.Number},
		Data: data, Wrong: data.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return s.pages.Render(w, r, page)
}

// next is the form of a replacement: the data and the end, as far as they can change.
func (d *replaced) next(f *form.Form) *form.Form {
	return f.ForNext(d.kind != licenses.Reprinted, d.kind == licenses.Renewed)
}

// readReplaced reads a form; what is wrong with it stands in problems.
func readReplaced(r *http.Request, kind licenses.Kind, f *form.Form) *replaced {
	d := &replaced{kind: kind, reason: oneLine(r.PostForm.Get(inWhy))}
	d.Draft = d.next(f).Read(r.PostForm)
	return d
}

// fields draws the form with its problems beside those of the register.
func (d *replaced) fields(f *form.Form, problems []licenses.Problem, key string) web.Form {
	page := d.next(f).Fields(d.Draft, problems)
	page.Fields = slices.Concat([]web.Field{{Name: form.InKey, Type: "hidden", Value: key}}, page.Fields,
		[]web.Field{{Name: inWhy, Type: "textarea", Required: true, Value: mapVisible(d.reason), Label: web.Text{ZH: "理由", EN: "Reason"},
			Hint: web.Text{ZH: "最多 500 字，记入证照档案", EN: "Up to 500 characters. It is kept in the licence's record"}}})
	return page
}

var textSame = web.Text{ZH: "没有任何变更", EN: "Nothing is changed"}

// postReplace shows what would change, does it, or goes back to the form, by the
// button that was pressed.
func (s *Service) postReplace(w http.ResponseWriter, r *http.Request, c *clerk) error {
	l, kind, f, err := s.replacement(r, c)
	if err != nil {
		return err
	}
	check, confirm, edit := r.PostForm.Has(inCheck), r.PostForm.Has(inConfirm), r.PostForm.Has(inEdit)
	if check && confirm || check && edit || confirm && edit || !check && !confirm && !edit {
		return fault.New(fault.Invalid, "want one of three buttons")
	}
	d, key := readReplaced(r, kind.kind, f), r.PostForm.Get(form.InKey)
	data := &replacePage{desk: c.desk(), Kind: kind}
	if _, err := db.IDBytes(key); err != nil {
		data.Form = d.fields(f, nil, db.NewID())
		data.Form.Problems = append(data.Form.Problems, textStale)
		return s.drawReplace(w, r, data, c, l)
	}
	data.Form = d.fields(f, nil, key)
	if problem, bad := badReason(d.reason); bad && !edit {
		data.Form.Blame(inWhy, problem)
	}
	switch {
	case edit || data.Form.Wrong():
		return s.drawReplace(w, r, data, c, l)
	case confirm:
		return s.replace(w, r, c, l, data, d, key)
	}
	next, err := s.licenses.CheckReplace(r.Context(), c.caller(), l.ID, d.asks(f))
	if err != nil {
		return s.notReplaced(w, r, c, l, data, d, err)
	}
	data.Preview, data.Version = s.differences(l, next), next.Version
	if !slices.ContainsFunc(data.Preview, func(x difference) bool { return x.Differs }) && kind.kind == licenses.Changed {
		data.Preview = nil
		data.Form.Problems = append(data.Form.Problems, textSame)
		return s.drawReplace(w, r, data, c, l)
	}
	data.Form = hiddenForm(data.Form)
	return s.drawReplace(w, r, data, c, l)
}

// replace does it, once for each key: the key is the clerk's own, so that nobody
// can use up another's.
func (s *Service) replace(w http.ResponseWriter, r *http.Request, c *clerk, l *licenses.License, data *replacePage, d *replaced, key string) error {
	asked := d.asks(s.formOf(l.Type))
	asked.Key = "replace-" + c.person + "-" + key
	next, err := s.licenses.Replace(r.Context(), c.caller(), l.ID, asked)
	if err != nil {
		return s.notReplaced(w, r, c, l, data, d, err)
	}
	s.metrics.acts.WithLabelValues(data.Kind.path, "done").Inc()
	http.Redirect(w, r, c.at("/desk/licenses/"+next.ID, "done", data.Kind.path), http.StatusSeeOther)
	return nil
}

// notReplaced draws the form with what the register says of the data, or the
// licence as it stands where it is no longer to be replaced.
func (s *Service) notReplaced(w http.ResponseWriter, r *http.Request, c *clerk, l *licenses.License, data *replacePage, d *replaced, refused error) error {
	if problems := licenses.Problems(refused); len(problems) > 0 {
		s.metrics.acts.WithLabelValues(data.Kind.path, "refused").Inc()
		data.Form = d.fields(s.formOf(l.Type), problems, data.Form.Field(form.InKey).Value)
		return s.drawReplace(w, r, data, c, l)
	}
	if fault.KindOf(refused) != fault.Conflict {
		return refused
	}
	now, err := s.license(r.Context(), c, l.ID)
	if err != nil {
		return err
	}
	return s.refuse(w, r, c, now, licenses.Act(data.Kind.path), http.StatusConflict, textNotNow)
}

// hiddenForm carries what was filled in through the page that asks once more.
func hiddenForm(f web.Form) web.Form {
	var page web.Form
	for _, x := range f.Fields {
		page.Fields = append(page.Fields, web.Field{Name: x.Name, Type: "hidden", Value: x.Value})
	}
	return page
}

// differences compares a licence with its next version: what either says, in the
// order of the form, then what only the former knew, then the dates.
func (s *Service) differences(before, after *licenses.License) []difference {
	var list []difference
	seen := map[string]bool{}
	add := func(name string, label web.Text, shown func(any) web.Text) {
		old, had := before.Data[name]
		now, has := after.Data[name]
		if seen[name] = true; !had && !has {
			return
		}
		d := difference{Label: label, Before: textNone, After: textNone, Differs: had != has || !reflect.DeepEqual(old, now)}
		if had {
			d.Before = shown(old)
		}
		if has {
			d.After = shown(now)
		}
		list = append(list, d)
	}
	if f := s.formOf(before.Type); f != nil {
		for _, in := range f.Inputs {
			add(in.Name, in.Label, in.Shown)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.Data)) {
		if !seen[name] {
			add(name, web.Text{ZH: name, EN: name}, form.Input{}.Shown)
		}
	}
	return append(list, period(web.Text{ZH: "生效日期", EN: "Valid from"}, before.NotBefore, after.NotBefore),
		period(web.Text{ZH: "有效期至", EN: "Valid until"}, before.NotAfter.Add(-time.Second), after.NotAfter.Add(-time.Second)))
}

// versions lists the licences that share a number, the newest first; none while
// there is one.
func (s *Service) versions(ctx context.Context, c *clerk, l *licenses.License) ([]version, error) {
	all, err := s.licenses.History(ctx, l.Number)
	if err != nil {
		return nil, err
	}
	var list []version
	for _, v := range slices.Backward(all) {
		what := web.Text{ZH: "首次签发", EN: "First issued"}
		for _, r := range replacements {
			if r.kind == v.Kind {
				what = r.label
			}
		}
		list = append(list, version{No: v.Version, What: what, Address: c.at("/desk/licenses/" + v.ID), Current: v.ID == l.ID})
	}
	return list, nil
}

// version is a line of the versions of a licence.
type version struct {
	No      int
	What    web.Text
	Address string
	Current bool // it is the one on this page
}
