package city

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
)

// ScopeKeys is what an access token needs for the officers' key API.
const ScopeKeys = "keys"

const maxKeyBody = 8 << 10

// keyView is a key as the API shows it: nothing secret is in it.
type keyView struct {
	ID        string     `json:"id"`
	Purpose   string     `json:"purpose"`
	Owner     string     `json:"owner"`
	Alg       string     `json:"alg"`
	Backend   string     `json:"backend"`
	State     keys.State `json:"state"`
	Cert      string     `json:"certificate,omitempty"` // DER, base64
	Created   time.Time  `json:"created"`
	Published time.Time  `json:"published,omitzero"`
	Activated time.Time  `json:"activated,omitzero"`
	Retiring  time.Time  `json:"retiring,omitzero"`
	Retired   time.Time  `json:"retired,omitzero"`
	Paused    time.Time  `json:"paused,omitzero"`
	Stolen    time.Time  `json:"compromised_since,omitzero"`
}

func viewKey(k keys.Key) keyView {
	return keyView{ID: k.ID, Purpose: k.Purpose, Owner: k.Owner, Alg: k.Alg, Backend: k.Backend, State: k.State,
		Cert: base64.StdEncoding.EncodeToString(k.Certificate), Created: k.Created, Published: k.Published,
		Activated: k.Activated, Retiring: k.Retiring, Retired: k.Retired, Paused: k.Paused, Stolen: k.Since}
}

// mountSecurity adds the officers' key API to mux.
func (c *City) mountSecurity(mux *http.ServeMux) {
	route := func(pattern string, f func(w http.ResponseWriter, r *http.Request, actor string) error) {
		mux.Handle(pattern, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
			caller, err := web.Authorize(c.OIDC, r, ScopeKeys)
			if err != nil {
				return err
			}
			if caller.Agency != "" {
				return fault.New(fault.Denied, "keys are moved by the city's officers")
			}
			return f(w, r, "client:"+caller.ClientID)
		}, c.log))
	}
	route("GET /security/v1/keys", c.listKeys)
	route("POST /security/v1/keys/enroll", c.postEnroll)
	route("POST /security/v1/keys/rotate", c.postRotate)
	route("POST /security/v1/keys/{id}/move", c.postMove)
	route("POST /security/v1/keys/{id}/pause", c.postPause)
	route("POST /security/v1/keys/{id}/resume", c.postResume)
	route("POST /security/v1/keys/{id}/compromise", c.postCompromise)
	route("POST /security/v1/keys/rewrap", c.postRewrap)
	route("GET /security/v1/calendar", c.getCalendar)
	c.mountRoot(route)
	c.mountOfficers(mux, route)
}

func (c *City) listKeys(w http.ResponseWriter, r *http.Request, _ string) error {
	q := r.URL.Query()
	list, err := c.Ring.List(r.Context(), keys.Filter{Purpose: q.Get("purpose"), Owner: q.Get("owner")})
	if err != nil {
		return err
	}
	views := make([]keyView, len(list))
	for i, k := range list {
		views[i] = viewKey(k)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"keys": views})
}

func (c *City) postEnroll(w http.ResponseWriter, r *http.Request, actor string) error {
	var body struct {
		Agency string `json:"agency"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	k, err := c.Enroll(r.Context(), body.Agency, actor)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewKey(k))
}

// postRotate rotates the key named by from. from makes a repetition harmless.
func (c *City) postRotate(w http.ResponseWriter, r *http.Request, actor string) error {
	var body struct {
		Purpose string `json:"purpose"`
		Owner   string `json:"owner"`
		From    string `json:"from"`
		Hurry   bool   `json:"before_verifiers_know,omitzero"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	if err := c.needTwoFor(r.Context(), body.Purpose); err != nil {
		return err
	}
	k, err := c.Rotate(r.Context(), body.Purpose, body.Owner, body.From, actor, body.Hurry)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewKey(k))
}

// postMove moves one key along its life. Moving it to where it is already is
// answered like the first time. What is stolen goes another way: Compromise.
func (c *City) postMove(w http.ResponseWriter, r *http.Request, actor string) error {
	var body struct {
		To     keys.State `json:"to"`
		Reason string     `json:"reason"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	if body.To == keys.Compromised {
		return fault.New(fault.Invalid, "a stolen key is marked so with the time of the theft: keys compromise")
	}
	id := r.PathValue("id")
	k, err := c.Ring.Find(r.Context(), id)
	if err != nil {
		return err
	}
	if err := c.needTwoFor(r.Context(), k.Purpose); err != nil {
		return err
	}
	if k.State != body.To {
		if err := c.Ring.Move(r.Context(), id, body.To, actor, body.Reason); err != nil {
			return err
		}
	}
	if k.Purpose == keys.PurposePermit {
		if err := c.Trust.Publish(r.Context()); err != nil {
			return err
		}
	}
	return c.answerKey(w, r, id)
}

// answerKey answers with a key as it is now.
func (c *City) answerKey(w http.ResponseWriter, r *http.Request, id string) error {
	k, err := c.Ring.Find(r.Context(), id)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewKey(k))
}

type whyBody struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"` // of compromise
}

// postPause keeps a key from signing at once. Repeating it changes nothing.
func (c *City) postPause(w http.ResponseWriter, r *http.Request, actor string) error {
	return c.halt(w, r, func(id, reason string) error { return c.Ring.Pause(r.Context(), id, actor, reason) })
}

func (c *City) postResume(w http.ResponseWriter, r *http.Request, actor string) error {
	return c.halt(w, r, func(id, reason string) error { return c.Ring.Resume(r.Context(), id, actor, reason) })
}

func (c *City) halt(w http.ResponseWriter, r *http.Request, do func(id, reason string) error) error {
	var body whyBody
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := do(id, body.Reason); err != nil {
		return err
	}
	return c.answerKey(w, r, id)
}

// postCompromise marks a key stolen since a time, and does all that follows.
func (c *City) postCompromise(w http.ResponseWriter, r *http.Request, actor string) error {
	var body whyBody
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	if body.Since.IsZero() {
		return fault.InvalidInput("when was it stolen?", fault.Problem{Path: "/since", Message: "is required: what was signed before is still believed"})
	}
	if err := c.needTwo(r.Context(), OpCompromise); err != nil {
		return err
	}
	k, err := c.Compromise(r.Context(), r.PathValue("id"), body.Since, actor, body.Reason)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewKey(k))
}

// postRewrap puts the next key-encryption key in the place of the one in use.
func (c *City) postRewrap(w http.ResponseWriter, r *http.Request, actor string) error {
	if err := c.needTwo(r.Context(), OpRewrap); err != nil {
		return err
	}
	if err := c.Ring.Rewrap(r.Context(), actor); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"rewrapped": true})
}

// stepView is a step of the calendar as the API shows it.
type stepView struct {
	Key       string    `json:"key,omitempty"`
	Purpose   string    `json:"purpose"`
	Owner     string    `json:"owner"`
	Step      string    `json:"step"`
	At        time.Time `json:"at"`
	Automatic bool      `json:"automatic"`
}

func (c *City) getCalendar(w http.ResponseWriter, r *http.Request, _ string) error {
	steps, err := c.Calendar(r.Context())
	if err != nil {
		return err
	}
	views := make([]stepView, len(steps))
	for i, s := range steps {
		views[i] = stepView{s.Key.ID, s.Purpose, s.Owner, s.Do, s.At, s.Automatic}
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"steps": views})
}
