package lint

import (
	"encoding/asn1"

	"github.com/signet-city/signet/ca/profile"
)

// Attributes of a subject.
var (
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
)

// attributes are what a subject of each form consists of.
var attributes = map[profile.Form][]asn1.ObjectIdentifier{
	profile.Organization: {oidCountry, oidOrganization, oidCommonName, profile.OIDOrganizationIdentifier},
	profile.Employee:     {oidCountry, oidOrganization, oidCommonName, profile.OIDOrganizationIdentifier, oidSerialNumber},
	profile.Person:       {oidCountry, oidCommonName, oidSerialNumber},
}

// checkSubject: the attributes of the profile's form, each once, and nothing else;
// the organisation's identifier in the form of ETSI EN 319 412-1 clause 5.1.4, a
// person's number in that of clause 5.1.3.
func checkSubject(c candidate) string {
	want := map[string]bool{}
	for _, oid := range attributes[c.rules.Subject] {
		want[oid.String()] = true
	}
	for _, a := range c.Subject.Names {
		oid := a.Type.String()
		if !want[oid] {
			return "has an attribute that is foreign or there twice: " + oid
		}
		delete(want, oid)
		value, _ := a.Value.(string)
		if detail := checkAttribute(a.Type, value); detail != "" {
			return detail
		}
	}
	if len(want) > 0 {
		return "lacks an attribute that subjects of its profile have"
	}
	return ""
}

func checkAttribute(oid asn1.ObjectIdentifier, value string) string {
	var err error
	switch {
	case oid.Equal(profile.OIDOrganizationIdentifier):
		err = profile.CheckOrganizationIdentifier(value)
	case oid.Equal(oidSerialNumber):
		err = profile.CheckNumber(value)
	case oid.Equal(oidCountry) && value != profile.Country:
		return "is of another country"
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
