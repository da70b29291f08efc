package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
)

// How many certificates of an issuer are asked about, of each status, and among how
// many they are looked for.
const (
	checkAsked = 3
	checkAmong = 1000
)

// draw chooses some certificates of each issuer: in force, held and revoked for good.
// Those in force are drawn anew each time.
func (k *checker) draw(ctx context.Context) error {
	from, err := profile.NewSerial(k.c.instance, k.c.random)
	if err != nil {
		return err
	}
	for id := range k.c.issuers {
		var sample []Certificate
		err := k.c.db.Read(ctx, func(tx db.Tx) (err error) {
			sample, err = sampleOf(ctx, tx, id, profile.SerialString(from))
			return err
		})
		if err != nil {
			return err
		}
		k.sample = append(k.sample, sample...)
	}
	return nil
}

// answers asks the OCSP responders about the certificates that were drawn.
func (k *checker) answers(ctx context.Context) error {
	for _, row := range k.sample {
		if spent, err := k.spent(ctx, row.IssuerKey); err != nil {
			return err
		} else if !spent {
			k.ask(ctx, row)
		}
	}
	return nil
}

// sampleOf draws certificates of an issuer.
func sampleOf(ctx context.Context, tx db.Tx, issuer, from string) (sample []Certificate, err error) {
	for _, start := range []string{from, ""} { // behind the last one stands the first
		found, err := listCertificates(ctx, tx, `serial IN (SELECT serial FROM (SELECT serial, issuer, status, der FROM ca_certificates
			WHERE serial > $1 ORDER BY serial LIMIT $2) near WHERE issuer = $3 AND status = 'issued' ORDER BY serial LIMIT $4)`,
			start, checkAmong, issuer, checkAsked)
		if err != nil {
			return nil, err
		}
		if sample = append(sample, found...); len(sample) >= checkAsked {
			break
		}
	}
	for _, reason := range []string{`reason = $2`, `reason <> $2`} {
		found, err := listCertificates(ctx, tx, `serial IN (SELECT serial FROM (SELECT serial, reason FROM ca_certificates
			WHERE issuer = $1 AND status = 'revoked' LIMIT $3) few WHERE `+reason+` LIMIT $4)`, issuer, int64(CertificateHold), checkAmong, checkAsked)
		if err != nil {
			return nil, err
		}
		sample = append(sample, found...)
	}
	return sample, nil
}

// ask asks about one certificate, by the addresses that stand in it.
func (k *checker) ask(ctx context.Context, row Certificate) {
	cert, err := x509.ParseCertificate(row.DER)
	issuer := k.issuers[row.IssuerKey]
	if err != nil || issuer == nil {
		k.problem("certificate:"+row.Serial, "does not parse, or has no issuer")
		return
	}
	if len(cert.CRLDistributionPoints) != 1 || len(cert.IssuingCertificateURL) != 1 {
		k.problem("certificate:"+row.Serial, "does not name one CRL and one issuer")
		return
	}
	if _, fetched := k.lists[cert.CRLDistributionPoints[0]]; !fetched {
		k.problem("certificate:"+row.Serial, "names a CRL that is not there: %s", cert.CRLDistributionPoints[0])
	}
	if cert.IssuingCertificateURL[0] != caURL(k.c.base, row.Issuer, issuer) {
		k.problem("certificate:"+row.Serial, "names another issuer than its own: %s", cert.IssuingCertificateURL[0])
	}
	for _, address := range cert.OCSPServer {
		for _, hash := range ocspHashes {
			k.askOne(ctx, address, hash, row, [2]*x509.Certificate{cert, issuer})
		}
	}
}

// mayAnswer reports whether an answer is signed by the issuer itself or by one that it
// has appointed, in force (RFC 6960 section 4.2.2.2). That the issuer has signed the
// appointment is looked at where the answer is parsed.
func mayAnswer(by, issuer *x509.Certificate, now time.Time) bool {
	return by == nil || by.Equal(issuer) || slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && !now.Before(by.NotBefore) && !now.After(by.NotAfter)
}

// askOne asks at one address, with one hash, about the first of the pair: a certificate
// and its issuer's.
func (k *checker) askOne(ctx context.Context, address string, hash crypto.Hash, row Certificate, pair [2]*x509.Certificate) {
	cert, issuer := pair[0], pair[1]
	q, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		k.problem(address, "cannot be asked about %s", row.Serial)
		return
	}
	k.found.Answers++
	der := k.fetch(ctx, http.MethodPost, address, "application/ocsp-response", q)
	if der == nil {
		return
	}
	a, err := ocsp.ParseResponseForCert(der, cert, issuer)
	if err != nil {
		k.problem(address, "gives no answer about %s that its issuer has signed", row.Serial)
		return
	}
	now := k.c.now()
	if !mayAnswer(a.Certificate, issuer, now) {
		k.problem(address, "gives an answer about %s from one who may not sign it", row.Serial)
		return
	}
	if a.ThisUpdate.After(now.Add(checkSkew)) || !a.NextUpdate.After(now) {
		k.problem(address, "gives an answer about %s that is not in force", row.Serial)
		return
	}
	newest, err := k.c.Find(ctx, row.Serial)
	if err != nil || !newest.ChangedAt.Equal(row.ChangedAt) {
		return // it changed meanwhile
	}
	reason, listed := k.lists[cert.CRLDistributionPoints[0]][row.Serial]
	settled := row.ChangedAt.Before(now.Add(-checkGrace))
	switch revoked := a.Status == ocsp.Revoked; {
	case a.Status == ocsp.Unknown || settled && (revoked != (row.Status == Revoked) || revoked && a.RevocationReason != reasonInOCSP(row.Reason)):
		k.problem(address, "says otherwise about %s than the register", row.Serial)
	case settled && (revoked != listed || revoked && a.RevocationReason != reasonInOCSP(Reason(reason))):
		k.problem(address, "says otherwise about %s than the CRL", row.Serial)
	}
}
