package webhook

import (
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

const maxBody = 8 << 10 // bytes of one request

// handler answers a caller whose token has the area's scope.
type handler func(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error

// Mount adds the addresses of every area to mux.
func (s *Service) Mount(mux *http.ServeMux) {
	for i := range s.o.Areas {
		a := &s.o.Areas[i]
		route := func(method, path string, f handler) {
			mux.Handle(method+" "+a.Base+path, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
				c, err := web.Authorize(s.o.Tokens, r, a.Scope)
				if err != nil {
					return err
				}
				return f(w, r, a, c)
			}, s.o.Logger))
		}
		route("GET", "/webhooks", s.getAll)
		route("POST", "/webhooks", s.post)
		route("GET", "/webhooks/{id}", s.get)
		route("DELETE", "/webhooks/{id}", s.delete)
		route("POST", "/webhooks/{id}/rotate", s.postRotate)
		route("POST", "/webhooks/{id}/test", s.postTest)
		route("GET", "/events", s.getEvents)
	}
}

// view is a subscription as its owner sees it.
type view struct {
	ID            string    `json:"id"`
	URL           string    `json:"url"`
	Types         []string  `json:"types"`
	Agency        string    `json:"agency,omitempty"`
	State         string    `json:"state"` // active, failing or disabled
	Created       time.Time `json:"created"`
	Failing       time.Time `json:"failing_since,omitzero"`
	Disabled      time.Time `json:"disabled,omitzero"`
	Reason        string    `json:"reason,omitempty"`
	PreviousUntil time.Time `json:"previous_secret_until,omitzero"`
	Secret        string    `json:"secret,omitempty"`
}

func (s *Service) view(u *subscription, secret []byte) view {
	v := view{ID: u.id, URL: u.url, Types: u.types, Agency: u.agency, State: "active", Created: db.Time(u.created), Reason: u.reason,
		PreviousUntil: u.previousUntil(s.o.Now())}
	if u.failing > 0 {
		v.State, v.Failing = "failing", db.Time(u.failing)
	}
	if u.disabled > 0 {
		v.State, v.Disabled = "disabled", db.Time(u.disabled)
	}
	if secret != nil {
		v.Secret = shown(secret)
	}
	return v
}

func (s *Service) getAll(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error {
	list, err := s.list(r.Context(), a, c)
	if err != nil {
		return err
	}
	views := make([]view, len(list))
	for i, u := range list {
		views[i] = s.view(u, nil)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"webhooks": views, "types": a.types()})
}

func (s *Service) post(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error {
	key, err := web.IdempotencyKey(r)
	if err != nil {
		return err
	}
	var o order
	if err := web.DecodeJSON(w, r, maxBody, &o); err != nil {
		return err
	}
	u, secret, err := s.add(r.Context(), a, c, key, o)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, s.view(u, secret))
}

func (s *Service) get(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error {
	var u *subscription
	err := s.o.DB.Read(r.Context(), func(tx db.Tx) (err error) {
		u, err = own(r.Context(), tx, a, c, r.PathValue("id"))
		return err
	})
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, s.view(u, nil))
}

func (s *Service) delete(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error {
	if err := s.remove(r.Context(), a, c, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) postRotate(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error {
	key, err := web.IdempotencyKey(r)
	if err != nil {
		return err
	}
	u, secret, err := s.rotate(r.Context(), a, c, r.PathValue("id"), key)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, s.view(u, secret))
}

func (s *Service) postTest(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error {
	key, err := web.IdempotencyKey(r)
	if err != nil {
		return err
	}
	if err := s.test(r.Context(), a, c, r.PathValue("id"), key); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusAccepted, map[string]any{"type": "webhook.test"})
}
