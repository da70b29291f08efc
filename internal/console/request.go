package console

import (
	"context"
	"encoding/json/jsontext"
	"net/http"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/web"
)

// requestRow is a request in a list.
type requestRow struct {
	Address string
	Title   web.Text
	By      string // requester
	At      time.Time
	Until   time.Time // an open one expires
	Decided time.Time // zero for never
	Tag     tag
}

// requestsPage is what requests.html sees.
type requestsPage struct {
	room
	Tabs []link
	Open bool
	Rows []requestRow
	pager
}

// ended are the states of a request that nobody waits for any more.
var ended = []approval.State{approval.Approved, approval.Done, approval.Failed, approval.Rejected, approval.Withdrawn, approval.Expired}

func (c *Console) getRequests(w http.ResponseWriter, r *http.Request, _ officer) error {
	ctx, q := r.Context(), r.URL.Query()
	data := requestsPage{room: in("/security/requests"), Open: q.Get("state") != "done"}
	data.Tabs = []link{{web.Text{ZH: "待批准", EN: "Waiting"}, "/security/requests", data.Open},
		{web.Text{ZH: "已办结", EN: "Decided"}, "/security/requests?state=done", !data.Open}}
	states, state, title := []approval.State{approval.Open}, "", web.Text{ZH: "待批准的申请", EN: "Requests that wait"}
	switch q.Get("state") {
	case "", "open":
	case "done":
		states, state, title = ended, "done", web.Text{ZH: "已办结的申请", EN: "Requests that were decided"}
	default:
		return errNowhere
	}
	list, err := c.o.Approvals.List(ctx, states...)
	if err != nil {
		return err
	}
	if list, data.pager, err = cut(list, q.Get("page"), pageRows, "/security/requests", "state", state); err != nil {
		return err
	}
	n := c.names()
	for _, one := range list {
		row, err := c.requestRow(ctx, n, one)
		if err != nil {
			return err
		}
		data.Rows = append(data.Rows, row)
	}
	return c.pages.Render(w, r, web.Page{Template: "requests", Title: title, Data: data, Wide: true})
}

func (c *Console) requestRow(ctx context.Context, n *names, q approval.Request) (requestRow, error) {
	by, err := n.of(ctx, q.Requester)
	return requestRow{Address: requestAddress(q.ID), Title: titleOf(q), By: by, At: q.Created, Until: q.Expires, Decided: q.Decided, Tag: c.tagOf(q)}, err
}

func requestAddress(id string) string { return "/security/requests/" + id }

// titleOf is what a request is called; its kind, if this program does not know it.
func titleOf(q approval.Request) web.Text {
	if q.Title == (web.Text{}) {
		return plain(q.Kind)
	}
	return q.Title
}

// tagOf says how a request stands. One whose time is over waits for nothing but the
// sweeper.
func (c *Console) tagOf(q approval.Request) tag {
	if c.isOver(q) {
		return requestTags[approval.Expired]
	}
	return requestTags[q.State]
}

func (c *Console) isOver(q approval.Request) bool {
	return q.State == approval.Open && !c.o.Now().Before(q.Expires)
}

// shown is one line of what a request would do.
type shown struct {
	Label web.Text
	Value string
}

// requestPage is what request.html sees.
type requestPage struct {
	room
	ID, Self           string
	Title              web.Text
	Tag                tag
	Lines              []shown
	Resolved           string // JSON, indented
	Requester, Subject string
	Reason             string
	Created, Expires   time.Time
	Decider            string
	Decided            time.Time
	Method             web.Text
	Note               string
	Challenge          string     // the statement's fingerprint, "" for none
	Why                []web.Text // this officer cannot approve it
	Approve            bool
	Passkey            bool // this officer has one for approvals
	Withdraw           bool
	Reject             *web.Form
	Code               bool // this officer may draw a code
	History            []eventRow
	Done               *tag
	Notices            []web.Text
}

// findRequest returns a request, and asks the database about identifiers alone.
func (c *Console) findRequest(r *http.Request) (approval.Request, error) {
	id := r.PathValue("id")
	if !isID(id) {
		return approval.Request{}, approval.ErrRequest
	}
	return c.o.Approvals.Find(r.Context(), id)
}

func (c *Console) getRequest(w http.ResponseWriter, r *http.Request, o officer) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	data, err := c.requestPage(r.Context(), q, o)
	if err != nil {
		return err
	}
	data.Done = doneTag(r.URL.Query().Get("done"), q, o)
	return c.drawRequest(w, r, data, 0)
}

func (c *Console) drawRequest(w http.ResponseWriter, r *http.Request, data *requestPage, status int) error {
	return c.pages.Render(w, r, web.Page{Template: "request", Title: web.Text{ZH: "申请：" + data.Title.ZH, EN: "Request: " + data.Title.EN},
		Data: data, Status: status, Wrong: data.Reject != nil && data.Reject.Wrong()})
}

