package lint

import (
	"crypto/x509"
	"net/url"

	"github.com/signet-city/signet/ca/profile"
)

// checkResponder: a certificate names at most one OCSP responder, over plain http,
// and none where nobody would answer. Certificates from before there were
// responders name none and stay valid; lacksResponder is for new ones.
func checkResponder(c candidate) string {
	switch {
	case len(c.OCSPServer) == 0:
		return ""
	case !c.rules.Responder():
		return "names an OCSP responder, which nobody asks"
	case len(c.OCSPServer) > 1:
		return "names more than one OCSP responder"
	}
	if u, err := url.Parse(c.OCSPServer[0]); err != nil || u.Scheme != "http" || u.Host == "" {
		return "has an OCSP responder that is not at a plain http address"
	}
	return ""
}

// lacksResponder returns what is wrong with a certificate that is about to be
// signed and names no responder.
func lacksResponder(kind profile.Kind, c *x509.Certificate) string {
	if rules, ok := kind.Rules(); ok && rules.Responder() && len(c.OCSPServer) == 0 {
		return "does not say where its status can be asked for"
	}
	return ""
}
