package ca

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// maxSmallBody bounds bodies without a CSR: a hundred hashes fit.
const maxSmallBody = 16 << 10

// changeName gives a name to an agency or takes it away.
type changeName func(ctx context.Context, actor, agency, name string) error

// mountPolicy adds what the operator decides beforehand: names and blocked keys.
func (c *CA) mountPolicy(mux *http.ServeMux) {
	c.route(mux, "GET /ca/v1/names", c.namesHandler)
	c.route(mux, "PUT /ca/v1/names", c.nameHandler(c.AddName))
	c.route(mux, "DELETE /ca/v1/names", c.nameHandler(c.RemoveName))
	c.route(mux, "GET /ca/v1/blocked-keys", c.blockedHandler)
	c.route(mux, "POST /ca/v1/blocked-keys", c.blockHandler)
}

// errOperator is what an agency's client gets for what the operator alone decides.
var errOperator = fault.New(fault.Denied, "this is for the city's operator")

// operator authorizes a program that acts for no agency.
func (c *CA) operator(r *http.Request) (web.Caller, error) {
	caller, err := c.caller(r)
	if err == nil && caller.Agency != "" {
		err = errOperator
	}
	return caller, err
}

// nameView is a name as the API shows it.
type nameView struct {
	Name   string    `json:"name"`
	Agency string    `json:"agency"`
	At     time.Time `json:"at"`
}

// namesHandler lists the names of an agency, or of all.
func (c *CA) namesHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.caller(r)
	if err != nil {
		return err
	}
	agency := r.URL.Query().Get("agency")
	if caller.Agency != "" {
		if agency != "" && agency != caller.Agency {
			return errForeign
		}
		agency = caller.Agency
	}
	list, err := c.Names(r.Context(), agency, r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	views := make([]nameView, len(list))
	for i, n := range list {
		views[i] = nameView{n.Name, n.Agency, n.At}
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"names": views})
}

// nameHandler gives or takes one name. Both do the same when repeated and need no
// idempotency key.
func (c *CA) nameHandler(change changeName) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		caller, err := c.operator(r)
		if err != nil {
			return err
		}
		var body struct {
			Agency string `json:"agency"`
			Name   string `json:"name"`
		}
		if err := web.DecodeJSON(w, r, maxSmallBody, &body); err != nil {
			return err
		}
		if err := change(r.Context(), caller.Actor(), body.Agency, body.Name); err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, body)
	}
}

// blockedView is a blocked key as the API shows it.
type blockedView struct {
	SHA256 string    `json:"sha256"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

func (c *CA) blockedHandler(w http.ResponseWriter, r *http.Request) error {
	if _, err := c.operator(r); err != nil {
		return err
	}
	after, err := hex.DecodeString(r.URL.Query().Get("after"))
	if err != nil {
		return fault.New(fault.Invalid, "after is no hash in hex")
	}
	list, err := c.BlockedKeys(r.Context(), after)
	if err != nil {
		return err
	}
	views := make([]blockedView, len(list))
	for i, k := range list {
		views[i] = blockedView{hex.EncodeToString(k.SPKI), k.Reason, k.At}
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"keys": views})
}

// blockHandler blocks keys by their hashes. Repeated it does the same.
func (c *CA) blockHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.operator(r)
	if err != nil {
		return err
	}
	var body struct {
		SHA256 []string `json:"sha256"` // of SubjectPublicKeyInfos, hex
		Reason string   `json:"reason"`
	}
	if err := web.DecodeJSON(w, r, maxSmallBody, &body); err != nil {
		return err
	}
	sums := make([][]byte, len(body.SHA256))
	for i, s := range body.SHA256 {
		if sums[i], err = hex.DecodeString(s); err != nil {
			return fault.New(fault.Invalid, "a key is blocked by the SHA-256 of its SubjectPublicKeyInfo, in hex")
		}
	}
	if err := c.BlockKeys(r.Context(), caller.Actor(), body.Reason, sums...); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, body)
}
