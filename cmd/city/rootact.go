package city

import (
	"crypto/x509"
	"io"
	"net/http"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// maxRootBody is the longest request or response of the root.
const maxRootBody = 2 << 20

// mountRoot adds the acts of the offline root to the officers' API.
func (c *City) mountRoot(route func(string, func(http.ResponseWriter, *http.Request, string) error)) {
	route("GET /security/v1/root", c.getRoot)
	route("POST /security/v1/root/ask", c.askRoot)
	route("POST /security/v1/root/apply", c.applyRoot)
	route("POST /security/v1/root/withdraw", c.withdrawRoot)
}

// getRoot returns the request of the act under way.
func (c *City) getRoot(w http.ResponseWriter, r *http.Request, _ string) error {
	file, err := c.CA.OpenRootAct(r.Context())
	if err != nil {
		return err
	}
	return sendFile(w, file)
}

// askRoot prepares an act of the root. next and switch are certificates in DER.
func (c *City) askRoot(w http.ResponseWriter, r *http.Request, actor string) error {
	var body struct {
		Issuers []string `json:"issuers"`
		Next    []byte   `json:"next"`
		Switch  []byte   `json:"switch"`
		Former  bool     `json:"former"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	if body.Issuers == nil {
		return fault.InvalidInput("which issuing CAs?", fault.Problem{Path: "/issuers", Message: "is required, and may be empty"})
	}
	ask := ca.RootAsk{Issuers: body.Issuers, Former: body.Former, Actor: actor}
	if body.Next != nil {
		cert, err := rootCertificate(body.Next, "/next")
		if err != nil {
			return err
		}
		ask.NextRoot = cert.PublicKey
	}
	if body.Switch != nil {
		cert, err := rootCertificate(body.Switch, "/switch")
		if err != nil {
			return err
		}
		ask.Switch = cert
	}
	file, err := c.CA.AskRoot(r.Context(), ask)
	if err != nil {
		return err
	}
	return sendFile(w, file)
}

func rootCertificate(der []byte, path string) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.InvalidInput("this is no certificate", fault.Problem{Path: path, Message: "is no certificate in DER"})
	}
	return cert, nil
}

// applyRoot takes the root's response, and publishes what it changed.
func (c *City) applyRoot(w http.ResponseWriter, r *http.Request, actor string) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRootBody))
	if err != nil {
		return err
	}
	if err := c.needTwo(r.Context(), OpRoot); err != nil {
		return err
	}
	if err := c.CA.ApplyRoot(r.Context(), body, actor); err != nil {
		return err
	}
	if err := c.Trust.Publish(r.Context()); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"applied": true})
}

func (c *City) withdrawRoot(w http.ResponseWriter, r *http.Request, actor string) error {
	var body struct {
		ID string `json:"id"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	if err := c.CA.WithdrawRoot(r.Context(), body.ID, actor); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"withdrawn": true})
}

func sendFile(w http.ResponseWriter, file []byte) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(file)
	return err
}
