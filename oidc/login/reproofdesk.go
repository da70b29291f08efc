package login

import (
	"context"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// clerkFresh is how long after proving themselves, by passkey, a clerk may prove others.
const clerkFresh = 15 * time.Minute

var errNotIdentity = web.Refuse(fault.Denied, web.Text{ZH: "您的账号没有身份核验岗位。如需开通，请联系本部门管理员。",
	EN: "Your account has no post at an identity desk. Ask your agency's administrator for one."})

// isIdentityClerk finds at which agencies the visitor proves people. It answers with the
// way to sign in, and reports false, where they have not proved themselves by passkey
// lately.
func (s *Service) isIdentityClerk(w http.ResponseWriter, r *http.Request, id *web.Identity) (agencies []string, ok bool, err error) {
	agencies = slices.Compact(id.Agencies(web.RoleIdentity))
	if len(agencies) == 0 {
		return nil, false, errNotIdentity
	}
	if reaches(id.ACR, ACRPhishingResistant) && s.o.Now().Sub(id.AuthTime) <= clerkFresh {
		return agencies, true, nil
	}
	q := url.Values{"reauth": {"1"}, "acr": {ACRPhishingResistant}, "next": {"/desk/identity"}}
	http.Redirect(w, r, "/login?"+q.Encode(), http.StatusSeeOther)
	return nil, false, nil
}

// documents are the kinds of document that a desk looks at.
var documents = []web.Option{
	{Value: string(registry.Resident), Label: web.Text{ZH: "居民身份证", EN: "Resident card"}},
	{Value: string(registry.PermanentResident), Label: web.Text{ZH: "外国人永久居留身份证", EN: "Foreign permanent resident card"}},
	{Value: string(registry.HongKongMacau), Label: web.Text{ZH: "港澳居民来往内地通行证", EN: "Mainland travel permit, Hong Kong and Macau"}},
	{Value: string(registry.Taiwan), Label: web.Text{ZH: "台湾居民来往大陆通行证", EN: "Mainland travel permit, Taiwan"}},
	{Value: string(registry.Passport), Label: web.Text{ZH: "护照", EN: "Passport"}},
}

func documentText(kind registry.Kind) web.Text {
	for _, o := range documents {
		if o.Value == string(kind) {
			return o.Label
		}
	}
	return web.Text{}
}

// deskPage is what identitydesk.html sees: first the question for a document, then for
// the confirmation that it was seen.
type deskPage struct {
	Form     web.Form
	Open     []reproof // the clerk's codes that still work
	Done     bool      // one of them has just been withdrawn
	Name     string    // whom the document belongs to, "" before
	Document web.Text
	Confirm  string // sealed: see confirmation
}

// newDeskPage asks for a document, and for the agency where there are several.
func (s *Service) newDeskPage(ctx context.Context, agencies []string) (*deskPage, error) {
	p := &deskPage{Form: web.Form{Fields: []web.Field{
		{Name: "kind", Type: "select", Label: web.Text{ZH: "证件种类", EN: "Kind of document"}, Value: string(registry.Resident), Options: documents, Required: true},
		{Name: "number", Label: web.Text{ZH: "证件号码", EN: "Number of the document"}, Required: true, MaxLength: 32},
	}}}
	if len(agencies) < 2 {
		return p, nil
	}
	field := web.Field{Name: "agency", Type: "select", Label: web.Text{ZH: "您代表的部门", EN: "The agency that you work for"}, Value: agencies[0], Required: true}
	for _, a := range agencies {
		name, err := s.officeOf(ctx, a)
		if err != nil {
			return nil, err
		}
		field.Options = append(field.Options, web.Option{Value: a, Label: name})
	}
	p.Form.Fields = append(p.Form.Fields, field)
	return p, nil
}

// confirming makes the page ask whether the person and the document were seen.
func (p *deskPage) confirming(name string, kind registry.Kind, sealed string) *deskPage {
	p.Name, p.Document, p.Confirm = name, documentText(kind), sealed
	p.Form = web.Form{Fields: []web.Field{{Name: "seen", Required: true,
		Label: web.Text{ZH: "我已当面查看证件原件，核对本人与证件照片一致。", EN: "I have seen the document itself, and the person before me is the one in its picture."}}}}
	return p
}

func deskOf(p *deskPage) web.Page {
	page := web.Page{Template: "identitydesk", Title: web.Text{ZH: "身份核验窗口", EN: "Identity desk"}, Data: p, Wrong: p.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

func (s *Service) showDesk(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	agencies, ok, err := s.isIdentityClerk(w, r, id)
	if err != nil || !ok {
		return err
	}
	page, err := s.newDeskPage(r.Context(), agencies)
	if err != nil {
		return err
	}
	page.Done = r.URL.Query().Get("done") == "1"
	if page.Open, err = s.openReproofs(r.Context(), id.Person); err != nil {
		return err
	}
	return s.pages.Render(w, r, deskOf(page))
}

// takeDocument finds whose document it is and asks for the confirmation.
func (s *Service) takeDocument(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	agencies, ok, err := s.isIdentityClerk(w, r, id)
	if err != nil || !ok {
		return err
	}
	page, err := s.newDeskPage(r.Context(), agencies)
	if err != nil {
		return err
	}
	c := confirmation{Session: id.Session, Agency: agencies[0], Kind: registry.Kind(form["kind"])}
	if len(agencies) > 1 {
		c.Agency = form["agency"]
	}
	if !slices.Contains(agencies, c.Agency) || documentText(c.Kind) == (web.Text{}) {
		return fault.New(fault.Invalid, "the form is not as this page has it")
	}
	page.Form.Field("kind").Value, page.Form.Field("number").Value = form["kind"], form["number"]
	if len(agencies) > 1 {
		page.Form.Field("agency").Value = c.Agency
	}
	p, err := s.findSeen(r.Context(), id.Person, c.Kind, form["number"])
	if page.blameFind(w, err) {
		return s.pages.Render(w, r, deskOf(page))
	}
	if err != nil {
		return err
	}
	c.Person = p.ID
	sealed, err := s.sealConfirmation(r.Context(), c)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, deskOf(page.confirming(p.Name, c.Kind, sealed)))
}

// blameFind says on the page why nobody was found, and reports false for errors that
// are not the clerk's to mend.
func (p *deskPage) blameFind(w http.ResponseWriter, err error) bool {
	tooSoon, ok := errors.AsType[*waitError](err)
	switch {
	case err == nil:
		return false
	case ok:
		seconds := waitSeconds(w, tooSoon)
		p.Form.Problems = append(p.Form.Problems, tooMany(seconds))
	case errors.Is(err, registry.ErrPerson):
		p.Form.Blame("number", web.Text{ZH: "没有登记持此证件的人员，请核对种类和号码", EN: "Nobody is registered with this document. Check kind and number"})
	case errors.Is(err, errReproofNobody) || errors.Is(err, errReproofSelf):
		return p.Form.BlameFault(err)
	case fault.KindOf(err) == fault.Invalid:
		p.Form.Blame("number", web.Text{ZH: "证件号码格式不正确", EN: "The number is not one of such a document"})
	default:
		return false
	}
	return true
}

// findSeen returns the person with a document, who must have an open account and be
// somebody else. Lookups of a clerk are bounded.
func (s *Service) findSeen(ctx context.Context, clerk string, kind registry.Kind, number string) (registry.Person, error) {
	now := s.o.Now()
	number = strings.ToUpper(strings.TrimSpace(norm.NFKC.String(number)))
	if err := registry.CheckNumber(kind, number); err != nil {
		return registry.Person{}, err
	}
	if _, err := s.admitIn(ctx, triesHash("desk", []byte(clerk), nil, now.Truncate(triesWindow)), clerkFinds, now); err != nil {
		return registry.Person{}, err
	}
	p, err := s.o.Registry.FindPerson(ctx, kind, number)
	if err != nil {
		return registry.Person{}, err
	}
	if p.ID == clerk {
		return registry.Person{}, errReproofSelf
	}
	disabled, err := s.isDisabled(ctx, p.ID)
	if errors.Is(err, ErrAccount) || err == nil && disabled {
		err = errReproofNobody
	}
	return p, err
}

// confirmation is what waits sealed in the page that asks a clerk to confirm: whom they
// looked up. Nothing is stored until they do.
type confirmation struct {
	Session string        `json:"session"`
	Agency  string        `json:"agency"`
	Person  string        `json:"person"`
	Kind    registry.Kind `json:"kind"`
	Request string        `json:"request"`
	Until   int64         `json:"until"`
}

const (
	confirmationLabel = "login.reproof"
	confirmationLife  = 10 * time.Minute
)

// sealConfirmation seals c with a fresh name of the request and its end.
func (s *Service) sealConfirmation(ctx context.Context, c confirmation) (string, error) {
	c.Request, c.Until = db.NewID(), db.Micros(s.o.Now().Add(confirmationLife))
	plain, err := json.Marshal(c)
	if err != nil {
		return "", errors.New("encode confirmation")
	}
	sealed, err := s.o.Sealer.Seal(ctx, plain, []byte(confirmationLabel))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// openConfirmation reports false for what is none, too old, or another session's.
func (s *Service) openConfirmation(ctx context.Context, session, text string) (c confirmation, ok bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) == 0 {
		return c, false
	}
	plain, err := s.o.Sealer.Open(ctx, sealed, []byte(confirmationLabel))
	if err != nil || json.Unmarshal(plain, &c) != nil {
		return c, false
	}
	return c, c.Session == session && s.o.Now().Before(db.Time(c.Until))
}

// codePage is what identitycode.html sees.
type codePage struct {
	Code, ID, Address string
	Office            web.Text
	Expires           time.Time
}

// identityCodeOf draws the paper. It does not say whose it is, for whoever finds it.
func identityCodeOf(p codePage) web.Page {
	return web.Page{Template: "identitycode", Title: web.Text{ZH: "账户恢复代码", EN: "A code for your account"}, Data: p}
}

// takeSighting makes the code and shows it, in the answer itself and never again.
func (s *Service) takeSighting(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	agencies, ok, err := s.isIdentityClerk(w, r, id)
	if err != nil || !ok {
		return err
	}
	c, ok := s.openConfirmation(r.Context(), id.Session, form["confirm"])
	if !ok || !slices.Contains(agencies, c.Agency) {
		http.Redirect(w, r, "/desk/identity", http.StatusSeeOther)
		return nil
	}
	if form["seen"] != "1" {
		p, err := s.o.Registry.PersonByID(r.Context(), c.Person)
		if err != nil {
			return err
		}
		page := (&deskPage{}).confirming(p.Name, c.Kind, form["confirm"])
		page.Form.Blame("seen", web.Text{ZH: "请确认您已当面查看证件原件", EN: "Confirm that you have seen the person and the document"})
		return s.pages.Render(w, r, deskOf(page))
	}
	code, made, err := s.beginReproof(r.Context(), sighting{clerk: id.Person, session: id.Session, agency: c.Agency, person: c.Person, document: c.Kind, request: c.Request})
	if err != nil {
		return err
	}
	office, err := s.officeOf(r.Context(), c.Agency)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, identityCodeOf(codePage{Code: code, ID: made.ID, Address: s.o.Issuer + "/login/code", Office: office, Expires: made.Expires}))
}

// takeCancel voids a code of one of the clerk's desks.
func (s *Service) takeCancel(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	agencies, ok, err := s.isIdentityClerk(w, r, id)
	if err != nil || !ok {
		return err
	}
	for _, a := range agencies {
		if err := s.cancelReproof(r.Context(), id.Person, a, form["id"]); err != nil {
			return err
		}
	}
	http.Redirect(w, r, "/desk/identity?done=1", http.StatusSeeOther)
	return nil
}
