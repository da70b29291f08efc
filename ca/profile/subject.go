package profile

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OIDOrganizationIdentifier is X.520's organizationIdentifier, 2.5.4.97.
var OIDOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}

// Country stands in every subject.
const Country = "CN"

// maxName is RFC 5280's upper bound of commonName and organizationName, in
// characters.
const maxName = 64

// scheme begins every organizationIdentifier: a number from a national register
// (ETSI EN 319 412-1 clause 5.1.4, "NTR"), of China. The unified social credit
// code (GB 32100-2015) is that number for firms and public bodies alike.
const scheme = "NTR" + Country + "-"

// Subject is whom a certificate is about. Country is always Country. Which of the
// others there must be its Form says.
type Subject struct {
	Organization string // the legal name
	USCC         string // its unified social credit code
	CommonName   string
	Number       string // of people: 20 hex digits that NewNumber made
}

// OrganizationIdentifier returns the code as it stands in a subject.
func OrganizationIdentifier(uscc string) string { return scheme + uscc }

// CheckOrganizationIdentifier fails unless s is the register's scheme and a
// unified social credit code with its right check character.
func CheckOrganizationIdentifier(s string) error {
	code, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return errors.New("the organisation's identifier does not begin with " + scheme)
	}
	if !validUSCC(code) {
		return errors.New("the organisation's identifier is no unified social credit code")
	}
	return nil
}

// codeAlphabet are GB 32100's 31 characters in the order of their values.
const codeAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// validUSCC checks length, alphabet and check character (GB 32100-2015 clause 6:
// weights 3^i mod 31).
func validUSCC(s string) bool {
	if len(s) != 18 {
		return false
	}
	sum, weight := 0, 1
	for i := range 17 {
		v := strings.IndexByte(codeAlphabet, s[i])
		if v < 0 {
			return false
		}
		sum += v * weight
		weight = weight * 3 % 31
	}
	return codeAlphabet[(31-sum%31)%31] == s[17]
}

// Name returns the distinguished name of s in the form. It fails if a part is
// missing, foreign to the form or too long, or holds characters that cannot be seen.
func (s Subject) Name(form Form) (pkix.Name, error) {
	if err := checkName("common name", s.CommonName); err != nil {
		return pkix.Name{}, err
	}
	n := pkix.Name{Country: []string{Country}, CommonName: s.CommonName}
	if form == Person {
		if s.Organization != "" || s.USCC != "" {
			return pkix.Name{}, errors.New("a person's certificate names no organisation")
		}
	} else if err := s.setOrganization(&n); err != nil {
		return pkix.Name{}, err
	}
	if form == Organization {
		if s.Number != "" {
			return pkix.Name{}, errors.New("an organisation has no number beside its identifier")
		}
		return n, nil
	}
	if HoldsResidentNumber(s.CommonName) {
		return pkix.Name{}, errors.New("the common name holds a resident number")
	}
	n.SerialNumber = numberScheme + s.Number
	return n, CheckNumber(n.SerialNumber)
}

func (s Subject) setOrganization(n *pkix.Name) error {
	if err := checkName("organization", s.Organization); err != nil {
		return err
	}
	id := OrganizationIdentifier(s.USCC)
	if err := CheckOrganizationIdentifier(id); err != nil {
		return err
	}
	n.Organization = []string{s.Organization}
	n.ExtraNames = []pkix.AttributeTypeAndValue{{Type: OIDOrganizationIdentifier, Value: id}}
	return nil
}

func checkName(what, s string) error {
	switch {
	case s == "" || !utf8.ValidString(s):
		return fmt.Errorf("the %s is missing or not UTF-8", what)
	case utf8.RuneCountInString(s) > maxName:
		return fmt.Errorf("the %s is longer than %d characters", what, maxName)
	case strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return fmt.Errorf("the %s holds invisible characters or spaces around it", what)
	}
	return nil
}
