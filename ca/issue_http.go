package ca

import (
	"net/http"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// issueHandler certifies an agency's key by its CSR.
func (c *CA) issueHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := web.Authorize(c.tokens, r, Scope)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	var body struct {
		Agency    string    `json:"agency"`
		CSR       string    `json:"csr"` // PEM
		NotBefore time.Time `json:"not_before,omitzero"`
		NotAfter  time.Time `json:"not_after,omitzero"`
	}
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	if caller.Agency != "" && caller.Agency != body.Agency {
		return errForeign
	}
	if body.Agency == "" || body.CSR == "" {
		return fault.InvalidInput("an agency and a certificate request are required")
	}
	cert, err := c.Issue(r.Context(), Request{Profile: profile.PermitSigning, Agency: body.Agency, CSR: []byte(body.CSR),
		NotBefore: body.NotBefore, NotAfter: body.NotAfter, Actor: "client:" + caller.ClientID, IdempotencyKey: key})
	if err != nil {
		return err
	}
	v, err := c.fullView(r, cert)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, v)
}
