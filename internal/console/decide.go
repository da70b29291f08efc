package console

import (
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

func (c *Console) postReject(w http.ResponseWriter, r *http.Request, o officer) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	reason := oneLine(r.PostForm.Get("reason"))
	if problem, bad := badReason(reason, approval.MaxReason); bad && q.State == approval.Open {
		data, err := c.requestPage(r.Context(), q, o)
		if err != nil {
			return err
		}
		if data.Reject != nil {
			data.Reject.Fields[0].Value = seen(reason)
			data.Reject.Blame("reason", problem)
			return c.drawRequest(w, r, data, http.StatusBadRequest)
		}
		reason = "" // refused all the same, and rightly
	}
	_, err = c.o.Approvals.Reject(r.Context(), q.ID, o.person, reason)
	return c.decided(w, r, o, "reject", approval.Rejected, err)
}

func (c *Console) postWithdraw(w http.ResponseWriter, r *http.Request, o officer) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	_, err = c.o.Approvals.Withdraw(r.Context(), q.ID, o.person)
	return c.decided(w, r, o, "withdraw", approval.Withdrawn, err)
}

// decided leads to what became of a request, or shows it with what a decision was
// refused for. A form that was sent twice is answered like the first time.
func (c *Console) decided(w http.ResponseWriter, r *http.Request, o officer, act string, to approval.State, refused error) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	if fault.KindOf(refused) == fault.Conflict && q.State == to && q.Decider == o.person {
		refused = nil
	}
	if err := c.metrics.did(act, "page", refused); err != nil {
		return c.refuse(w, r, o, q, err)
	}
	http.Redirect(w, r, requestAddress(q.ID)+"?done="+act, http.StatusSeeOther)
	return nil
}

// refuse shows a request with what was refused.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, o officer, q approval.Request, refused error) error {
	list, ok := says(refused)
	if !ok {
		return refused
	}
	data, err := c.requestPage(r.Context(), q, o)
	if err != nil {
		return err
	}
	data.Notices = list
	return c.drawRequest(w, r, data, web.Status(refused))
}

// codePage is what code.html sees.
type codePage struct {
	room
	Back    string
	For     string // name
	Code    string
	Expires time.Time
}

// postCode draws a code and shows it, once: a page that is loaded again makes
// another one.
func (c *Console) postCode(w http.ResponseWriter, r *http.Request, o officer) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	code, err := c.o.Approvals.DrawCode(r.Context(), q.ID, o.person)
	if err = c.metrics.did("code", "page", err); err != nil {
		return c.refuse(w, r, o, q, err)
	}
	name, err := c.names().of(r.Context(), code.Person)
	if err != nil {
		return err
	}
	return c.pages.Render(w, r, web.Page{Template: "code", Title: web.Text{ZH: "一次性登记码", EN: "One-time enrolment code"},
		Data: codePage{in(""), requestAddress(q.ID), name, code.Code, code.Expires}})
}

// beginApproval answers with what the script asks the authenticator.
func (c *Console) beginApproval(w http.ResponseWriter, r *http.Request, o officer) error {
	if err := web.DecodeJSON(w, r, maxScript, &struct{}{}); err != nil {
		return err
	}
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	options, err := c.o.Approvals.BeginApproval(r.Context(), q.ID, o.person)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, options)
}

// next tells the script where to go on.
type next struct {
	Next string `json:"next"`
}

// finishApproval takes the authenticator's answer.
func (c *Console) finishApproval(w http.ResponseWriter, r *http.Request, o officer) error {
	var answer approval.Assertion
	if err := web.DecodeJSON(w, r, maxScript, &answer); err != nil {
		return err
	}
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	_, err = c.o.Approvals.Approve(r.Context(), q.ID, o.person, approval.Proof{Passkey: &answer})
	if err = c.metrics.did("approve", "page", err); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, next{requestAddress(q.ID) + "?done=approve"})
}
