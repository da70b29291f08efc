package profile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// OIDNoCheck is id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1).
var OIDNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}

// Bounds of the names of hosts.
const (
	maxHosts = 32
	maxHost  = 253
)

// Request is what a certificate shall say.
type Request struct {
	Kind      Kind
	Subject   Subject
	Public    crypto.PublicKey
	Serial    *big.Int
	NotBefore time.Time // clamped to the issuer's
	NotAfter  time.Time // zero: the profile's usual lifetime; clamped to the issuer's
	Hosts     []string  // DNS names and IP addresses
	Policy    Policy    // narrows the profile; zero: not at all
	CRL       string    // where the CRL with this certificate's shard is; http
	OCSP      string    // where the issuer's responder is; http; where Rules.Responder says so
	CAIssuers string    // where the issuer's certificate is; http
}

// Template returns the unsigned certificate for r under issuer, which is nil for
// the root alone. It fails if r does not fit its profile.
func Template(r Request, issuer *x509.Certificate) (*x509.Certificate, error) {
	rules, err := r.Policy.Narrow(r.Kind)
	if err != nil {
		return nil, err
	}
	if (issuer == nil) != (r.Kind == Root) {
		return nil, errors.New("the root alone has no issuer")
	}
	if err := rules.checkKey(r.Kind, r.Public); err != nil {
		return nil, err
	}
	name, err := r.Subject.Name(rules.Subject)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: r.Serial, Subject: name, PublicKey: r.Public, KeyUsage: rules.Usage,
		BasicConstraintsValid: true, IsCA: rules.CA, MaxPathLen: rules.PathLen, MaxPathLenZero: rules.CA && rules.PathLen == 0,
	}
	if err := setExtended(t, rules); err != nil {
		return nil, err
	}
	if t.SubjectKeyId, err = KeyID(r.Public); err != nil {
		return nil, err
	}
	if err := setValidity(t, r, rules, issuer); err != nil {
		return nil, err
	}
	if err := setHosts(t, r.Hosts, rules.Hosts); err != nil {
		return nil, err
	}
	if err := setResponder(t, r.OCSP, rules); err != nil {
		return nil, err
	}
	return t, setIssuer(t, r, issuer)
}

// setExtended writes the extended key usages and the no-check mark.
func setExtended(t *x509.Certificate, rules Rules) error {
	for _, oid := range rules.Extended {
		switch {
		case oid.Equal(oidServerAuth):
			t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		case oid.Equal(oidClientAuth):
			t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		case oid.Equal(oidTimeStamping):
			t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageTimeStamping)
		case oid.Equal(oidOCSPSigning):
			t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning)
		default:
			t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, oid)
		}
	}
	if rules.Critical { // crypto/x509 writes it non-critical, unless it finds it here
		value, err := asn1.Marshal(rules.Extended)
		if err != nil {
			return fmt.Errorf("encode extended key usages: %w", err)
		}
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidExtKeyUsage, Critical: true, Value: value})
	}
	if rules.NoCheck {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: OIDNoCheck, Value: asn1.NullBytes})
	}
	return nil
}

// setValidity writes whole seconds, an end even where none was asked for, and
// never more than the issuer's own.
func setValidity(t *x509.Certificate, r Request, rules Rules, issuer *x509.Certificate) error {
	if r.NotBefore.IsZero() {
		return errors.New("the beginning of the validity is missing")
	}
	from, until := r.NotBefore.UTC().Truncate(time.Second), r.NotAfter.UTC().Truncate(time.Second)
	if issuer != nil && from.Before(issuer.NotBefore) {
		from = issuer.NotBefore
	}
	if r.NotAfter.IsZero() {
		until = from.Add(rules.Usual - time.Second) // both ends count (RFC 5280 section 4.1.2.5)
	}
	if issuer != nil && until.After(issuer.NotAfter) {
		until = issuer.NotAfter
	}
	switch {
	case !until.After(from):
		return errors.New("the validity ends before it begins")
	case until.Sub(from)+time.Second > rules.Longest:
		return fmt.Errorf("the validity is longer than %d days", rules.Longest/day)
	case until.Year() > 9999:
		return errors.New("the validity ends after the year 9999")
	}
	t.NotBefore, t.NotAfter = from, until
	return nil
}

