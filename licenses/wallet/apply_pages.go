package wallet

import (
	"cmp"
	"context"
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

const inMessage = "message"

// inFor is the input that says for whom a form was drawn: a session may come to act for
// another firm, in another window, before the form is sent in. No property of a type's
// schema may have its name.
const inFor = "wallet-for"

var errSwitched = web.Refuse(fault.Conflict, web.Text{ZH: "打开此表单后，您已切换办理对象，申请没有提交。请在“我的证照”切换后重新填写。",
	EN: "You have come to act for somebody else since you opened this form, and it was not sent in. Switch on “My permits” and fill it in again."})

// shown is what a form that was drawn for the holder says.
func (h holder) shown() string { return cmp.Or(h.Firm, self) }

// isOf reports whether a form was drawn for the holder, or does not say.
func (h holder) isOf(values url.Values) bool {
	return !values.Has(inFor) || slices.Equal(values[inFor], []string{h.shown()})
}

// offer is a type that can be applied for.
type offer struct {
	ID   string
	Name web.Text
}

// sent is an application as a page shows it.
type sent struct {
	licenses.Applied
	Name   web.Text // of the type
	Office web.Text // of the agency
	Former web.Text // the agency that was asked, where another has taken its place
	Tag    string   // class
	Word   web.Text
	Says   web.Text // what follows for the holder
	Waits  bool     // it can be withdrawn
	Fields []field
	Papers []paper
	Needed []web.Text // required papers that are missing
	Attach *web.Form  // nil: nothing can be added
}

// paper is an attached file.
type paper struct {
	licenses.Attached
	Name web.Text
	KB   int64
}

// attach adds what comes with an application, and the form for more.
func (a *sent) attach(t *licenses.Type) {
	for _, one := range a.Attached {
		p := paper{Attached: one, Name: web.Text{ZH: one.Slot, EN: one.Slot}, KB: (one.Size + 1023) / 1024}
		if slot := t.Slot(one.Slot); slot != nil {
			p.Name = web.Text(slot.Names)
		}
		a.Papers = append(a.Papers, p)
	}
	if !a.Waits {
		return
	}
	for _, slot := range t.Missing(a.Attached) {
		a.Needed = append(a.Needed, web.Text(slot.Names))
	}
	if len(t.Attachments) > 0 && len(a.Attached) < licenses.MaxAttached {
		a.Attach = form.AttachForm(t, db.NewID())
	}
}

// standing are the words for where an application stands.
var standing = map[string]struct {
	tag        string
	word, says web.Text
}{
	"submitted": {"wait", web.Text{ZH: "待审核", EN: "With the agency"}, web.Text{ZH: "发证机关正在审核。如有问题会在这里询问您。", EN: "The agency is looking at it. If it has a question, it asks here."}},
	"reviewed":  {"wait", web.Text{ZH: "复审中", EN: "In second review"}, web.Text{ZH: "已通过初审，发证机关的另一名工作人员正在复审。", EN: "A first clerk has agreed. A second one is looking at it."}},
	"approved":  {"wait", web.Text{ZH: "签发中", EN: "Being issued"}, web.Text{ZH: "已通过审核，证照正在签发，请稍候刷新本页。", EN: "It is approved and being issued. Reload this page in a moment."}},
	"issued":    {"good", web.Text{ZH: "已签发", EN: "Issued"}, web.Text{ZH: "证照已签发，可在“我的证照”查看和出示。", EN: "The permit is issued: see and show it on “My permits”."}},
	"rejected":  {"bad", web.Text{ZH: "已退回", EN: "Rejected"}, web.Text{ZH: "更正后可以重新申请。", EN: "Once the matter is put right, you can apply again."}},
	"failed":    {"bad", web.Text{ZH: "未能签发", EN: "Not issued"}, web.Text{ZH: "更正后可以重新申请。", EN: "Once the matter is put right, you can apply again."}},
	"withdrawn": {"", web.Text{ZH: "已撤回", EN: "Withdrawn"}, web.Text{ZH: "此申请已撤回。", EN: "It has been withdrawn."}},
}

// sent gathers what a page says of an application. A step of the agency's own is
// shown as waiting.
func (s *Service) sent(ctx context.Context, a licenses.Applied) (out sent, err error) {
	out = sent{Applied: a, Name: web.Text{ZH: a.Type, EN: a.Type}, Waits: a.State == "submitted" || a.State == "reviewed"}
	st, ok := standing[a.State]
	if !ok {
		st = standing["submitted"]
	}
	out.Tag, out.Word, out.Says = st.tag, st.word, st.says
	if t := typeOf(s.o.Licenses.Types(), a.Type); t != nil {
		out.Name, out.Fields = web.Text(t.Names), fields(t, a.Data)
		out.attach(t)
	}
	if out.Office, err = s.agencyName(ctx, cmp.Or(a.Office, a.Agency)); err != nil || a.Office == "" || a.Office == a.Agency {
		return out, err
	}
	out.Former, err = s.agencyName(ctx, a.Agency)
	return out, err
}

// applyData is what apply.html sees.
type applyData struct {
	Holder holder
	Offers []offer
	Found  bool // a person can start a firm
	Drafts []draftRow
	Sent   []sent
}

var applyTitle = web.Text{ZH: "申请证照", EN: "Apply for a permit"}

func (s *Service) getApply(w http.ResponseWriter, r *http.Request, h holder, by licenses.Applicant) error {
	list, err := s.o.Applications.AppliedFor(r.Context(), by)
	if err != nil {
		return err
	}
	data := applyData{Holder: h, Found: s.o.Foundings != nil && h.Firm == ""}
	if data.Drafts, err = s.draftRows(r.Context(), h, by); err != nil {
		return err
	}
	for _, t := range s.offered(h.kind) {
		data.Offers = append(data.Offers, offer{t.ID, web.Text(t.Names)})
	}
	for _, a := range list {
		one, err := s.sent(r.Context(), a)
		if err != nil {
			return err
		}
		data.Sent = append(data.Sent, one)
	}
	return s.pages.Render(w, r, applyPage(data))
}

func applyPage(data applyData) web.Page {
	return web.Page{Template: "apply", Title: applyTitle, Data: data}
}

// claimData is what claim.html sees.
type claimData struct {
	Holder  holder
	Type    string
	Name    web.Text
	Form    web.Form
	Offices int   // that may issue it now
	Kept    *kept // nil unless it is a draft
}

// claimForm adds to the inputs of a type the agency that is asked, and the form's key.
func claimForm(page web.Form, offices []registry.Agency, chosen, key string) web.Form {
	f := web.Field{Name: form.InAgency, Type: "radio", Required: true, Value: chosen, Label: web.Text{ZH: "发证机关", EN: "Agency that issues it"}}
	for _, a := range offices {
		f.Options = append(f.Options, web.Option{Value: a.ID, Label: web.Text{ZH: a.NameZH, EN: a.NameEN}})
	}
	switch {
	case len(offices) == 1:
		f.Value = offices[0].ID
	case len(offices) > 5:
		f.Type = "select"
		f.Options = append([]web.Option{{Label: web.Text{ZH: "请选择", EN: "Choose one"}}}, f.Options...)
	}
	page.Fields = append([]web.Field{{Name: form.InKey, Type: "hidden", Value: key}, f}, page.Fields...)
	return page
}

func claimPage(h holder, f *form.Form, page web.Form) web.Page {
	name := web.Text(f.Type.Names)
	p := web.Page{Template: "claim", Title: web.Text{ZH: "申请" + name.ZH, EN: "Apply: " + name.EN}, Wrong: page.Wrong()}
	offices := 0
	page.Fields = append(page.Fields, web.Field{Name: inFor, Type: "hidden", Value: h.shown()})
	if agency := page.Field(form.InAgency); agency != nil {
		offices = len(agency.Options)
	}
	p.Data = &claimData{Holder: h, Type: f.Type.ID, Name: name, Form: page, Offices: offices}
	if p.Wrong {
		p.Status = http.StatusBadRequest
	}
	return p
}

// sentData is what sent.html sees.
type sentData struct {
	sent
	For    holder
	Answer *web.Form // nil unless a question waits
}

// answerForm asks for the answer to a question, nil if none waits.
func answerForm(a licenses.Applied, key string) *web.Form {
	if !a.Asked || standing[a.State].tag == "bad" || a.State == "withdrawn" || a.State == "issued" {
		return nil
	}
	return &web.Form{Fields: []web.Field{{Name: form.InKey, Type: "hidden", Value: key}, {Name: inMessage, Type: "textarea", Required: true,
		Label: web.Text{ZH: "您的答复", EN: "Your answer"}, Hint: web.Text{ZH: "最多 1000 字", EN: "Up to 1,000 characters"}}}}
}

func sentPage(h holder, a sent, answer *web.Form) web.Page {
	p := web.Page{Template: "sent", Title: web.Text{ZH: a.Name.ZH + "申请", EN: "Application: " + a.Name.EN}, Data: sentData{a, h, answer}}
	if answer != nil && answer.Wrong() || a.Attach != nil && a.Attach.Wrong() {
		p.Wrong, p.Status = true, http.StatusBadRequest
	}
	return p
}
