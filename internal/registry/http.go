package registry

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const (
	scope   = "registry" // what a token must carry
	maxBody = 16 << 10
)

// api serves the registry to operators.
type api struct {
	*Registry
	tokens web.TokenChecker
}

// Mount adds /registry/v1/… to mux, for access tokens with scope "registry".
//
// What is added has a natural key, so a repetition answers 200 where the first
// time answered 201, and 409 if it asks for something else. People are asked for
// in a body, because addresses end up in logs.
func (r *Registry) Mount(mux *http.ServeMux, tokens web.TokenChecker) {
	a := &api{r, tokens}
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, web.Caller) error{
		"GET /registry/v1/agencies":                   a.listAgencies,
		"POST /registry/v1/agencies":                  a.addAgency,
		"GET /registry/v1/agencies/{id}":              a.findAgency,
		"POST /registry/v1/agencies/{id}/successor":   a.succeed,
		"GET /registry/v1/agencies/{id}/authorities":  a.listAuthorities,
		"POST /registry/v1/agencies/{id}/authorities": a.authorize,
		"GET /registry/v1/firms":                      a.listFirms,
		"POST /registry/v1/firms":                     a.addFirm,
		"GET /registry/v1/firms/{uscc}":               a.findFirm,
		"GET /registry/v1/firms/{uscc}/delegations":   a.listDelegations,
		"POST /registry/v1/people":                    a.addPerson,
		"POST /registry/v1/people/find":               a.findPerson,
		"POST /registry/v1/delegations":               a.delegate,
		"POST /registry/v1/delegations/withdraw":      a.withdraw,
		"POST /registry/v1/posts":                     a.employ,
		"POST /registry/v1/posts/end":                 a.dismiss,
	} {
		mux.Handle(pattern, web.Handler(func(w http.ResponseWriter, req *http.Request) error {
			caller, err := web.Authorize(a.tokens, req, scope)
			if err != nil {
				return err
			}
			return serve(w, req, caller)
		}, r.log))
	}
}

// actor names the caller in events.
func actor(c web.Caller) string { return "client:" + c.ClientID }

// added returns the status for something that is there now.
func added(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

func (a *api) listAgencies(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	list, err := a.ListAgencies(r.Context())
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"agencies": list})
}

func (a *api) findAgency(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	agency, err := a.FindAgency(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, agency)
}

func (a *api) addAgency(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	var agency Agency
	if err := web.DecodeJSON(w, r, maxBody, &agency); err != nil {
		return err
	}
	created, err := a.AddAgency(r.Context(), actor(c), agency)
	if err != nil {
		return err
	}
	if agency, err = a.FindAgency(r.Context(), agency.ID); err != nil {
		return err
	}
	return web.WriteJSON(w, added(created), agency)
}

func (a *api) succeed(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	var s Succession
	if err := web.DecodeJSON(w, r, maxBody, &s); err != nil {
		return err
	}
	s.Agency = r.PathValue("id")
	if err := a.Succeed(r.Context(), actor(c), s); err != nil {
		return err
	}
	return a.findAgency(w, r, c)
}

func (a *api) listAuthorities(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	if _, err := a.FindAgency(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	all, err := a.ListAuthorities(r.Context())
	if err != nil {
		return err
	}
	list := []Authority{}
	for _, authority := range all {
		if authority.Agency == r.PathValue("id") {
			list = append(list, authority)
		}
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"authorities": list})
}

func (a *api) authorize(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	var body struct {
		Type  string    `json:"type"`
		Area  string    `json:"area"`
		From  time.Time `json:"from"`
		Until time.Time `json:"until"`
	}
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	authority := Authority{r.PathValue("id"), body.Type, body.Area, body.From.UTC(), body.Until.UTC()}
	created, err := a.Authorize(r.Context(), actor(c), authority)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, added(created), authority)
}

func (a *api) listFirms(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	after, limit, err := page(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := a.ListFirms(r.Context(), after, limit)
	if err != nil {
		return err
	}
	answer := map[string]any{"firms": list}
	if len(list) == limit {
		answer["after"] = list[limit-1].USCC // where the next page begins
	}
	return web.WriteJSON(w, http.StatusOK, answer)
}

// page reads after and limit, the only parameters that a list has.
func page(q url.Values) (after string, limit int, err error) {
	limit = 100
	for key, values := range q {
		switch {
		case len(values) == 1 && key == "after" && CheckUSCC(values[0]) == nil:
			after = values[0]
		case len(values) == 1 && key == "limit":
			if limit, err = strconv.Atoi(values[0]); err == nil && limit >= 1 && limit <= 1000 {
				break
			}
			fallthrough
		default:
			return "", 0, fault.New(fault.Invalid, "a list takes after, a code, and limit, 1 to 1000, once each")
		}
	}
	return after, limit, nil
}

func (a *api) findFirm(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	firm, err := a.FindFirm(r.Context(), r.PathValue("uscc"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, firm)
}

func (a *api) addFirm(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	var firm Firm
	if err := web.DecodeJSON(w, r, maxBody, &firm); err != nil {
		return err
	}
	created, err := a.AddFirm(r.Context(), actor(c), firm)
	if err != nil {
		return err
	}
	if firm, err = a.FindFirm(r.Context(), firm.USCC); err != nil {
		return err
	}
	return web.WriteJSON(w, added(created), firm)
}

// personBody is a person as operators send and see them.
type personBody struct {
	ID      string    `json:"id,omitzero"`
	Kind    Kind      `json:"kind"`
	Number  string    `json:"number"`
	Name    string    `json:"name,omitzero"`
	Created time.Time `json:"created,omitzero"`
}

func (a *api) addPerson(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	var body personBody
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	p, created, err := a.AddPerson(r.Context(), actor(c), Person(body))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, added(created), personBody{ID: p.ID, Kind: p.Kind, Number: Mask(p.Number), Created: p.Created})
}

func (a *api) findPerson(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	var body struct {
		Kind   Kind   `json:"kind"`
		Number string `json:"number"`
	}
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	p, err := a.FindPerson(r.Context(), body.Kind, body.Number)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, personBody(p))
}
