package agency

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-city/signet/ca"
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
	New          string
	Officer      bool
	Waiting      []row // for an officer, of all agencies
	Requests     []row
	Certificates []row
}

const listRows = 50

func (s *Service) getHome(w http.ResponseWriter, r *http.Request, v *visitor) error {
	data := homePage{Officer: v.officer, New: v.at("/agency/new"), Choice: v.choice()}
	var err error
	if v.officer {
		if data.Waiting, err = s.requestRows(r.Context(), ca.PendingFilter{State: ca.Waiting, Limit: listRows}); err != nil {
			return err
		}
	}
	if v.agency.ID != "" {
		data.Agency = nameOf(v.agency)
		if data.Requests, err = s.requestRows(r.Context(), ca.PendingFilter{Agency: v.agency.ID, Limit: listRows}); err != nil {
			return err
		}
		if data.Certificates, err = s.certificateRows(r.Context(), v.agency.ID); err != nil {
			return err
		}
	}
	return s.pages.Render(w, r, web.Page{Template: "home", Title: web.Text{ZH: "部门证书", EN: "Agency certificates"}, Data: &data, Wide: true})
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

func (s *Service) requestRows(ctx context.Context, f ca.PendingFilter) ([]row, error) {
	list, err := s.o.CA.ListPending(ctx, f)
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(list))
	for i, p := range list {
		r := p.Request
		of := r.Agency
		if of == "" {
			of = r.Firm + r.Person
		}
		rows[i] = row{Address: "/agency/requests/" + p.ID, Profile: profileWord(r.Profile), Of: of, At: p.CreatedAt, Tag: stateTag(p.State)}
	}
	return rows, nil
}

func (s *Service) certificateRows(ctx context.Context, agency string) ([]row, error) {
	list, err := s.o.CA.List(ctx, ca.Filter{Agency: agency, Limit: listRows})
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, c := range list {
		if c.Status != ca.Abandoned {
			rows = append(rows, row{Address: "/agency/certificates/" + c.Serial, Profile: profileWord(c.Profile), Of: c.Subject, At: c.NotAfter, Tag: statusTag(c.Status)})
		}
	}
	return rows, nil
}
