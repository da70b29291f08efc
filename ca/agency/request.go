package agency

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// requestPage is what request.html sees.
type requestPage struct {
	Home, Self         string
	Profile            web.Text
	Tag                tag
	Of                 web.Text
	Name               string
	Hosts              []string
	KeyType, Key       string
	Until              time.Time // zero: as long as the profile says
	Requester, Decider string
	Reason             string
	Note               web.Text // why it failed
	Created, Expires   time.Time
	Decided            time.Time
	Certificate        string
	Said               web.Form  // why nothing was done, if so
	Form               *web.Form // of an officer's decision
	Weak               bool      // an officer without a passkey
	Withdraw           bool
}

// request returns the request of the path, if the visitor may see it, and for an
// agency's own makes v look at that agency.
func (s *Service) request(r *http.Request, v *visitor) (ca.Pending, error) {
	p, err := s.o.CA.Pending(r.Context(), r.PathValue("id"))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return p, errNotFound
	}
	if err != nil {
		return p, err
	}
	if !v.choose(p.Request.Agency) && !v.officer {
		return p, errNotFound
	}
	return p, nil
}

func (s *Service) getRequest(w http.ResponseWriter, r *http.Request, v *visitor) error {
	p, err := s.request(r, v)
	if err != nil {
		return err
	}
	return s.drawRequest(w, r, v, p, decisionForm(), 0)
}

func decisionForm() web.Form {
	return web.Form{Fields: []web.Field{{Name: inReason, Type: "textarea", Required: true, Label: web.Text{ZH: "理由", EN: "Reason"},
		Hint: web.Text{ZH: "申请人可以看到，并记入日志；请勿写入姓名", EN: "Whoever asked sees it, and the log keeps it. Name nobody"}}}}
}

func (s *Service) drawRequest(w http.ResponseWriter, r *http.Request, v *visitor, p ca.Pending, form web.Form, status int) error {
	data, err := s.requestPage(r, v, p, form)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, web.Page{Template: "request", Title: web.Text{ZH: "证书申请", EN: "Request for a certificate"}, Status: status, Wrong: form.Wrong(), Data: data})
}

func (s *Service) requestPage(r *http.Request, v *visitor, p ca.Pending, form web.Form) (*requestPage, error) {
	q := p.Request
	d := &requestPage{Home: v.at("/agency"), Self: "/agency/requests/" + p.ID, Said: form, Profile: profileWord(q.Profile), Tag: stateTag(p.State), Of: web.Text{ZH: q.Firm + q.Person, EN: q.Firm + q.Person},
		Name: q.Name, Hosts: q.Hosts, Until: q.NotAfter, Reason: p.Reason, Note: ca.NoteText(p.Note), Created: p.CreatedAt, Expires: p.ExpiresAt, Decided: p.DecidedAt}
	if q.Agency != "" {
		a, err := s.o.Registry.FindAgency(r.Context(), q.Agency)
		if err != nil {
			return nil, err
		}
		d.Of = nameOf(a)
	}
	if csr, err := ca.ParseCSR(q.Profile, q.CSR); err == nil { // it was when it was kept
		sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
		d.Key = hex.EncodeToString(sum[:])
		if kind, err := profile.AlgorithmOf(csr.PublicKey); err == nil {
			d.KeyType = string(kind)
		}
	}
	var err error
	if d.Requester, err = s.who(r.Context(), q.Actor); err != nil {
		return nil, err
	}
	if p.Decider != "" {
		if d.Decider, err = s.who(r.Context(), "person:"+p.Decider); err != nil {
			return nil, err
		}
	}
	mine := q.Agency != "" && v.agency.ID == q.Agency
	if p.Serial != "" && mine {
		d.Certificate = "/agency/certificates/" + p.Serial
	}
	if p.State == ca.Waiting {
		d.Withdraw = mine
		if v.officer && !mine {
			d.Form, d.Weak = &form, !v.strong
		}
	}
	return d, nil
}

var errWeak = web.Refuse(fault.Denied, web.Text{ZH: "请使用通行密钥登录：此处不接受其他登录方式。", EN: "Sign in with a passkey: no other proof is enough here."})

// postRequest does what the one button says that was pressed.
func (s *Service) postRequest(w http.ResponseWriter, r *http.Request, v *visitor) error {
	p, err := s.request(r, v)
	if err != nil {
		return err
	}
	switch act := r.PostForm.Get("act"); act {
	case "withdraw":
		if p.Request.Agency == "" || v.agency.ID != p.Request.Agency {
			return web.Refuse(fault.Denied, textNotYours)
		}
		_, err = s.o.CA.Withdraw(r.Context(), p.ID, "person:"+v.person)
	case "approve", "reject":
		if !v.strong {
			return errWeak
		}
		reason := strings.Join(strings.Fields(visible(r.PostForm.Get(inReason))), " ")
		if reason == "" || len(reason) > 500 {
			form := decisionForm()
			form.Field(inReason).Value = reason
			form.Blame(inReason, web.Text{ZH: "理由须填写，不超过 160 字", EN: "A reason of at most 500 bytes is required"})
			return s.drawRequest(w, r, v, p, form, http.StatusBadRequest)
		}
		// A decision is made once, so that the request's id is key enough.
		_, err = s.o.CA.Decide(r.Context(), p.ID, ca.Decision{Person: v.person, Approve: act == "approve", Reason: reason, Key: act + ":" + p.ID})
	default:
		return fault.New(fault.Invalid, "want withdraw, approve or reject")
	}
	return s.afterwards(w, r, v, p.ID, err)
}

// afterwards leads to the request as it stands now, or says why nothing was done.
func (s *Service) afterwards(w http.ResponseWriter, r *http.Request, v *visitor, id string, err error) error {
	list, ok := says(err)
	if !ok {
		if err == nil {
			http.Redirect(w, r, "/agency/requests/"+id, http.StatusSeeOther)
		}
		return err
	}
	p, found := s.o.CA.Pending(r.Context(), id)
	if found != nil {
		return found
	}
	form := decisionForm()
	form.Field(inReason).Value = visible(r.PostForm.Get(inReason))
	form.Problems = list
	return s.drawRequest(w, r, v, p, form, web.Status(err))
}
