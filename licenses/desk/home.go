package desk

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

const (
	homeRows = 5
	listRows = 20
)

// link is somewhere to go.
type link struct {
	Name    web.Text
	Address string
	Current bool
}

// row is an application or a licence in a list.
type row struct {
	Address string
	Pick    string   // its id, if it can be ticked
	Number  string   // of a licence
	Agency  web.Text // that issued it, or was asked, where the clerk's has taken its place
	Office  web.Text // that deals with an application, where it has taken the place of the clerk's
	Type    web.Text
	Holder  string // name
	By      string // submitter
	Online  bool   // its holder sent it
	At      time.Time
	Tag     tag
}

// desk is what stands on every page of the desk.
type desk struct {
	Agency web.Text
	Home   string
}

func (c *clerk) desk() desk { return desk{c.agency.Name, c.at("/desk")} }

// homePage is what home.html sees.
type homePage struct {
	desk
	Agencies []web.Field // one select, if there is a choice
	Types    []link
	Drafts   draftList
	Waiting  []row
	Second   []row // that wait for a second review
	Seconds  string
	AllApps  string
	Recent   []row
	AllLics  string
	Search   searchForm
	Firms    *firmQueue // nil for an agency that registers none
}

func (s *Service) getHome(w http.ResponseWriter, r *http.Request, c *clerk) error {
	ctx := r.Context()
	data := homePage{desk: c.desk(), Agencies: c.selector(), AllApps: c.at("/desk/applications"), Seconds: c.at("/desk/applications", "state", string(reviewed)), AllLics: c.at("/desk/licenses"),
		Search: c.search("")}
	for _, t := range s.types() {
		ok, err := s.may(ctx, c, t.ID)
		if err != nil {
			return err
		}
		if ok && s.formOf(t.ID) != nil {
			data.Types = append(data.Types, link{Name: web.Text(t.Names), Address: c.at("/desk/" + t.ID + "/new")})
		}
	}
	var err error
	if data.Drafts, err = s.draftList(ctx, c); err != nil {
		return err
	}
	for in, rows := range map[state]*[]row{submitted: &data.Waiting, reviewed: &data.Second} {
		waiting, _, err := s.queue(ctx, c.agency.ID, in, "", homeRows)
		if err != nil {
			return err
		}
		if *rows, err = s.applicationRows(ctx, c, waiting); err != nil {
			return err
		}
	}
	recent, _, err := s.licenses.List(ctx, licenses.Filter{Agency: c.agency.ID, Limit: homeRows})
	if err != nil {
		return err
	}
	if data.Recent, err = s.licenseRows(ctx, c, recent); err != nil {
		return err
	}
	if data.Firms, err = s.firmQueue(ctx, c); err != nil {
		return err
	}
	return s.pages.Render(w, r, web.Page{Template: "home", Title: web.Text{ZH: "证照窗口", EN: "Licence desk"}, Data: &data, Wide: true})
}

// selector is the choice of agency, for clerks of several.
func (c *clerk) selector() []web.Field {
	if len(c.agencies) < 2 {
		return nil
	}
	f := web.Field{Name: inAgency, Type: "select", Label: web.Text{ZH: "办理部门", EN: "Agency"}, Value: c.agency.ID}
	for _, a := range c.agencies {
		f.Options = append(f.Options, web.Option{Value: a.ID, Label: a.Name})
	}
	return []web.Field{f}
}

func (s *Service) applicationRows(ctx context.Context, c *clerk, list []*application) ([]row, error) {
	holders, err := s.holders(ctx, list)
	if err != nil {
		return nil, err
	}
	fromHolder, err := s.asked(ctx, list)
	if err != nil {
		return nil, err
	}
	people := s.names()
	rows := make([]row, len(list))
	for i, a := range list {
		by, err := people.of(ctx, a.Submitter)
		if err != nil {
			return nil, err
		}
		_, online := fromHolder[a.ID]
		rows[i] = row{Address: c.at("/desk/applications/" + a.ID), Type: s.typeName(a.Request.Type), Holder: holders[holderOf(a.Request.Holder)],
			By: by, Online: online, At: a.Created, Tag: a.State.tag()}
		if rows[i].Agency, err = s.otherAgency(ctx, c, a.Agency); err != nil {
			return nil, err
		}
		office, err := s.dealing(ctx, a)
		if err != nil {
			return nil, err
		}
		if rows[i].Office, err = s.otherAgency(ctx, c, office); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (s *Service) licenseRows(ctx context.Context, c *clerk, list []*licenses.License) ([]row, error) {
	rows := make([]row, len(list))
	for i, l := range list {
		rows[i] = row{Address: c.at("/desk/licenses/" + l.ID), Number: l.Number, Type: s.typeName(l.Type), Holder: l.Holds(),
			At: l.Created, Tag: licenseTag(l, s.now())}
		var err error
		if rows[i].Agency, err = s.otherAgency(ctx, c, l.Agency); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// applicationsPage is what applications.html sees.
type applicationsPage struct {
	desk
	Tabs        []link
	Rows        []row
	Bulk        *bulkForm // nil: nothing can be ticked
	First, Next string
}

func (s *Service) getApplications(w http.ResponseWriter, r *http.Request, c *clerk) error {
	in, after := state(r.Form.Get("state")), r.Form.Get("after")
	if in == "" {
		in = submitted
	}
	if !in.known() || !isID(after) {
		return fault.New(fault.NotFound, "no such page")
	}
	list, next, err := s.queue(r.Context(), c.agency.ID, in, after, listRows)
	if err != nil {
		return err
	}
	data := applicationsPage{desk: c.desk()}
	if data.Rows, err = s.applicationRows(r.Context(), c, list); err != nil {
		return err
	}
	if in.waits() {
		if data.Bulk, err = s.pickApplications(r.Context(), c, in, data.Rows, list); err != nil {
			return err
		}
	}
	for _, t := range stateTags {
		data.Tabs = append(data.Tabs, link{t.tag.Word, c.at("/desk/applications", "state", string(t.state)), t.state == in})
	}
	if after != "" {
		data.First = c.at("/desk/applications", "state", string(in))
	}
	if next != "" {
		data.Next = c.at("/desk/applications", "state", string(in), "after", next)
	}
	title := web.Text{ZH: "申请 - " + in.tag().Word.ZH, EN: "Applications: " + in.tag().Word.EN}
	return s.pages.Render(w, r, web.Page{Template: "applications", Title: title, Data: &data, Wide: true})
}

// isID reports whether s can be where a page begins: "" or an identifier.
func isID(s string) bool {
	_, err := db.IDBytes(s)
	return s == "" || err == nil
}
