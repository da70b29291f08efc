package lint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	zlintlint "github.com/zmap/zlint/v3/lint"

	"github.com/signet-city/signet/ca/profile"
)

// Finding is one rule that a certificate or CRL breaks.
type Finding struct {
	Rule   string
	Detail string
}

// Error says why something may not be signed.
type Error struct{ Findings []Finding }

// Error lists the rules.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("lint")
	for i, f := range e.Findings {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(" " + f.Rule)
		if f.Detail != "" {
			b.WriteString(": " + f.Detail)
		}
	}
	return b.String()
}

// sources are the parts of zlint that apply to a city: the standards, not the
// policies of browsers' root programmes.
var sources = zlintlint.SourceList{
	zlintlint.RFC3279, zlintlint.RFC5280, zlintlint.RFC5480, zlintlint.RFC5891, zlintlint.RFC6960, zlintlint.RFC8813,
	zlintlint.EtsiEsi, zlintlint.Community,
}

// excluded asks whether one foreign CA signed the certificate, by verifying
// signatures for 4 ms: nine tenths of the time of all rules together.
const excluded = "e_cert_issued_by_compromised_emudhra_ca"

// Linter holds the rules. It is safe for concurrent use.
type Linter struct {
	zlint  zlintlint.Registry // all but smallKey
	small  *zlintlint.CertificateLint
	stands map[profile.Algorithm]stand
}

// New returns a linter. It fails when the system gives no randomness.
func New() (*Linter, error) {
	all := zlintlint.GlobalRegistry()
	registry, err := all.Filter(zlintlint.FilterOptions{IncludeSources: sources, ExcludeNames: []string{excluded, smallKey}})
	if err != nil {
		return nil, fmt.Errorf("select lints: %w", err)
	}
	l := &Linter{zlint: registry, small: all.CertificateLints().ByName(smallKey), stands: map[profile.Algorithm]stand{}}
	if l.small == nil {
		return nil, errors.New("select lints: zlint has no rule " + smallKey)
	}
	for a, curve := range map[profile.Algorithm]elliptic.Curve{profile.P256: elliptic.P256(), profile.P384: elliptic.P384()} {
		if l.stands[a], err = newStand(curve); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Check returns the permission to sign template under issuer, which is nil for
// the self-signed root. The error is an *Error naming every broken rule.
func (l *Linter) Check(kind profile.Kind, template, issuer *x509.Certificate) (*Token, error) {
	if template == nil {
		return nil, errors.New("lint: there is no template")
	}
	cert, err := l.build(template, issuer)
	if err != nil {
		return nil, err
	}
	findings := l.Certificate(kind, cert, issuer)
	if detail := lacksResponder(kind, cert); detail != "" {
		findings = append(findings, Finding{"responder", detail})
	}
	if len(findings) > 0 {
		return nil, &Error{findings}
	}
	return &Token{cert: cert, issuer: issuer}, nil
}

// Certificate runs every rule over a certificate under issuer, nil for the root.
// It does not look at the signature, which may be a stand-in.
func (l *Linter) Certificate(kind profile.Kind, cert, issuer *x509.Certificate) []Finding {
	rules, ok := kind.Rules()
	if !ok {
		return []Finding{{"profile", "no such profile"}}
	}
	c := candidate{Certificate: cert, kind: kind, rules: rules, issuer: issuer}
	var found []Finding
	for _, r := range ownRules {
		if detail := r.check(c); detail != "" {
			found = append(found, Finding{r.name, detail})
		}
	}
	z, err := zx509.ParseCertificate(cert.Raw)
	if err != nil {
		return append(found, Finding{"zlint", "does not parse: " + err.Error()})
	}
	lints := l.zlint.CertificateLints().Lints()
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); ok && maybeSmall(key) {
		lints = append(slices.Clip(lints), l.small)
	}
	for _, zl := range lints {
		if res := zl.Execute(z, l.zlint.GetConfiguration()); failed(res) {
			found = append(found, Finding{zl.Name, res.Details})
		}
	}
	return found
}

// RevocationList runs zlint's rules over a CRL.
func (l *Linter) RevocationList(der []byte) []Finding {
	z, err := zx509.ParseRevocationList(der)
	if err != nil {
		return []Finding{{"zlint", "does not parse: " + err.Error()}}
	}
	var found []Finding
	for name, res := range zlint.LintRevocationListEx(z, l.zlint).Results {
		if failed(res) {
			found = append(found, Finding{name, res.Details})
		}
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Rule, b.Rule) })
	return found
}

func failed(res *zlintlint.LintResult) bool {
	return res.Status == zlintlint.Warn || res.Status == zlintlint.Error || res.Status == zlintlint.Fatal
}

// candidate is a certificate under the rules.
type candidate struct {
	*x509.Certificate
	kind   profile.Kind
	rules  profile.Rules
	issuer *x509.Certificate // nil for the root
}

// rule is one of the city's own. check returns what is wrong, "" for nothing.
type rule struct {
	name  string
	check func(candidate) string
}

// ownRules are the city's own rules, in the order of their files.
var ownRules = []rule{
	{"addresses", checkAddresses},
	{"basic", checkBasic},
	{"extensions", checkExtensions},
	{"hosts", checkHosts},
	{"identifiers", checkIdentifiers},
	{"issuer", checkIssuer},
	{"key", checkKey},
	{"resident", checkResident},
	{"responder", checkResponder},
	{"serial", checkSerial},
	{"subject", checkSubject},
	{"usage", checkUsage},
	{"validity", checkValidity},
}
