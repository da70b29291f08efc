package ca

import "crypto/x509"

// Lineage finds the certificates that CAs have signed, whoever it was that used their
// keys. It serves one caller at a time.
type Lineage struct {
	cas map[string][]*x509.Certificate // by their subjects in DER
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
	l.cas[string(cert.RawSubject)] = append(l.cas[string(cert.RawSubject)], cert)
}

// Verify reports of each certificate whether it verifies under a CA of the lineage.
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
	for _, parent := range l.cas[string(cert.RawIssuer)] {
		if cert.CheckSignatureFrom(parent) == nil {
			return true
		}
	}
	return false
}
