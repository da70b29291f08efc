package lint

import (
	"bytes"
	"encoding/asn1"
	"slices"

	"github.com/signet-city/signet/ca/profile"
)

// checkUsage: key usage and extended key usages are exactly the profile's, and an
// OCSP signer says that it is not itself to be looked up.
func checkUsage(c candidate) string {
	if c.KeyUsage != c.rules.Usage {
		return "has another key usage than its profile"
	}
	for _, e := range c.Extensions {
		switch {
		case e.Id.Equal(oidExtended):
			var got []asn1.ObjectIdentifier
			rest, err := asn1.Unmarshal(e.Value, &got)
			if err != nil || len(rest) > 0 || !slices.EqualFunc(got, c.rules.Extended, asn1.ObjectIdentifier.Equal) {
				return "has other extended key usages than its profile"
			}
		case e.Id.Equal(profile.OIDNoCheck) && !bytes.Equal(e.Value, asn1.NullBytes):
			return "has a no-check mark that is not NULL"
		}
	}
	return ""
}