// doneTag says what the officer has just done, as far as the request bears it out.
func doneTag(done string, q approval.Request, o officer) *tag {
	switch {
	case done == "ask" && q.State == approval.Open && q.Requester == o.person:
		return &tag{web.Text{ZH: "申请已提出，等待另一名安全官批准。", EN: "The request was made. It waits for another officer."}, "good"}
	case q.Decider != o.person:
		return nil
	case done == "reject" && q.State == approval.Rejected:
		return &tag{web.Text{ZH: "申请已拒绝。", EN: "The request was rejected."}, "good"}
	case done == "withdraw" && q.State == approval.Withdrawn:
		return &tag{web.Text{ZH: "申请已撤回。", EN: "The request was withdrawn."}, "good"}
	case done == "approve" && q.State == approval.Done:
		return &tag{web.Text{ZH: "已批准并执行完毕。", EN: "It was approved and is done."}, "good"}
	case done == "approve" && q.State == approval.Approved:
		return &tag{web.Text{ZH: "已批准，正在执行。请稍后刷新本页。", EN: "It was approved and is being done. Reload this page in a moment."}, "wait"}
	case done == "approve" && q.State == approval.Failed:
		return &tag{web.Text{ZH: "已批准，但未能执行。", EN: "It was approved but could not be done."}, "bad"}
	}
	return nil
}

func (c *Console) requestPage(ctx context.Context, q approval.Request, o officer) (*requestPage, error) {
	data := &requestPage{room: in(""), ID: q.ID, Self: requestAddress(q.ID), Title: titleOf(q), Tag: c.tagOf(q), Resolved: indent(q.Resolved),
		Reason: q.Reason, Created: q.Created, Expires: q.Expires, Decided: q.Decided, Note: q.Note}
	n := c.names()
	var err error
	for _, one := range []struct {
		to *string
		id string
	}{{&data.Requester, q.Requester}, {&data.Subject, q.Subject}, {&data.Decider, q.Decider}} {
		if *one.to, err = n.of(ctx, one.id); err != nil {
			return nil, err
		}
	}
	for _, line := range q.Show {
		value := line.Value
		if line.Person != "" {
			if value, err = n.of(ctx, line.Person); err != nil {
				return nil, err
			}
			value += " (" + line.Person + ")"
		}
		data.Lines = append(data.Lines, shown{line.Label, value})
	}
	if len(q.Statement) > 0 {
		data.Challenge, data.Method = approval.ChallengeText(q.Statement), wordOf(credentialWords, q.Method)
	}
	if err := c.offer(ctx, data, q, o); err != nil {
		return nil, err
	}
	records, err := c.o.History(ctx, "approval:"+q.ID)
	if err != nil {
		return nil, err
	}
	known, err := c.officers(ctx)
	if err != nil {
		return nil, err
	}
	data.History = c.eventRows(known, records)
	return data, nil
}

// indent lays JSON out to be read.
func indent(v jsontext.Value) string {
	v = v.Clone()
	if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
		return string(v)
	}
	return string(v)
}

// offer says what this officer may do about a request.
func (c *Console) offer(ctx context.Context, data *requestPage, q approval.Request, o officer) error {
	own := q.Kind == approval.KindAdd || q.Kind == approval.KindEnrol
	data.Code = own && q.State == approval.Done && q.Decider == o.person
	if q.State != approval.Open || c.isOver(q) {
		return nil
	}
	if q.Requester == o.person {
		data.Withdraw = true
		return nil
	}
	form := rejectForm()
	data.Reject = &form
	statement, err := c.o.Approvals.Statement(ctx, q.ID, o.person)
	if err != nil {
		var ok bool
		data.Why, ok = says(err)
		if !ok {
			return err
		}
		return nil
	}
	data.Approve, data.Challenge = true, approval.ChallengeText(statement)
	data.Passkey, err = c.hasPasskey(ctx, o.person)
	return err
}

func (c *Console) hasPasskey(ctx context.Context, person string) (bool, error) {
	list, err := c.o.Approvals.Officers(ctx)
	for _, one := range list {
		if one.Person == person {
			return slices.ContainsFunc(one.Credentials, func(k approval.Credential) bool { return k.Kind == approval.MethodPasskey }), nil
		}
	}
	return false, err
}

func rejectForm() web.Form {
	return web.Form{Fields: []web.Field{{Name: "reason", Type: "textarea", Label: web.Text{ZH: "拒绝理由", EN: "Reason for rejecting"}, Required: true,
		Hint: web.Text{ZH: "供申请人阅读，请勿写入个人姓名或号码，最多 500 字", EN: "For the requester to read. No names or numbers of people. Up to 500 characters"}}}}
}
