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
	TLS           Kind = "tls"    // a server of the city or of an agency
)

// Rules are what a profile demands.
type Rules struct {
	CA       bool                    // may sign certificates and CRLs
	PathLen  int                     // CAs below it, -1 for no limit
	Usage    x509.KeyUsage           // exactly these
	Extended []asn1.ObjectIdentifier // exactly these, in order
	Usual    time.Duration           // validity when the request names no end
	Longest  time.Duration           // longest validity
	Keys     []Algorithm             // keys that it accepts
	Hosts    bool                    // needs names of hosts; without it they are forbidden
	NoCheck  bool                    // carries id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1)
}

// Responder reports whether certificates of the profile say where their status can
// be asked for. CAs' do not, because the root that signs them is offline; nor do
// OCSP signers', which are not asked about (RFC 6960 section 4.2.2.2.1).
func (r Rules) Responder() bool { return !r.CA && !r.NoCheck }

// Extended key usages.
var (
	oidServerAuth      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidOCSPSigning     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}
	oidDocumentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36} // RFC 9336
)

const day = 24 * time.Hour

// Rules returns what the profile demands; ok is false for an unknown one.
func (k Kind) Rules() (r Rules, ok bool) {
	switch k {
	case Root:
		return Rules{CA: true, PathLen: -1, Usage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			Usual: 7300 * day, Longest: 10958 * day, Keys: []Algorithm{P256, P384}}, true
	case Issuer:
		return Rules{CA: true, PathLen: 0, Usage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			Usual: 3650 * day, Longest: 5479 * day, Keys: []Algorithm{P256, P384}}, true
	case PermitSigning:
		return Rules{PathLen: -1, Usage: x509.KeyUsageDigitalSignature, Extended: []asn1.ObjectIdentifier{oidDocumentSigning},
			Usual: 730 * day, Longest: 1827 * day, Keys: []Algorithm{P256, P384, Ed25519}}, true
	case OCSP:
		return Rules{PathLen: -1, Usage: x509.KeyUsageDigitalSignature, Extended: []asn1.ObjectIdentifier{oidOCSPSigning},
			Usual: 90 * day, Longest: 398 * day, Keys: []Algorithm{P256, P384}, NoCheck: true}, true
	case TLS:
		return Rules{PathLen: -1, Usage: x509.KeyUsageDigitalSignature, Extended: []asn1.ObjectIdentifier{oidServerAuth},
			Usual: 90 * day, Longest: 398 * day, Keys: []Algorithm{P256, P384, RSA}, Hosts: true}, true
	default:
		return Rules{}, false
	}
}
