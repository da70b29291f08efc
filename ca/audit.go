package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// auditRows is how many certificates one transaction reads.
const auditRows = 200

// Audit looks at every certificate again: that it is the one that was linted, that
// it passes today's rules, that its chain verifies up to the root, and that the log
// holds it with its intent and outcome. Each problem goes to report. It returns
// how many certificates were issued, revoked ones too; the error says that it
// could not look.
func (c *CA) Audit(ctx context.Context, report func(serial, problem string)) (certificates int, err error) {
	for after := ""; ; {
		page, records, err := c.auditPage(ctx, after)
		if err != nil {
			return certificates, fmt.Errorf("audit certificates: %w", err)
		}
		if len(page) == 0 {
			return certificates, nil
		}
		for _, row := range page {
			after = row.Serial
			if row.Status == Issued || row.Status == Revoked {
				certificates++
			}
			for _, detail := range c.inspect(ctx, row, records[row.Serial]) {
				report(row.Serial, detail)
			}
		}
	}
}

// auditPage reads the next rows with what the log says about them.
func (c *CA) auditPage(ctx context.Context, after string) (page []Certificate, records map[string][]audit.Record, err error) {
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		records = map[string][]audit.Record{}
		page, err = listCertificates(ctx, tx, `serial > $1 ORDER BY serial LIMIT $2`, after, auditRows)
		for i := 0; i < len(page) && err == nil; i++ {
			err = findRecords(ctx, tx, page[i], records)
		}
		return err
	})
	return page, records, err
}

// findRecords reads what the log says about a row and its certificate.
func findRecords(ctx context.Context, tx db.Tx, row Certificate, into map[string][]audit.Record) error {
	found, err := audit.Find(ctx, tx, audit.EventFilter{Object: "certificate:" + row.Serial})
	if err != nil {
		return err
	}
	if row.DER != nil {
		more, err := audit.Find(ctx, tx, audit.EventFilter{Object: audit.CertificateObject(row.DER)})
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	into[row.Serial] = found
	return nil
}

// inspect returns what is wrong with one row.
func (c *CA) inspect(ctx context.Context, row Certificate, records []audit.Record) (details []string) {
	switch row.Status {
	case Intent:
		return c.inspectRecords(row, records, "intent")
	case Abandoned:
		return c.inspectRecords(row, records, "intent", "abandoned")
	}
	details = c.inspectRecords(row, records, "intent", "outcome")
	if !logged(row, records) {
		details = append(details, "is not in the log")
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return append(details, "does not parse")
	}
	sum := sha256.Sum256(cert.RawTBSCertificate)
	if !bytes.Equal(sum[:], row.tbsHash) || profile.SerialString(cert.SerialNumber) != row.Serial {
		details = append(details, "is not the certificate that was linted")
	}
	issuer, err := c.issuerOfRow(ctx, row)
	if err != nil {
		return append(details, "has no issuer")
	}
	for _, f := range c.linter.Certificate(row.Profile, cert, issuer) {
		details = append(details, "breaks rule "+f.Rule)
	}
	return append(details, c.inspectChain(cert, issuer)...)
}

func (c *CA) inspectRecords(row Certificate, records []audit.Record, steps ...string) (details []string) {
	for _, step := range steps {
		found := false
		for _, rec := range records {
			hash, _ := rec.Data["tbs_sha256"].([]byte)
			found = found || rec.Kind == "certificate.issue."+step && bytes.Equal(hash, row.tbsHash)
		}
		if !found {
			details = append(details, "has no "+step+" event")
		}
	}
	if row.Status == Issued || row.Status == Revoked {
		details = append(details, inspectStatus(row, records)...)
	}
	return details
}

// inspectStatus compares a row with the events about its status. They are counted
// and not followed in their order, which replicas with different clocks may mix up:
// every hold but one that still lasts was released or ended for good, which happens
// once.
func inspectStatus(row Certificate, records []audit.Record) []string {
	holds, releases, reasons := 0, 0, []string{}
	for _, rec := range records {
		reason, _ := rec.Data["reason"].(string)
		switch {
		case rec.Kind == kindRelease:
			releases++
		case rec.Kind == kindRevoke && reason == CertificateHold.String():
			holds++
		case rec.Kind == kindRevoke && rec.Data["was"] == nil:
			reasons = append(reasons, reason)
		}
	}
	open := holds - releases
	switch {
	case row.Status == Issued && open == 0 && len(reasons) == 0,
		row.Held() && open == 1 && len(reasons) == 0,
		row.Status == Revoked && !row.Held() && (open == 0 || open == 1) && len(reasons) == 1 && inspectRaised(row, records):
		return nil
	case row.Status == Revoked && holds+len(reasons) == 0:
		return []string{"has no revoke event"}
	}
	return []string{"is revoked, held or good otherwise than the log says"}
}

func logged(row Certificate, records []audit.Record) bool {
	for _, rec := range records {
		if rec.Kind == audit.KindCertificate && bytes.Equal(rec.Certificate, row.DER) {
			return true
		}
	}
	return false
}

// inspectChain verifies the chain as it stood when the certificate began.
func (c *CA) inspectChain(cert, issuer *x509.Certificate) []string {
	if issuer == nil {
		if !slices.ContainsFunc(c.roots.Load().all(), func(r rootOf) bool { return r.cert.Equal(cert) }) || cert.CheckSignatureFrom(cert) != nil {
			return []string{"is not the root"}
		}
		return nil
	}
	roots, middle := c.Roots(), x509.NewCertPool()
	middle.AddCert(issuer)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: cert.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || cert.CheckSignatureFrom(issuer) != nil {
		return []string{"has a chain that does not verify"}
	}
	return nil
}
