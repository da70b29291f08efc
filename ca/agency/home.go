package agency

import (
	"net/http"
	"net/url"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// row is a request or a certificate in a list.
type row struct {
	Address string
	Profile web.Text
	Of      string
	At      time.Time
	Tag     tag
}

// homePage is what home.html sees.
type homePage struct {
	Agency       web.Text // "" for an officer without an agency
	Choice       []web.Field
	Chosen       string // the agency's id, for people of several
	New          string
	Officer      bool
	Waiting      []row  // for an officer, of all agencies
	MoreWaiting  string // address of the older ones, "" after the last
	Requests     []row
	MoreRequests string
	Certificates []row
	Find         web.Form // what certificates are looked for
	Looking      bool     // something is
	Next         string   // address of the next certificates, "" after the last
	Expiring     []row    // that end within expiringSoon, when nothing is looked for
}

const (
	listRows     = 50
	expiringSoon = 30 * 24 * time.Hour
)

func (s *Service) getHome(w http.ResponseWriter, r *http.Request, v *visitor) error {
	data := homePage{Officer: v.officer, New: v.at("/agency/new"), Choice: v.choice()}
	if len(v.agencies) > 1 {
		data.Chosen = v.agency.ID
	}
	var err error
	if v.officer {
		if data.Waiting, data.MoreWaiting, err = s.requestRows(r, inWaiting, ca.PendingFilter{State: ca.Waiting}); err != nil {
			return err
		}
	}
	if v.agency.ID != "" {
		data.Agency = nameOf(v.agency)
		if data.Requests, data.MoreRequests, err = s.requestRows(r, inRequests, ca.PendingFilter{Agency: v.agency.ID}); err != nil {
			return err
		}
		if err := s.find(r, v, &data); err != nil {
			return err
		}
	}
	return s.pages.Render(w, r, web.Page{Template: "home", Title: web.Text{ZH: "部门证书", EN: "Agency certificates"}, Data: &data, Wide: true, Wrong: data.Find.Wrong()})
}

// choice is the choice of agency, for people of several.
func (v *visitor) choice() []web.Field {
	if len(v.agencies) < 2 {
		return nil
	}
	f := web.Field{Name: "agency", Type: "select", Label: web.Text{ZH: "部门", EN: "Agency"}, Value: v.agency.ID}
	for _, a := range v.agencies {
		f.Options = append(f.Options, web.Option{Value: a.ID, Label: nameOf(a)})
	}
	return []web.Field{f}
}

// Where lists of requests go on.
const (
	inWaiting  = "waiting"
	inRequests = "requests"
)

// requestRows returns requests, the newest first, from where the input named on says, and
// the address of those after them.
func (s *Service) requestRows(r *http.Request, on string, f ca.PendingFilter) (rows []row, more string, err error) {
	q := r.URL.Query()
	f.Before, f.Limit = q.Get(on), listRows+1
	list, err := s.o.CA.ListPending(r.Context(), f)
	if err != nil {
		return nil, "", err
	}
	if len(list) > listRows {
		list = list[:listRows]
		q.Set(on, list[listRows-1].ID)
		more = "/agency?" + q.Encode()
	}
	rows = make([]row, len(list))
	for i, p := range list {
		r := p.Request
		of := r.Agency
		if of == "" {
			of = r.Firm + r.Person
		}
		rows[i] = row{Address: "/agency/requests/" + p.ID, Profile: profileWord(r.Profile), Of: of, At: p.CreatedAt, Tag: stateTag(p.State)}
	}
	return rows, more, nil
}

// inAfter is where a search goes on.
const inAfter = "after"

// findForm returns the form that says which certificates to show.
func findForm(q url.Values) web.Form {
	states := []web.Option{{Value: "", Label: web.Text{ZH: "全部状态", EN: "Any state"}}}
	for _, status := range []ca.Status{ca.Issued, ca.Held, ca.Revoked} {
		states = append(states, web.Option{Value: string(status), Label: statusTags[status].Word})
	}
	return web.Form{Fields: []web.Field{
		{Name: "q", Label: web.Text{ZH: "名称，或证书序列号的前8位以上", EN: "Name, or 8 digits or more of the serial number"}, Value: q.Get("q"), MaxLength: 64},
		{Name: "state", Label: web.Text{ZH: "状态", EN: "State"}, Type: "select", Options: states, Value: q.Get("state")},
	}}
}

// find looks for certificates as the address says, and for those that end soon where
// it says nothing.
func (s *Service) find(r *http.Request, v *visitor, data *homePage) error {
	q := r.URL.Query()
	data.Find = findForm(q)
	data.Looking = q.Get("q") != "" || q.Get("state") != "" || q.Get(inAfter) != ""
	page, err := s.o.CA.Search(r.Context(), ca.Query{Text: q.Get("q"), Status: ca.Status(q.Get("state")), Agency: v.agency.ID, After: q.Get(inAfter), Limit: listRows})
	if fault.KindOf(err) == fault.Invalid {
		data.Find.Blame("q", web.Text{ZH: "无法按此条件查找", EN: "Nothing can be looked for so"})
		return nil
	}
	if err != nil {
		return err
	}
	data.Certificates = s.certificateRows(page.Certificates)
	if page.Next != "" {
		q.Set(inAfter, page.Next)
		data.Next = "/agency?" + q.Encode()
	}
	if data.Looking {
		return nil
	}
	soon, err := s.o.CA.Expiring(r.Context(), expiringSoon, ca.Query{Agency: v.agency.ID, Limit: listRows})
	data.Expiring = s.certificateRows(soon.Certificates)
	return err
}

func (s *Service) certificateRows(list []ca.Certificate) (rows []row) {
	for _, c := range list {
		if c.Status != ca.Abandoned {
			rows = append(rows, row{Address: "/agency/certificates/" + c.Serial, Profile: profileWord(c.Profile), Of: c.Subject, At: c.NotAfter, Tag: statusTag(c, s.o.Now())})
		}
	}
	return rows
}
