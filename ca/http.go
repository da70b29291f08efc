package ca

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Scope is what an access token needs for the administration under /ca/v1/.
const Scope = "ca"

// maxBody bounds the administration's bodies: a CSR in JSON.
const maxBody = 2 * MaxCSR

// Mount adds what MountPublic adds and, if Options had Tokens, the administration
// under /ca/v1/.
func (c *CA) Mount(mux *http.ServeMux) {
	c.MountPublic(mux)
	if c.tokens == nil {
		return
	}
	c.route(mux, "GET /ca/v1/certificates", c.listHandler)
	c.route(mux, "GET /ca/v1/certificates/{serial}", c.findHandler)
	c.route(mux, "GET /ca/v1/expiring", c.expiringHandler)
	c.route(mux, "POST /ca/v1/certificates", c.issueHandler)
	c.route(mux, "POST /ca/v1/certificates/{serial}/revoke", c.revokeHandler)
	c.route(mux, "POST /ca/v1/certificates/{serial}/release", c.releaseHandler)
	c.route(mux, "POST /ca/v1/certificates/{serial}/renew", c.renewHandler)
	c.mountPolicy(mux)
	c.mountPending(mux)
}

// MountPublic adds what certificates point to by plain http: the issuers'
// certificates, the CRLs and the OCSP responders, whose answers are all signed in
// themselves. The multiplexer needs KeepSlashes in front of it.
func (c *CA) MountPublic(mux *http.ServeMux) {
	c.route(mux, "GET /ca/{issuer}/{file}", c.serveCertificate)
	c.route(mux, "GET /ca/{issuer}/crl/{file}", c.serveCRL)
	c.mountOCSP(mux)
}

func (c *CA) route(mux *http.ServeMux, pattern string, f func(http.ResponseWriter, *http.Request) error) {
	mux.Handle(pattern, web.Handler(f, c.log))
}

// serveCertificate serves ca.crt, an issuer's certificate in use, and KEYID.crt,
// the one that a certificate points to.
func (c *CA) serveCertificate(w http.ResponseWriter, r *http.Request) error {
	der, err := c.certificateFile(r)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(der)
	serveFile(w, r, file{body: der, kind: "application/pkix-cert", etag: hex.EncodeToString(sum[:16]), maxAge: time.Hour})
	return nil
}

var errNoFile = fault.New(fault.NotFound, "there is nothing at this address")

func (c *CA) certificateFile(r *http.Request) ([]byte, error) {
	issuer := r.PathValue("issuer")
	name, ok := strings.CutSuffix(r.PathValue("file"), ".crt")
	if _, known := c.issuers[issuer]; !ok || !known && issuer != Root {
		return nil, errNoFile
	}
	if issuer == Root {
		r := c.roots.Load()
		if name == "ca" {
			return r.current.cert.Raw, nil
		}
		for _, one := range r.all() {
			if name == hex.EncodeToString(one.cert.SubjectKeyId) {
				return one.cert.Raw, nil
			}
		}
		return nil, errNoFile
	}
	if name == "ca" {
		s, err := c.active(r.Context(), issuer)
		if err != nil {
			return nil, err
		}
		return s.cert.Raw, nil
	}
	return c.findIssuerCertificate(r, issuer, name)
}

// findIssuerCertificate finds the certificate of any of an issuer's keys, old ones
// too, by key identifier.
func (c *CA) findIssuerCertificate(r *http.Request, issuer, keyID string) ([]byte, error) {
	list, err := c.issuerKeys(r.Context(), issuer)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if hex.EncodeToString(s.cert.SubjectKeyId) == keyID {
			return s.cert.Raw, nil
		}
	}
	return nil, errNoFile
}

func (c *CA) serveCRL(w http.ResponseWriter, r *http.Request) error {
	name, ok := strings.CutSuffix(r.PathValue("file"), ".crl")
	shard, err := strconv.ParseInt(name, 10, 64)
	if !ok || err != nil || strconv.FormatInt(shard, 10) != name || shard < 1 {
		return errNoFile
	}
	p, err := c.findCRL(r.Context(), r.PathValue("issuer"), shard)
	if err != nil {
		return err
	}
	if c.now().Sub(p.from) < busy {
		p.from = time.Time{} // another one of the same second may follow, and Last-Modified would be the same
	}
	serveFile(w, r, file{body: p.der, kind: "application/pkix-crl", etag: strconv.FormatInt(p.number, 10), modified: p.from, maxAge: time.Minute})
	return nil
}

