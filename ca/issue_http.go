package ca

import (
	"net/http"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// issueBody is what a client asks for.
type issueBody struct {
	Profile   profile.Kind `json:"profile,omitzero"` // "" means permit
	Agency    string       `json:"agency,omitzero"`
	Firm      string       `json:"firm,omitzero"`   // USCC; for the operator's clients alone
	Person    string       `json:"person,omitzero"` // id in the registry; of an officer, or for the operator's clients alone
	Issuer    string       `json:"issuer,omitzero"` // of a firm or a citizen
	Name      string       `json:"name,omitzero"`   // of a program
	Hosts     []string     `json:"hosts,omitzero"`  // of a server
	CSR       string       `json:"csr"`             // PEM
	NotBefore time.Time    `json:"not_before,omitzero"`
	NotAfter  time.Time    `json:"not_after,omitzero"`
}

// allowed fails unless the caller may ask for this: an agency's for the agency alone.
func (b *issueBody) allowed(caller web.Caller) error {
	switch {
	case b.CSR == "":
		return fault.InvalidInput("a certificate request is required")
	case caller.Agency != "" && caller.Agency != b.Agency:
		return errForeign
	}
	return nil
}

// issueHandler certifies a key by its CSR, at once or, where the profile says so,
// when an officer has decided.
func (c *CA) issueHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.caller(r)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	var body issueBody
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	if err := body.allowed(caller); err != nil {
		return err
	}
	if body.Profile == "" {
		body.Profile = profile.PermitSigning
	}
	return c.answerRequest(w, r, Request{Profile: body.Profile, Agency: body.Agency, Firm: body.Firm, Person: body.Person, Issuer: body.Issuer, Name: body.Name,
		Hosts: body.Hosts, CSR: []byte(body.CSR), NotBefore: body.NotBefore, NotAfter: body.NotAfter, Actor: caller.Actor(), IdempotencyKey: key}, c.NeedsApproval(body.Profile))
}

// renewHandler makes the successor of a certificate: at once for the same key, about
// which an officer has decided already.
func (c *CA) renewHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.caller(r)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	var body struct {
		CSR      string    `json:"csr"` // PEM
		NotAfter time.Time `json:"not_after,omitzero"`
	}
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	old, err := c.find(r, caller)
	if err != nil {
		return err
	}
	wish, sameKey, err := c.RenewalRequest(r.Context(), Renewal{Serial: old.Serial, CSR: []byte(body.CSR), NotAfter: body.NotAfter,
		Actor: caller.Actor(), IdempotencyKey: key})
	if err != nil {
		return err
	}
	return c.answerRequest(w, r, wish, !sameKey && c.NeedsApproval(wish.Profile))
}

// answerRequest issues and answers with the certificate, or keeps the request for an
// officer and answers with that.
func (c *CA) answerRequest(w http.ResponseWriter, r *http.Request, wish Request, waits bool) error {
	a, err := c.Ask(r.Context(), wish, waits)
	if err != nil {
		return err
	}
	if a.Pending.ID != "" {
		return web.WriteJSON(w, http.StatusAccepted, map[string]any{"request": viewPending(a.Pending)})
	}
	v, err := c.fullView(r, a.Certificate)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, v)
}
