package wallet

import (
	"context"
	"net/http"
	"slices"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// founding is an application for a new firm as a page shows it.
type founding struct {
	*licenses.Founding
	Address string
	Office  web.Text // of the agency
	Tag     string   // class
	Word    web.Text
	Says    web.Text // what follows for the applicant
	Waits   bool     // it can be withdrawn
	Fields  []field
}

// foundingStanding are the words for where an application for a new firm stands.
var foundingStanding = map[licenses.FoundingState]struct {
	tag        string
	word, says web.Text
}{
	licenses.FoundingSubmitted: {"wait", web.Text{ZH: "待审核", EN: "With the agency"}, web.Text{ZH: "登记机关正在审核。通过后，企业登记、营业执照、您的代表权限和企业登录证书的订购一次办成。",
		EN: "The agency is looking at it. When it approves, the firm, its business licence, your right to act for it and the order for its sign-in certificate are made at once."}},
	licenses.FoundingDone:      {"good", web.Text{ZH: "已设立", EN: "Founded"}, web.Text{ZH: "企业已登记设立，您是其法定代表人。", EN: "The firm is registered, and you are its legal representative."}},
	licenses.FoundingRejected:  {"bad", web.Text{ZH: "已退回", EN: "Rejected"}, web.Text{ZH: "更正后可以重新申请。", EN: "Once the matter is put right, you can apply again."}},
	licenses.FoundingWithdrawn: {"", web.Text{ZH: "已撤回", EN: "Withdrawn"}, web.Text{ZH: "您已撤回此申请。", EN: "You have withdrawn it."}},
}

// founding gathers what a page says of an application for a new firm.
func (s *Service) founding(ctx context.Context, f *licenses.Founding) (out founding, err error) {
	st := foundingStanding[f.State]
	out = founding{Founding: f, Address: foundingAt(f.ID), Tag: st.tag, Word: st.word, Says: st.says, Waits: f.State == licenses.FoundingSubmitted}
	if t := typeOf(s.o.Licenses.Types(), licenses.FirmType); t != nil {
		out.Fields = fields(t, f.Data)
	}
	out.Office, err = s.agencyName(ctx, f.Registrar())
	return out, err
}

// foundData is what found.html sees.
type foundData struct {
	Person  string   // who will be the legal representative
	SignIn  string   // address where the person proves themselves better first; "" for those who have
	Form    web.Form // empty beside SignIn
	Offices int      // that register firms now
	Sent    []founding
	Full    bool // too many wait: the form, which was right, was not sent in
}

// newFoundData adds to the inputs of a new firm the agency that is asked, and the form's key.
func newFoundData(person string, page web.Form, offices []registry.Agency, chosen, key string) foundData {
	page = claimForm(page, offices, chosen, key)
	page.Field(form.InAgency).Label = web.Text{ZH: "登记机关", EN: "Agency that registers it"}
	return foundData{Person: person, Form: page, Offices: len(offices)}
}

var foundTitle = web.Text{ZH: "开办企业", EN: "Start a firm"}

func foundPage(data foundData) web.Page {
	p := web.Page{Template: "found", Title: foundTitle, Data: &data, Wrong: data.Form.Wrong()}
	switch {
	case data.SignIn != "":
		p.Status = http.StatusForbidden
	case data.Full:
		p.Status, p.Wrong = http.StatusConflict, true
	case p.Wrong:
		p.Status = http.StatusBadRequest
	}
	return p
}

// foundingData is what founding.html sees.
type foundingData struct {
	founding
	Person string
	May    bool   // the person may act for the firm
	Permit string // address of the licence, for whoever acts for the firm already
}

func foundingPage(person string, f founding, h holder) web.Page {
	data := foundingData{founding: f, Person: person}
	if f.Firm != "" {
		data.May = slices.ContainsFunc(h.Firms, func(one registry.Firm) bool { return one.USCC == f.Firm })
		if data.May && h.Firm == f.Firm && f.License != nil {
			data.Permit = "/wallet/" + f.License.ID
		}
	}
	return web.Page{Template: "founding", Title: web.Text{ZH: "开办企业：" + f.Name, EN: "New firm: " + f.Name}, Data: &data}
}
