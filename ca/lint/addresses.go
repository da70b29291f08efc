package lint

import "net/url"

// checkAddresses: below the root every certificate says, over plain http, where
// exactly one CRL and the issuer's certificate are.
func checkAddresses(c candidate) string {
	if c.issuer == nil {
		if len(c.CRLDistributionPoints)+len(c.IssuingCertificateURL) > 0 {
			return "the root points to an issuer"
		}
		return ""
	}
	if len(c.CRLDistributionPoints) != 1 || len(c.IssuingCertificateURL) != 1 {
		return "does not name one CRL and one issuer's certificate"
	}
	for _, s := range []string{c.CRLDistributionPoints[0], c.IssuingCertificateURL[0]} {
		if u, err := url.Parse(s); err != nil || u.Scheme != "http" || u.Host == "" {
			return "has an address that is not plain http"
		}
	}
	return ""
}
