package ca

import (
	"crypto"
	"crypto/ecdsa"
	_ "crypto/sha1" // what others still take
	_ "crypto/sha3"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
)

// Lineage finds the certificates that CAs have signed, whoever it was that used their
// keys. It serves one caller at a time.
type Lineage struct {
	cas map[string][]*x509.Certificate // by their subjects, as looseName writes them
}

// NewLineage returns the lineage of CAs.
func NewLineage(cas ...*x509.Certificate) *Lineage {
	l := &Lineage{cas: map[string][]*x509.Certificate{}}
	for _, cert := range cas {
		l.add(cert)
	}
	return l
}

func (l *Lineage) add(cert *x509.Certificate) {
	name := looseName(cert.Subject)
	l.cas[name] = append(l.cas[name], cert)
}

// looseName is the same for names that some client takes for the same: whatever the
// letters' case, the spaces and the types of strings (RFC 5280 section 7.1). Whether a CA
// of that name has signed is for its key to say.
func looseName(n pkix.Name) string {
	var b strings.Builder
	for _, a := range n.Names {
		fmt.Fprintf(&b, "%v=%q,", a.Type, strings.ToLower(strings.Join(strings.Fields(fmt.Sprint(a.Value)), " ")))
	}
	return b.String()
}

// Verify reports of each certificate whether it verifies under a CA of the lineage, for
// Go's verifier or a more lenient one.
// Dates do not matter: a certificate that nobody knows of is evidence after its end,
// too. CAs among them belong to the lineage from then on, also for those that stand
// before them and for later calls: whoever has stolen a key may have made a CA with it.
func (l *Lineage) Verify(certs []*x509.Certificate) []bool {
	found := make([]bool, len(certs))
	for again := true; again; {
		again = false
		for i, cert := range certs {
			if found[i] || !l.verifies(cert) {
				continue
			}
			found[i] = true
			if cert.IsCA {
				l.add(cert)
				again = true
			}
		}
	}
	return found
}

// verifies reports whether a CA that is known has signed the certificate.
func (l *Lineage) verifies(cert *x509.Certificate) bool {
	for _, parent := range l.cas[looseName(cert.Issuer)] {
		if cert.CheckSignatureFrom(parent) == nil || signedOtherwise(cert, parent) {
			return true
		}
	}
	return false
}

// ecdsaHashes are the hashes of ECDSA by the algorithm's identifier: also those that
// crypto/x509 does not know, or trusts no more. Whoever has stolen a key chooses, and
// other clients take them.
var ecdsaHashes = map[string]crypto.Hash{
	"1.2.840.10045.4.1":   crypto.SHA1,
	"1.2.840.10045.4.3.1": crypto.SHA224, "1.2.840.10045.4.3.2": crypto.SHA256, "1.2.840.10045.4.3.3": crypto.SHA384, "1.2.840.10045.4.3.4": crypto.SHA512,
	"2.16.840.1.101.3.4.3.9": crypto.SHA3_224, "2.16.840.1.101.3.4.3.10": crypto.SHA3_256, "2.16.840.1.101.3.4.3.11": crypto.SHA3_384, "2.16.840.1.101.3.4.3.12": crypto.SHA3_512,
}

// signedOtherwise reports whether an EC key, which all CAs of a city have, signed the
// certificate with a hash that crypto/x509 refuses.
func signedOtherwise(cert, parent *x509.Certificate) bool {
	pub, ok := parent.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return false
	}
	var outer struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.Raw, &outer); err != nil {
		return false
	}
	hash, ok := ecdsaHashes[outer.Algorithm.Algorithm.String()]
	if !ok {
		return false
	}
	h := hash.New()
	h.Write(outer.TBS.FullBytes)
	return ecdsa.VerifyASN1(pub, h.Sum(nil), outer.Signature.RightAlign())
}
