package profile

import (
	"crypto/x509"
	"encoding/asn1"
	"time"
)

// Kind names a profile.
type Kind string

// The profiles.
const (
	Root          Kind = "root"   // the offline root, self-signed
	Issuer        Kind = "issuer" // an issuing CA of the city or of a district
	PermitSigning Kind = "permit" // an agency's key that signs permits
	OCSP          Kind = "ocsp"   // the key that signs an issuer's OCSP answers
	TLS           Kind = "tls"    // the city's own servers

	DocumentSigning Kind = "document"      // an agency's key that signs documents
	SystemServer    Kind = "system-server" // a server of an agency
	SystemClient    Kind = "system-client" // an agency's program that calls others
	Firm            Kind = "firm"          // with which a firm signs in
	Citizen         Kind = "citizen"       // with which a citizen signs in
	Officer         Kind = "officer"       // with which an agency's officer signs in
	Timestamp       Kind = "timestamp"     // the key that signs timestamps (RFC 3161)
)

// Form is what a subject consists of.
type Form string

// The forms.
const (
	Organization Form = "organization" // country, organisation, its identifier, common name
	Employee     Form = "employee"     // the same, and a serial number that tells people of one name apart
	Person       Form = "person"       // country, common name, serial number
)

// Rules are what a profile demands.
type Rules struct {
	CA       bool                    // may sign certificates and CRLs
	PathLen  int                     // CAs below it, -1 for no limit
	Usage    x509.KeyUsage           // exactly these
	Extended []asn1.ObjectIdentifier // exactly these, in order
	Critical bool                    // the extended usages are critical (RFC 3161 section 2.3)
	Subject  Form                    // what it says of whom it is about
	Usual    time.Duration           // validity when the request names no end
	Longest  time.Duration           // longest validity
	Keys     []Algorithm             // keys that it accepts
	Hosts    bool                    // needs names of hosts; without it they are forbidden
	Lasting  bool                    // signs what is checked long afterwards: never begins before it was asked for
	NoCheck  bool                    // carries id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1)
}

// Responder reports whether certificates of the profile say where their status can
// be asked for. CAs' do not, because the root that signs them is offline; nor do
// OCSP signers', which are not asked about (RFC 6960 section 4.2.2.2.1).
func (r Rules) Responder() bool { return !r.CA && !r.NoCheck }

// oidExtKeyUsage is the extension, RFC 5280 section 4.2.1.12.
var oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

// Extended key usages.
var (
	oidServerAuth      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	oidTimeStamping    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	oidOCSPSigning     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}
	oidDocumentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36} // RFC 9336
)

const day = 24 * time.Hour

// Rules returns what the profile demands; ok is false for an unknown one.
func (k Kind) Rules() (r Rules, ok bool) {
	r, ok = table[k]
	return r, ok
}

// Kinds returns every profile.
func Kinds() []Kind {
	return []Kind{Root, Issuer, PermitSigning, DocumentSigning, SystemServer, SystemClient, Firm, Citizen, Officer, OCSP, Timestamp, TLS}
}

// Key usages (RFC 5280 section 4.2.1.3).
const (
	certifies = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	signs     = x509.KeyUsageDigitalSignature
)

func usages(oids ...asn1.ObjectIdentifier) []asn1.ObjectIdentifier { return oids }

// table holds the profiles. Nobody changes it.
var table = map[Kind]Rules{
	Root:   {CA: true, PathLen: -1, Usage: certifies, Subject: Organization, Usual: 7300 * day, Longest: 10958 * day, Keys: []Algorithm{P256, P384}},
	Issuer: {CA: true, PathLen: 0, Usage: certifies, Subject: Organization, Usual: 3650 * day, Longest: 5479 * day, Keys: []Algorithm{P256, P384}},
	PermitSigning: {Lasting: true, PathLen: -1, Usage: signs, Extended: usages(oidDocumentSigning), Subject: Organization,
		Usual: 730 * day, Longest: 1827 * day, Keys: []Algorithm{P256, P384, Ed25519}},
	// Whoever signs a document commits to its content.
	DocumentSigning: {Lasting: true, PathLen: -1, Usage: signs | x509.KeyUsageContentCommitment, Extended: usages(oidDocumentSigning), Subject: Organization,
		Usual: 730 * day, Longest: 1827 * day, Keys: []Algorithm{P256, P384, RSA}},
	SystemServer: {PathLen: -1, Usage: signs, Extended: usages(oidServerAuth), Subject: Organization, Hosts: true,
		Usual: 90 * day, Longest: 398 * day, Keys: []Algorithm{P256, P384, RSA}},
	SystemClient: {PathLen: -1, Usage: signs, Extended: usages(oidClientAuth), Subject: Organization,
		Usual: 365 * day, Longest: 825 * day, Keys: []Algorithm{P256, P384, Ed25519, RSA}},
	// Firms and citizens keep theirs on smart cards, many of which know RSA alone.
	Firm: {PathLen: -1, Usage: signs, Extended: usages(oidClientAuth), Subject: Organization,
		Usual: 1095 * day, Longest: 1827 * day, Keys: []Algorithm{P256, P384, RSA}},
	Citizen: {PathLen: -1, Usage: signs, Extended: usages(oidClientAuth), Subject: Person,
		Usual: 1095 * day, Longest: 1827 * day, Keys: []Algorithm{P256, P384, RSA}},
	Officer: {PathLen: -1, Usage: signs, Extended: usages(oidClientAuth), Subject: Employee,
		Usual: 365 * day, Longest: 825 * day, Keys: []Algorithm{P256, P384}},
	OCSP: {PathLen: -1, Usage: signs, Extended: usages(oidOCSPSigning), Subject: Organization,
		Usual: 90 * day, Longest: 398 * day, Keys: []Algorithm{P256, P384}, NoCheck: true},
	Timestamp: {Lasting: true, PathLen: -1, Usage: signs, Extended: usages(oidTimeStamping), Critical: true, Subject: Organization,
		Usual: 1095 * day, Longest: 1827 * day, Keys: []Algorithm{P256, P384}},
	TLS: {PathLen: -1, Usage: signs, Extended: usages(oidServerAuth), Subject: Organization, Hosts: true,
		Usual: 90 * day, Longest: 398 * day, Keys: []Algorithm{P256, P384, RSA}},
}
