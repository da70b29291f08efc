package oidc

import (
	"context"
	"encoding/json/v2"
	"net/http"

	"github.com/signet-city/signet/internal/fault"
)

const introspectPath = "/oidc/introspect"

// introspection is the answer of RFC 7662 section 2.2. Without Active all else is left
// out.
type introspection struct {
	Active   bool          `json:"active"`
	Scope    string        `json:"scope,omitzero"`
	ClientID string        `json:"client_id,omitzero"`
	Type     string        `json:"token_type,omitzero"`
	Expires  int64         `json:"exp,omitzero"`
	IssuedAt int64         `json:"iat,omitzero"`
	Subject  string        `json:"sub,omitzero"`
	Audience string        `json:"aud,omitzero"`
	Issuer   string        `json:"iss,omitzero"`
	ID       string        `json:"jti,omitzero"`
	ACR      string        `json:"acr,omitzero"`
	AuthTime int64         `json:"auth_time,omitzero"`
	Key      *confirmation `json:"cnf,omitzero"`
	Sandbox  bool          `json:"sandbox,omitzero"` // the person is invented
}

// serveIntrospect tells a client whether an access token of its own is in force. A
// token of somebody else, a refresh token and any other text are not active: the
// audience of every token is this service, so nobody else has business with one.
func (p *Provider) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	p.prepare(w, r)
	answer, err := p.introspect(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	_, _ = w.Write(body)
}

func (p *Provider) introspect(rw http.ResponseWriter, r *http.Request) (answer introspection, err error) {
	form, err := readForm(rw, r, maxForm)
	if err != nil {
		return answer, err
	}
	token := form.Get("token")
	if token == "" {
		return answer, invalid("token is missing")
	}
	w := &work{p: p}
	ctx := withWork(r.Context(), w)
	if _, err := p.authenticate(ctx, r, form); err != nil {
		return answer, err
	}
	if err := w.commit(ctx); err != nil { // the assertion, before anything is told
		return answer, err
	}
	answer, err = p.inspect(ctx, token)
	if fault.KindOf(err) == fault.Denied {
		return introspection{}, nil
	}
	if err != nil || answer.ClientID != w.client.ID {
		return introspection{}, err
	}
	return answer, nil
}

// inspect returns what an access token says. It fails with kind Denied unless the
// token is in force.
func (p *Provider) inspect(ctx context.Context, token string) (introspection, error) {
	kind := func(c *confirmation) string {
		if c != nil {
			return "DPoP"
		}
		return "Bearer"
	}
	if c, err := p.parsePersonToken(ctx, token); err == nil {
		_, _, err = p.grantOf(ctx, c)
		return introspection{true, c.Scope, c.ClientID, kind(c.Key), c.Expires, c.IssuedAt, c.Subject, c.Audience, c.Issuer, c.ID, c.ACR, c.AuthTime, c.Key, c.Sandbox}, err
	} else if fault.KindOf(err) != fault.Denied {
		return introspection{}, err
	}
	c, err := p.readToken(ctx, token)
	if err != nil {
		return introspection{}, err
	}
	if _, err := p.callerOf(ctx, c); err != nil {
		return introspection{}, err
	}
	return introspection{true, c.Scope, c.ClientID, kind(c.Key), c.Expires, c.IssuedAt, c.Subject, c.Audience, c.Issuer, c.ID, "", 0, c.Key, false}, nil
}
