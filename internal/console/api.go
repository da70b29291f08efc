package console

import (
	"context"
	"encoding/json/jsontext"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Bounds of what the command line sends.
const (
	maxRequest = approval.MaxResolved + 8<<10
	maxSmall   = 16 << 10
)

// mountAPI adds the officers' API. It is the command line's: every caller is proved
// by a token, and no address takes a session.
func (c *Console) mountAPI(mux *http.ServeMux) {
	route := func(pattern string, f handler) {
		mux.Handle(pattern, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
			o, err := c.caller(r)
			if err != nil {
				return err
			}
			return f(w, r, o)
		}, c.log))
	}
	route("GET /security/v1/requests", c.apiList)
	route("POST /security/v1/requests", c.apiSubmit)
	route("GET /security/v1/requests/{id}", c.apiFind)
	route("GET /security/v1/requests/{id}/statement", c.apiStatement)
	route("POST /security/v1/requests/{id}/approve", c.apiApprove)
	route("POST /security/v1/requests/{id}/reject", c.apiReject)
	route("POST /security/v1/requests/{id}/withdraw", c.apiWithdraw)
	route("POST /security/v1/requests/{id}/code", c.apiCode)
	route("GET /security/v1/officers", c.apiOfficers)
	route("POST /security/v1/credentials", c.apiAddKey)
	route("POST /security/v1/officers/keys/{id}/pause", c.apiHalt("pause", c.o.Pause))
	route("POST /security/v1/officers/keys/{id}/resume", c.apiHalt("resume", c.o.Resume))
}

// caller returns the officer who calls.
func (c *Console) caller(r *http.Request) (officer, error) {
	person, err := c.o.Caller(r)
	if err != nil {
		return officer{}, err
	}
	is, err := c.o.Approvals.IsOfficer(r.Context(), person)
	if err == nil && !is {
		c.metrics.refused.WithLabelValues(refusedOfficer).Inc()
		err = errNotOfficer
	}
	return officer{person}, err
}

// textView is a sentence in both languages.
type textView struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// lineView is one line of what a request would do.
type lineView struct {
	Label  textView `json:"label"`
	Value  string   `json:"value,omitempty"`
	Person string   `json:"person,omitempty"`
}

// requestView is a request as the API shows it. A list leaves out what it would do.
type requestView struct {
	ID        string            `json:"id"`
	Kind      string            `json:"kind"`
	Title     textView          `json:"title"`
	State     approval.State    `json:"state"`
	Params    jsontext.Value    `json:"params,omitempty"`
	Resolved  jsontext.Value    `json:"resolved,omitempty"`
	Show      []lineView        `json:"show,omitempty"`
	Subject   string            `json:"subject,omitempty"`
	Requester string            `json:"requester"`
	Reason    string            `json:"reason"`
	Created   time.Time         `json:"created"`
	Expires   time.Time         `json:"expires"`
	Decider   string            `json:"decider,omitempty"`
	Decided   time.Time         `json:"decided,omitzero"`
	Method    string            `json:"method,omitempty"`
	Finished  time.Time         `json:"finished,omitzero"`
	Note      string            `json:"note,omitempty"`
	People    map[string]string `json:"people"` // names by person
}

// view shows a request, in full or as one of a list.
func (c *Console) view(ctx context.Context, n *names, q approval.Request, full bool) (requestView, error) {
	title := titleOf(q)
	v := requestView{ID: q.ID, Kind: q.Kind, Title: textView(title), State: q.State, Subject: q.Subject, Requester: q.Requester, Reason: q.Reason,
		Created: q.Created, Expires: q.Expires, Decider: q.Decider, Decided: q.Decided, Method: q.Method, Finished: q.Finished, Note: q.Note,
		People: map[string]string{}}
	people := []string{q.Requester, q.Subject, q.Decider}
	if full {
		v.Params, v.Resolved = q.Params, q.Resolved
		for _, line := range q.Show {
			v.Show = append(v.Show, lineView{textView(line.Label), line.Value, line.Person})
			people = append(people, line.Person)
		}
	}
	for _, id := range people {
		if id == "" {
			continue
		}
		name, err := n.of(ctx, id)
		if err != nil {
			return v, err
		}
		v.People[id] = name
	}
	return v, nil
}

