package ca

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// mountPending adds the requests that officers decide on.
func (c *CA) mountPending(mux *http.ServeMux) {
	c.route(mux, "GET /ca/v1/requests", c.pendingListHandler)
	c.route(mux, "GET /ca/v1/requests/{id}", c.pendingHandler)
	c.route(mux, "POST /ca/v1/requests/{id}/withdraw", c.withdrawHandler)
	c.route(mux, "POST /ca/v1/requests/{id}/approve", c.decideHandler(true))
	c.route(mux, "POST /ca/v1/requests/{id}/reject", c.decideHandler(false))
}

// pendingView is a request as the API shows it.
type pendingView struct {
	ID        string       `json:"id"`
	State     PendingState `json:"state"`
	Profile   profile.Kind `json:"profile"`
	Agency    string       `json:"agency,omitzero"`
	Firm      string       `json:"firm,omitzero"`
	Person    string       `json:"person,omitzero"`
	Issuer    string       `json:"issuer,omitzero"`
	Name      string       `json:"name,omitzero"`
	Hosts     []string     `json:"hosts,omitzero"`
	Key       string       `json:"key_sha256"` // of the SubjectPublicKeyInfo
	NotBefore time.Time    `json:"not_before,omitzero"`
	NotAfter  time.Time    `json:"not_after,omitzero"`
	Requester string       `json:"requester"`
	Decider   string       `json:"decider,omitzero"`
	Reason    string       `json:"reason,omitzero"`
	Note      string       `json:"note,omitzero"`
	Serial    string       `json:"serial,omitzero"`
	Created   time.Time    `json:"created"`
	Expires   time.Time    `json:"expires"`
	Decided   time.Time    `json:"decided,omitzero"`
}

func viewPending(p Pending) pendingView {
	r := p.Request
	v := pendingView{ID: p.ID, State: p.State, Profile: r.Profile, Agency: r.Agency, Firm: r.Firm, Person: r.Person, Issuer: r.Issuer, Name: r.Name, Hosts: r.Hosts,
		NotBefore: r.NotBefore, NotAfter: r.NotAfter, Requester: r.Actor, Decider: p.Decider, Reason: p.Reason, Note: p.Note, Serial: p.Serial,
		Created: p.CreatedAt, Expires: p.ExpiresAt, Decided: p.DecidedAt}
	if csr, err := ParseCSR(r.Profile, r.CSR); err == nil { // it was parsed when it was kept
		if sum, err := hashKey(csr.PublicKey); err == nil {
			v.Key = hex.EncodeToString(sum)
		}
	}
	return v
}

// reader returns who looks at requests: a client, or an officer, who is a caller
// without an agency.
func (c *CA) reader(r *http.Request) (web.Caller, error) {
	if c.officers != nil && strings.HasPrefix(r.Header.Get("Authorization"), "Officer ") {
		person, err := c.officer(r)
		return web.Caller{Person: person}, err
	}
	return c.caller(r)
}

// officer returns the officer who signed the call.
func (c *CA) officer(r *http.Request) (string, error) {
	if c.officers == nil {
		return "", errNotOfficer
	}
	person, err := c.officers.Caller(r)
	if err != nil {
		return "", err
	}
	return person, c.isOfficer(r.Context(), person)
}

// findPendingFor returns the request of the path, if the caller may see it.
func (c *CA) findPendingFor(r *http.Request, caller web.Caller) (Pending, error) {
	p, err := c.Pending(r.Context(), r.PathValue("id"))
	if err == nil && caller.Agency != "" && caller.Agency != p.Request.Agency {
		return Pending{}, errNoRequest
	}
	return p, err
}

func (c *CA) pendingListHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.reader(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := PendingFilter{Agency: q.Get("agency"), State: PendingState(q.Get("state")), Before: q.Get("before")}
	if _, known := steps[f.State]; !known && f.State != "" && f.State != Waiting {
		return fault.New(fault.Invalid, "there is no such state")
	}
	if caller.Agency != "" {
		if f.Agency != "" && f.Agency != caller.Agency {
			return errForeign
		}
		f.Agency = caller.Agency
	}
	list, err := c.ListPending(r.Context(), f)
	if err != nil {
		return err
	}
	views := make([]pendingView, len(list))
	for i, p := range list {
		views[i] = viewPending(p)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"requests": views})
}

func (c *CA) pendingHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.reader(r)
	if err != nil {
		return err
	}
	p, err := c.findPendingFor(r, caller)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewPending(p))
}

// withdrawHandler takes a request back. Repeated it does the same.
func (c *CA) withdrawHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.caller(r)
	if err != nil {
		return err
	}
	p, err := c.findPendingFor(r, caller)
	if err != nil {
		return err
	}
	if p, err = c.Withdraw(r.Context(), p.ID, caller.Actor()); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewPending(p))
}

// decideHandler approves or rejects, for an officer who signed the call.
func (c *CA) decideHandler(approve bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		person, err := c.officer(r)
		if err != nil {
			return err
		}
		key, err := idempotencyKey(r)
		if err != nil {
			return err
		}
		var body struct {
			Reason string `json:"reason"`
		}
		if err := web.DecodeJSON(w, r, maxSmallBody, &body); err != nil {
			return err
		}
		p, err := c.Decide(r.Context(), r.PathValue("id"), Decision{Person: person, Approve: approve, Reason: body.Reason, Key: key})
		if err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, viewPending(p))
	}
}
