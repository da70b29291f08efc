package agency

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// certificatePage is what certificate.html sees.
type certificatePage struct {
	Home, PEM, Chain string
	Profile          web.Text
	Tag              tag
	Subject, Serial  string
	Hosts            []string
	From, Until      time.Time
}

// certificate returns the certificate of the path, if it is one of the visitor's
// agencies'.
func (s *Service) certificate(r *http.Request, v *visitor) (ca.Certificate, *x509.Certificate, error) {
	row, err := s.o.CA.Find(r.Context(), r.PathValue("serial"))
	if kind := fault.KindOf(err); err != nil && (kind == fault.NotFound || kind == fault.Invalid) {
		return row, nil, errNotFound
	}
	if err != nil {
		return row, nil, err
	}
	if row.Agency == "" || !v.choose(row.Agency) || row.DER == nil {
		return row, nil, errNotFound
	}
	cert, err := x509.ParseCertificate(row.DER)
	return row, cert, err
}

func (s *Service) getCertificate(w http.ResponseWriter, r *http.Request, v *visitor) error {
	row, cert, err := s.certificate(r, v)
	if err != nil {
		return err
	}
	at := "/agency/certificates/" + row.Serial
	d := certificatePage{Home: v.at("/agency"), PEM: at + "/certificate.pem", Chain: at + "/chain.pem", Profile: profileWord(row.Profile), Tag: statusTag(row, s.o.Now()),
		Subject: row.Subject, Serial: row.Serial, Hosts: cert.DNSNames, From: row.NotBefore, Until: row.NotAfter}
	for _, ip := range cert.IPAddresses {
		d.Hosts = append(d.Hosts, ip.String())
	}
	return s.pages.Render(w, r, web.Page{Template: "certificate", Title: web.Text{ZH: "证书", EN: "Certificate"}, Data: &d})
}

// getFile serves the certificate, or its chain.
func (s *Service) getFile(w http.ResponseWriter, r *http.Request, v *visitor) error {
	row, _, err := s.certificate(r, v)
	if err != nil {
		return err
	}
	return s.serveFile(w, r, row)
}

// serveFile serves the file of the path: a certificate, or that and the CA that issued it.
func (s *Service) serveFile(w http.ResponseWriter, r *http.Request, row ca.Certificate) error {
	name := r.PathValue("file")
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: row.DER})
	switch name {
	case "certificate.pem":
	case "chain.pem":
		chain, err := s.o.CA.Chain(r.Context(), row.Serial)
		if err != nil {
			return err
		}
		for _, c := range chain {
			file = append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	default:
		return errNotFound
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-pem-file")
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Disposition", `attachment; filename="`+row.Serial+"-"+name+`"`)
	_, err := w.Write(file)
	return err
}