// answer writes a request in full.
func (c *Console) answer(w http.ResponseWriter, r *http.Request, status int, q approval.Request) error {
	v, err := c.view(r.Context(), c.names(), q, true)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, status, v)
}

// apiList lists requests, the newest first: all, or those in the states that are
// given.
func (c *Console) apiList(w http.ResponseWriter, r *http.Request, _ officer) error {
	var states []approval.State
	for _, s := range r.URL.Query()["state"] {
		if s == "" {
			continue
		}
		if _, known := requestTags[approval.State(s)]; !known {
			return fault.InvalidInput("there is no such state", fault.Problem{Path: "state", Message: "want open, approved, done, failed, rejected, withdrawn or expired"})
		}
		states = append(states, approval.State(s))
	}
	list, err := c.o.Approvals.List(r.Context(), states...)
	if err != nil {
		return err
	}
	n, views := c.names(), make([]requestView, len(list))
	for i, q := range list {
		if views[i], err = c.view(r.Context(), n, q, false); err != nil {
			return err
		}
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"requests": views})
}

func (c *Console) apiFind(w http.ResponseWriter, r *http.Request, _ officer) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	return c.answer(w, r, http.StatusOK, q)
}

// apiSubmit makes a request. Repeating it with the same Idempotency-Key returns the
// one that was made.
func (c *Console) apiSubmit(w http.ResponseWriter, r *http.Request, o officer) error {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return fault.New(fault.Invalid, "the header Idempotency-Key is required")
	}
	var body struct {
		Kind   string         `json:"kind"`
		Params jsontext.Value `json:"params"`
		Reason string         `json:"reason"`
	}
	if err := web.DecodeJSON(w, r, maxRequest, &body); err != nil {
		return err
	}
	q, err := c.o.Approvals.Submit(r.Context(), approval.SubmitSpec{Kind: body.Kind, Params: body.Params, Requester: o.person, Reason: body.Reason, Key: key})
	if err = c.metrics.did("submit", "api", err); err != nil {
		return err
	}
	w.Header().Set("Location", "/security/v1/requests/"+q.ID)
	return c.answer(w, r, http.StatusCreated, q)
}

// apiStatement returns the bytes that the caller signs to approve a request: APR1.
func (c *Console) apiStatement(w http.ResponseWriter, r *http.Request, o officer) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	b, err := c.o.Approvals.Statement(r.Context(), q.ID, o.person)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/cbor")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b) // the caller may be gone
	return nil
}

func (c *Console) apiApprove(w http.ResponseWriter, r *http.Request, o officer) error {
	var body struct {
		COSE []byte `json:"cose"`
	}
	if err := web.DecodeJSON(w, r, maxSmall, &body); err != nil {
		return err
	}
	return c.apiDecide(w, r, "approve", func(ctx context.Context, id string) (approval.Request, error) {
		return c.o.Approvals.Approve(ctx, id, o.person, approval.Proof{COSE: body.COSE})
	})
}

func (c *Console) apiReject(w http.ResponseWriter, r *http.Request, o officer) error {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := web.DecodeJSON(w, r, maxSmall, &body); err != nil {
		return err
	}
	return c.apiDecide(w, r, "reject", func(ctx context.Context, id string) (approval.Request, error) {
		return c.o.Approvals.Reject(ctx, id, o.person, body.Reason)
	})
}

func (c *Console) apiWithdraw(w http.ResponseWriter, r *http.Request, o officer) error {
	if err := web.DecodeJSON(w, r, maxSmall, &struct{}{}); err != nil {
		return err
	}
	return c.apiDecide(w, r, "withdraw", func(ctx context.Context, id string) (approval.Request, error) {
		return c.o.Approvals.Withdraw(ctx, id, o.person)
	})
}

