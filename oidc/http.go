package oidc

import (
	"net/http"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const (
	scopeClients = "clients" // what a token must carry to manage clients
	maxBody      = 96 << 10  // a client with its key set
)

// mountClients adds /oidc/v1/clients.
func (p *Provider) mountClients(mux *http.ServeMux) {
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, web.Caller) error{
		"GET /oidc/v1/clients":               p.serveClients,
		"POST /oidc/v1/clients":              p.serveAddClient,
		"GET /oidc/v1/clients/{id}":          p.serveClient,
		"PUT /oidc/v1/clients/{id}":          p.serveUpdateClient,
		"POST /oidc/v1/clients/{id}/disable": p.serveDisableClient,
	} {
		mux.Handle(pattern, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
			caller, err := web.Authorize(p, r, scopeClients)
			if err != nil {
				return err
			}
			// Whoever manages clients can make one with any scope, so this is
			// for the city's own operators, whatever an agency's client holds.
			if caller.Agency != "" {
				return fault.New(fault.Denied, "clients are managed by the city")
			}
			return serve(w, r, caller)
		}, p.log))
	}
}

func (p *Provider) serveClients(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	list, err := p.ListClients(r.Context())
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"clients": list})
}

func (p *Provider) serveClient(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	c, err := p.FindClient(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, c)
}

func (p *Provider) serveUpdateClient(w http.ResponseWriter, r *http.Request, caller web.Caller) error {
	var c Client
	if err := web.DecodeJSON(w, r, maxBody, &c); err != nil {
		return err
	}
	if c.ID != "" && c.ID != r.PathValue("id") {
		return fault.InvalidInput("the client is not as it should be", fault.Problem{Path: "/id", Message: "is another one than in the address"})
	}
	c.ID = r.PathValue("id")
	c, err := p.UpdateClient(r.Context(), "client:"+caller.ClientID, c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, c)
}

// clientWithSecret is the one answer that holds a secret.
type clientWithSecret struct {
	Client `json:",inline"`
	Secret string `json:"client_secret,omitzero"`
}

func (p *Provider) serveAddClient(w http.ResponseWriter, r *http.Request, caller web.Caller) error {
	var c Client
	if err := web.DecodeJSON(w, r, maxBody, &c); err != nil {
		return err
	}
	c, secret, err := p.AddClient(r.Context(), "client:"+caller.ClientID, c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, clientWithSecret{c, secret})
}

func (p *Provider) serveDisableClient(w http.ResponseWriter, r *http.Request, caller web.Caller) error {
	if err := p.DisableClient(r.Context(), "client:"+caller.ClientID, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
