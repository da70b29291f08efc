package desk

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// foundingTags are the states of an application for a new firm, in the order of the tabs.
var foundingTags = []struct {
	state licenses.FoundingState
	tag   tag
}{
	{licenses.FoundingSubmitted, tag{web.Text{ZH: "待审核", EN: "Waiting"}, "wait"}},
	{licenses.FoundingDone, tag{web.Text{ZH: "已设立", EN: "Founded"}, "good"}},
	{licenses.FoundingRejected, tag{web.Text{ZH: "已退回", EN: "Rejected"}, "bad"}},
	{licenses.FoundingWithdrawn, tag{web.Text{ZH: "已撤回", EN: "Withdrawn"}, ""}},
}

func foundingTag(state licenses.FoundingState) tag {
	for _, t := range foundingTags {
		if t.state == state {
			return t.tag
		}
	}
	return tag{}
}

var (
	textFirms       = web.Text{ZH: "开办企业", EN: "New firms"}
	textOwnFounding = web.Text{ZH: "您是该企业的拟任法定代表人，须由本部门另一名工作人员审核。", EN: "You are to be this firm's legal representative: another clerk of your agency has to decide."}
	textLateFirm    = web.Text{ZH: "该申请已经处理，您的操作没有生效。以下为最新状态。", EN: "This application has been dealt with already: what you did has had no effect. This is how it stands now."}
)

// mountFoundings adds the pages on which an agency's clerks decide on new firms.
func (s *Service) mountFoundings(route func(pattern string, f func(w http.ResponseWriter, r *http.Request, c *clerk) error)) {
	route("GET /desk/foundings", s.getFoundings)
	route("GET /desk/foundings/{id}", s.getFounding)
	route("POST /desk/foundings/{id}", s.postFounding)
}

// mostCounted is up to how many applications are told apart by their number.
const mostCounted = 100

// firmQueue is the way from the desk's first page to the applications for new firms.
type firmQueue struct{ Address, Count string }

// dealsWithFirms reports whether the clerk's agency may register firms now, for itself or
// for an agency whose place it has taken.
func (s *Service) dealsWithFirms(ctx context.Context, c *clerk) (bool, error) {
	estates, err := s.registry.Estates(ctx, c.agency.ID)
	for _, e := range estates {
		if e.Type != licenses.FirmType {
			continue
		}
		office, may, err := s.registry.Office(ctx, e.Agency, e.Type, s.now())
		if err != nil || may && office == c.agency.ID {
			return err == nil, err
		}
	}
	return false, err
}

// firmQueue returns it for an agency that may register firms now, nil for others.
func (s *Service) firmQueue(ctx context.Context, c *clerk) (*firmQueue, error) {
	deals, err := s.dealsWithFirms(ctx, c)
	if err != nil || !deals {
		return nil, err
	}
	n, err := s.licenses.CountFoundings(ctx, c.agency.ID, licenses.FoundingSubmitted, mostCounted+1)
	if err != nil {
		return nil, err
	}
	q := &firmQueue{c.at("/desk/foundings"), strconv.Itoa(min(n, mostCounted))}
	if n > mostCounted {
		q.Count += "+"
	}
	return q, nil
}

// foundingRow is an application for a new firm in a list.
type foundingRow struct {
	Address string
	Name    string   // of the firm
	Person  string   // name of who will be its legal representative
	Agency  web.Text // that was asked, where the clerk's has taken its place
	At      time.Time
	Tag     tag
}

// foundingsPage is what foundings.html sees.
type foundingsPage struct {
	desk
	Tabs        []link
	Rows        []foundingRow
	First, Next string
}

func (s *Service) getFoundings(w http.ResponseWriter, r *http.Request, c *clerk) error {
	in, after := licenses.FoundingState(r.Form.Get("state")), r.Form.Get("after")
	if in == "" {
		in = licenses.FoundingSubmitted
	}
	if (foundingTag(in) == tag{}) || !isID(after) {
		return fault.New(fault.NotFound, "no such page")
	}
	list, err := s.licenses.FoundingsAt(r.Context(), c.agency.ID, in, after, listRows+1)
	if err != nil {
		return err
	}
	data := foundingsPage{desk: c.desk()}
	if after != "" {
		data.First = c.at("/desk/foundings", "state", string(in))
	}
	if len(list) > listRows {
		list = list[:listRows]
		data.Next = c.at("/desk/foundings", "state", string(in), "after", list[listRows-1].ID)
	}
	for _, t := range foundingTags {
		data.Tabs = append(data.Tabs, link{t.tag.Word, c.at("/desk/foundings", "state", string(t.state)), t.state == in})
	}
	people := s.names()
	for _, f := range list {
		person, err := people.of(r.Context(), f.Person)
		if err != nil {
			return err
		}
		asked, err := s.otherAgency(r.Context(), c, f.Agency)
		if err != nil {
			return err
		}
		data.Rows = append(data.Rows, foundingRow{c.at("/desk/foundings/" + f.ID), f.Name, person, asked, f.Created, foundingTag(f.State)})
	}
	return s.pages.Render(w, r, foundingsOf(&data, foundingTag(in)))
}

func foundingsOf(data *foundingsPage, in tag) web.Page {
	title := web.Text{ZH: textFirms.ZH + " - " + in.Word.ZH, EN: textFirms.EN + ": " + in.Word.EN}
	return web.Page{Template: "foundings", Title: title, Data: data, Wide: true}
}