// file is an answer in bytes.
type file struct {
	body     []byte
	kind     string
	etag     string
	modified time.Time
	maxAge   time.Duration
}

func serveFile(w http.ResponseWriter, r *http.Request, f file) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", `"`+f.etag+`"`)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(f.maxAge.Seconds())))
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", f.modified, bytes.NewReader(f.body))
}

// certificateView is a certificate as the administration shows it.
type certificateView struct {
	Serial      string    `json:"serial"`
	Issuer      string    `json:"issuer"`
	Profile     string    `json:"profile"`
	Agency      string    `json:"agency,omitzero"`
	Subject     string    `json:"subject"`
	Status      Status    `json:"status"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Reason      string    `json:"reason,omitzero"`
	RevokedAt   time.Time `json:"revoked_at,omitzero"`
	InvalidFrom time.Time `json:"invalid_from,omitzero"`
	Certificate string    `json:"certificate,omitzero"` // PEM
	Chain       string    `json:"chain,omitzero"`       // PEM, the issuing CA
}

func view(cert Certificate) certificateView {
	v := certificateView{Serial: cert.Serial, Issuer: cert.Issuer, Profile: string(cert.Profile), Agency: cert.Agency, Subject: cert.Subject,
		Status: cert.Status, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, RevokedAt: cert.RevokedAt, InvalidFrom: cert.InvalidFrom}
	if cert.Status == Revoked {
		v.Reason = cert.Reason.String()
	}
	if cert.DER != nil {
		v.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.DER}))
	}
	return v
}

// fullView adds the chain.
func (c *CA) fullView(r *http.Request, cert Certificate) (certificateView, error) {
	v := view(cert)
	issuer, err := c.issuerOfRow(r.Context(), cert)
	if err != nil {
		return v, err
	}
	if issuer != nil {
		v.Chain = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Raw}))
	}
	return v, nil
}

// caller returns who acts for an agency, or for none as a program of the operator's. A
// person who acts for no agency is neither.
func (c *CA) caller(r *http.Request) (web.Caller, error) {
	caller, err := web.Authorize(c.tokens, r, Scope)
	if err == nil && caller.Agency == "" && caller.Person != "" {
		err = errOperator
	}
	return caller, err
}

// errForeign is what an agency's client gets for another agency's business.
var errForeign = fault.New(fault.Denied, "this client acts for another agency")

// find returns the certificate of the path, if the caller may see it. An agency
// learns nothing about others' certificates, not even that they exist.
func (c *CA) find(r *http.Request, caller web.Caller) (Certificate, error) {
	cert, err := c.Find(r.Context(), r.PathValue("serial"))
	if err == nil && caller.Agency != "" && caller.Agency != cert.Agency {
		return Certificate{}, ErrNotFound
	}
	return cert, err
}

func (c *CA) findHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.caller(r)
	if err != nil {
		return err
	}
	cert, err := c.find(r, caller)
	if err != nil {
		return err
	}
	v, err := c.fullView(r, cert)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, v)
}

// idempotencyKey returns the header as the register of acts has it.
func idempotencyKey(r *http.Request) (string, error) {
	key, err := web.IdempotencyKey(r)
	return "api:" + key, err
}

func (c *CA) revokeHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.caller(r)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	var body struct {
		Reason      string    `json:"reason"`
		InvalidFrom time.Time `json:"invalid_from,omitzero"` // of keyCompromise
	}
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	reason, err := ParseReason(body.Reason)
	if err != nil {
		return err
	}
	cert, err := c.find(r, caller)
	if err != nil {
		return err
	}
	if err := c.revoke(r.Context(), revocation{serial: cert.Serial, reason: reason, actor: caller.Actor(), agency: caller.Agency, key: key, from: body.InvalidFrom}); err != nil {
		return err
	}
	if cert, err = c.find(r, caller); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, view(cert))
}

// releaseHandler takes a hold back. Whose certificate it is may hold it and release
// its own hold; the city's clients release any.
func (c *CA) releaseHandler(w http.ResponseWriter, r *http.Request) error {
	caller, err := c.caller(r)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	if err := web.DecodeJSON(w, r, maxBody, &struct{}{}); err != nil {
		return err
	}
	cert, err := c.find(r, caller)
	if err != nil {
		return err
	}
	if err := c.release(r.Context(), revocation{serial: cert.Serial, actor: caller.Actor(), agency: caller.Agency, key: key}); err != nil {
		return err
	}
	if cert, err = c.find(r, caller); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, view(cert))
}
