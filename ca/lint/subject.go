package lint

import (
	"encoding/asn1"

	"github.com/signet-city/signet/ca/profile"
)

// checkSubject: country, organisation, its identifier in the form of ETSI EN 319
// 412-1 and a common name, each once, and nothing else.
func checkSubject(c candidate) string {
	want := map[string]bool{"2.5.4.6": true, "2.5.4.10": true, "2.5.4.3": true, profile.OIDOrganizationIdentifier.String(): true}
	for _, a := range c.Subject.Names {
		oid := a.Type.String()
		if !want[oid] {
			return "has an attribute that is foreign or there twice: " + oid
		}
		delete(want, oid)
		value, _ := a.Value.(string)
		if a.Type.Equal(profile.OIDOrganizationIdentifier) {
			if err := profile.CheckOrganizationIdentifier(value); err != nil {
				return err.Error()
			}
		}
		if a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 6}) && value != profile.Country {
			return "is of another country"
		}
	}
	if len(want) > 0 {
		return "lacks country, organisation, its identifier or a common name"
	}
	return ""
}
