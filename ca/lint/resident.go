package lint

import "github.com/signet-city/signet/ca/profile"

// checkResident: nothing in a subject or among the names of hosts holds a resident
// number, whoever the certificate is about. Certificates are shown to everybody.
func checkResident(c candidate) string {
	for _, a := range c.Subject.Names {
		// A social credit code may look like one; it has a rule of its own.
		if value, ok := a.Value.(string); ok && !a.Type.Equal(profile.OIDOrganizationIdentifier) && profile.HoldsResidentNumber(value) {
			return "holds a resident number"
		}
	}
	for _, name := range c.DNSNames {
		if profile.HoldsResidentNumber(name) {
			return "holds a resident number"
		}
	}
	return ""
}
