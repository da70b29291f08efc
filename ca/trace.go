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
	c       *CA
	lineage *Lineage
}

// NewTracer returns a tracer that knows the roots and every certificate of every
// issuing key, old ones too.
func (c *CA) NewTracer(ctx context.Context) (*Tracer, error) {
	t := &Tracer{c: c, lineage: NewLineage()}
	for _, one := range c.roots.Load().all() {
		t.lineage.add(one.cert)
	}
	for id := range c.issuers {
		list, err := c.issuerKeys(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("trace certificates: %w", err)
		}
		for _, s := range list {
			t.lineage.add(s.cert)
		}
	}
	return t, nil
}

// Trace says of each certificate what the log knows of it. Which are the city's is for
// Lineage.Verify to say.
func (t *Tracer) Trace(ctx context.Context, certs []*x509.Certificate) ([]Trace, error) {
	ours := t.lineage.Verify(certs)
	found := make([]Trace, len(certs))
	err := t.c.db.Read(ctx, func(tx db.Tx) error {
		for i, cert := range certs {
			if !ours[i] {
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
