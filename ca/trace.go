package ca

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// Trace is what the log knows of a certificate that somebody brings.
type Trace string

// What Tracer.Trace answers.
const (
	TraceForeign Trace = "foreign" // no key of a CA of this city has signed it
	TraceLogged  Trace = "logged"  // it stands in the log
	TracePending Trace = "pending" // it is written and waits for its place
	TraceMissing Trace = "missing" // it verifies under a CA of this city, and the log does not know it
)

// Tracer finds certificates that verify under the city's CAs and are not in the
// log. It serves one caller at a time.
type Tracer struct {
	c   *CA
	cas map[string][]*x509.Certificate // by their subjects in DER
}

// NewTracer returns a tracer that knows the roots and every certificate of every
// issuing key, old ones too.
func (c *CA) NewTracer(ctx context.Context) (*Tracer, error) {
	t := &Tracer{c: c, cas: map[string][]*x509.Certificate{}}
	for _, one := range c.roots.Load().all() {
		t.add(one.cert)
	}
	for id := range c.issuers {
		list, err := c.issuerKeys(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("trace certificates: %w", err)
		}
		for _, s := range list {
			t.add(s.cert)
		}
	}
	return t, nil
}

func (t *Tracer) add(cert *x509.Certificate) {
	t.cas[string(cert.RawSubject)] = append(t.cas[string(cert.RawSubject)], cert)
}

// Trace says of each certificate what the log knows of it. Dates do not matter: a
// certificate that nobody knows of is evidence after its end, too. A certificate
// that verifies under another one of the list, or of an earlier call, which in turn
// leads to a CA of the city, counts as one of the city's: whoever has stolen a key
// may have made a CA with it.
func (t *Tracer) Trace(ctx context.Context, certs []*x509.Certificate) ([]Trace, error) {
	found := make([]Trace, len(certs))
	for again := true; again; {
		again = false
		for i, cert := range certs {
			if found[i] != "" || !t.verifies(cert) {
				continue
			}
			found[i] = TraceMissing // until the log says otherwise
			if cert.IsCA {
				t.add(cert)
				again = true // for those that stand before it
			}
		}
	}
	err := t.c.db.Read(ctx, func(tx db.Tx) error {
		for i, cert := range certs {
			if found[i] == "" || found[i] == TraceForeign {
				found[i] = TraceForeign
				continue
			}
			one, err := traceOne(ctx, tx, cert.Raw)
			if err != nil {
				return err
			}
			found[i] = one
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("trace certificates: %w", err)
	}
	return found, nil
}

// verifies reports whether a CA that is known has signed the certificate.
func (t *Tracer) verifies(cert *x509.Certificate) bool {
	for _, parent := range t.cas[string(cert.RawIssuer)] {
		if cert.CheckSignatureFrom(parent) == nil {
			return true
		}
	}
	return false
}

func traceOne(ctx context.Context, tx db.Tx, der []byte) (Trace, error) {
	records, err := audit.Find(ctx, tx, audit.EventFilter{Kind: audit.KindCertificate, Object: audit.CertificateObject(der)})
	if err != nil {
		return "", err
	}
	trace := TraceMissing
	for _, rec := range records {
		switch {
		case string(rec.Certificate) != string(der): // the row was tampered with
		case rec.Seq >= 0:
			return TraceLogged, nil
		default:
			trace = TracePending
		}
	}
	return trace, nil
}
