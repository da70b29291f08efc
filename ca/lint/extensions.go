package lint

import (
	"encoding/asn1"

	"github.com/signet-city/signet/ca/profile"
)

// Extensions that a certificate of ours can have.
var (
	oidSubjectKeyID   = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasic          = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidCRL            = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtended       = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAuthorityInfo  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
)

// expected returns the extensions of a candidate's profile and whether each is
// critical.
func expected(c candidate) map[string]bool {
	want := map[string]bool{oidSubjectKeyID.String(): false, oidKeyUsage.String(): true, oidBasic.String(): true,
		oidAuthorityKeyID.String(): false}
	if c.issuer != nil {
		want[oidCRL.String()] = false
		want[oidAuthorityInfo.String()] = false
	}
	if len(c.rules.Extended) > 0 {
		want[oidExtended.String()] = c.rules.Critical
	}
	if c.rules.Hosts {
		want[oidSubjectAltName.String()] = false
	}
	if c.rules.NoCheck {
		want[profile.OIDNoCheck.String()] = false
	}
	return want
}

// checkExtensions: each extension of the profile once, with its criticality, and
// no other. This is what stops anything that came along in a request.
func checkExtensions(c candidate) string {
	if c.Version != 3 {
		return "is not of version 3"
	}
	want := expected(c)
	for _, e := range c.Extensions {
		critical, ok := want[e.Id.String()]
		if !ok {
			return "has an extension that is foreign to its profile or there twice: " + e.Id.String()
		}
		if critical != e.Critical {
			return "has an extension with the wrong criticality: " + e.Id.String()
		}
		delete(want, e.Id.String())
	}
	if len(want) > 0 {
		return "lacks an extension of its profile"
	}
	return ""
}