// setHosts writes the subject alternative names.
func setHosts(t *x509.Certificate, hosts []string, wanted bool) error {
	if wanted != (len(hosts) > 0) {
		return errors.New("names of hosts stand in TLS certificates, and only there")
	}
	if !wanted {
		return nil
	}
	if err := CheckHosts(hosts); err != nil {
		return err
	}
	for _, h := range hosts {
		if ip, err := netip.ParseAddr(h); err == nil {
			t.IPAddresses = append(t.IPAddresses, ip.Unmap().AsSlice())
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return nil
}

// CheckHosts fails unless hosts are 1 to 32 different IP addresses and DNS names
// in lowercase.
func CheckHosts(hosts []string) error {
	if len(hosts) == 0 || len(hosts) > maxHosts {
		return fmt.Errorf("there must be 1 to %d names of hosts", maxHosts)
	}
	seen := map[string]bool{} // addresses as certificates have them, however they are written
	for _, h := range hosts {
		key := h
		if ip, err := netip.ParseAddr(h); (err != nil || ip.Zone() != "") && !validHost(h) {
			return fmt.Errorf("%.64q is neither an IP address nor a DNS name in lowercase", h)
		} else if err == nil {
			key = ip.Unmap().String()
		}
		if seen[key] {
			return errors.New("a host is named twice")
		}
		seen[key] = true
	}
	return nil
}

// validHost checks a DNS name in lowercase: labels of letters, digits and inner
// hyphens (RFC 1034 section 3.5), no wildcard.
func validHost(h string) bool {
	if len(h) == 0 || len(h) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// setResponder writes where the certificate's status can be asked for.
func setResponder(t *x509.Certificate, address string, rules Rules) error {
	if rules.Responder() != (address != "") {
		return errors.New("certificates other than CAs' and OCSP signers' name a responder, and no others")
	}
	if address == "" {
		return nil
	}
	t.OCSPServer = []string{address}
	return checkAddress(address)
}

// setIssuer writes what depends on who signs: algorithm, authority key and the
// other addresses.
func setIssuer(t *x509.Certificate, r Request, issuer *x509.Certificate) (err error) {
	if issuer == nil {
		if r.CRL != "" || r.CAIssuers != "" {
			return errors.New("the root has no CRL and no issuer to point to")
		}
		// RFC 5280 lets a self-signed certificate go without; saying it spares every
		// rule an exception.
		t.AuthorityKeyId = t.SubjectKeyId
		t.SignatureAlgorithm, err = signatureAlgorithm(r.Public)
		return err
	}
	if err := checkIssuer(t, issuer); err != nil {
		return err
	}
	for _, u := range []string{r.CRL, r.CAIssuers} {
		if err := checkAddress(u); err != nil {
			return err
		}
	}
	t.CRLDistributionPoints, t.IssuingCertificateURL = []string{r.CRL}, []string{r.CAIssuers}
	t.AuthorityKeyId = issuer.SubjectKeyId
	t.SignatureAlgorithm, err = signatureAlgorithm(issuer.PublicKey)
	return err
}

// checkIssuer fails unless issuer may sign t.
func checkIssuer(t, issuer *x509.Certificate) error {
	name, err := asn1.Marshal(t.Subject.ToRDNSequence())
	if err != nil {
		return fmt.Errorf("encode subject: %w", err)
	}
	switch {
	case !issuer.BasicConstraintsValid || !issuer.IsCA || issuer.KeyUsage&x509.KeyUsageCertSign == 0 || len(issuer.SubjectKeyId) == 0:
		return errors.New("the issuer is no CA")
	case t.IsCA && issuer.MaxPathLenZero:
		return errors.New("the issuer may not sign a CA")
	case bytes.Equal(name, issuer.RawSubject):
		return errors.New("the subject has the issuer's name")
	case bytes.Equal(issuer.SubjectKeyId, t.SubjectKeyId):
		return errors.New("the subject has the issuer's key")
	}
	return nil
}

// checkAddress accepts plain http alone: a client that fetched a CRL over TLS
// would need the CRL to trust the connection.
func checkAddress(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(s) > 256 {
		return fmt.Errorf("%.64q is no plain http address", s)
	}
	return nil
}