func (c *Console) apiDecide(w http.ResponseWriter, r *http.Request, act string, decide func(ctx context.Context, id string) (approval.Request, error)) error {
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	q, err = decide(r.Context(), q.ID)
	if err = c.metrics.did(act, "api", err); err != nil {
		return err
	}
	return c.answer(w, r, http.StatusOK, q)
}

// apiCode draws the code that a request has given leave for.
func (c *Console) apiCode(w http.ResponseWriter, r *http.Request, o officer) error {
	if err := web.DecodeJSON(w, r, maxSmall, &struct{}{}); err != nil {
		return err
	}
	q, err := c.findRequest(r)
	if err != nil {
		return err
	}
	code, err := c.o.Approvals.DrawCode(r.Context(), q.ID, o.person)
	if err = c.metrics.did("code", "api", err); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"person": code.Person, "code": code.Code, "expires": code.Expires})
}

// apiHalt pauses a key, or lets it sign again, on the caller's word alone. Repeating
// it changes nothing.
func (c *Console) apiHalt(act string, do func(ctx context.Context, id, actor, reason string) error) handler {
	return func(w http.ResponseWriter, r *http.Request, o officer) error {
		var body struct {
			Reason string `json:"reason"`
		}
		if err := web.DecodeJSON(w, r, maxSmall, &body); err != nil {
			return err
		}
		k, err := c.findKey(r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		reason := oneLine(body.Reason)
		if problem, bad := badHaltReason(reason); bad {
			return fault.InvalidInput("a reason is required", fault.Problem{Path: "/reason", Message: problem.EN})
		}
		if err := c.metrics.did(act, "api", do(r.Context(), k.ID, o.actor(), reason)); err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, map[string]any{"key": k.ID, "paused": act == "pause"})
	}
}

// credentialView is a credential as the API shows it.
type credentialView struct {
	ID     string    `json:"id"`
	Person string    `json:"person"`
	Kind   string    `json:"kind"`
	Name   string    `json:"name"`
	Key    string    `json:"key_sha256"`
	Synced bool      `json:"synced,omitempty"`
	Added  time.Time `json:"added"`
	Used   time.Time `json:"used,omitzero"`
	Until  time.Time `json:"until,omitzero"`
}

func viewCredential(k approval.Credential) credentialView { return credentialView(k) }

// officerView is an officer as the API shows them.
type officerView struct {
	Person      string           `json:"person"`
	Name        string           `json:"name"`
	Added       time.Time        `json:"added"`
	AddedBy     string           `json:"added_by"`
	Credentials []credentialView `json:"credentials"`
}

func (c *Console) apiOfficers(w http.ResponseWriter, r *http.Request, _ officer) error {
	list, err := c.o.Approvals.Officers(r.Context())
	if err != nil {
		return err
	}
	n, views := c.names(), make([]officerView, len(list))
	for i, o := range list {
		name, err := n.of(r.Context(), o.Person)
		if err != nil {
			return err
		}
		views[i] = officerView{o.Person, name, o.Added, o.AddedBy, []credentialView{}}
		for _, k := range o.Credentials {
			views[i].Credentials = append(views[i].Credentials, viewCredential(k))
		}
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"officers": views})
}

// apiAddKey enrols the key with which the caller approves.
func (c *Console) apiAddKey(w http.ResponseWriter, r *http.Request, o officer) error {
	var body struct {
		Code string `json:"code"`
		Key  string `json:"key"`
		Name string `json:"name"`
	}
	if err := web.DecodeJSON(w, r, maxSmall, &body); err != nil {
		return err
	}
	der, err := readKey(body.Key)
	if err != nil {
		return err
	}
	k, err := c.o.Approvals.AddKey(r.Context(), o.person, body.Code, der, body.Name)
	if err = c.metrics.did("enrol", "api", err); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, viewCredential(k))
}
