package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
)

// Bounds of the file.
const (
	maxCeremony = 64 << 10
	maxIssuers  = 64
	maxStandby  = 4
)

// Ceremony is the one reviewed file that a city is made from. Every field must be
// there but the standby counts.
type Ceremony struct {
	City    CityPlan     `yaml:"city"`
	Root    RootPlan     `yaml:"root"`
	Issuers []IssuerPlan `yaml:"issuers"` // one for the city, one for each district
	Signers SignerPlans  `yaml:"signers"`
	OCSP    ServicePlan  `yaml:"ocsp"` // one certificate for each issuer
	TLS     TLSPlan      `yaml:"tls"`  // the city's own servers

	source []byte
}

// CityPlan names the city and who runs its CA.
type CityPlan struct {
	ZH           string `yaml:"zh"`           // 江城市
	EN           string `yaml:"en"`           // Jiangcheng
	Area         string `yaml:"area"`         // GB/T 2260, NNNN00
	Organization string `yaml:"organization"` // the legal person behind the CA; stands in every subject
	USCC         string `yaml:"uscc"`         // its unified social credit code
}

// RootPlan is about the offline root and what it signs in the ceremony.
type RootPlan struct {
	CommonName     string `yaml:"common_name"`
	Algorithm      string `yaml:"algorithm"`       // ES256 or ES384
	Years          int    `yaml:"years"`           // of 365 days
	CRLDays        int    `yaml:"crl_days"`        // until the root must sign its next CRL
	StatementYears int    `yaml:"statement_years"` // until it must sign its next statement
}

// IssuerPlan is one issuing CA.
type IssuerPlan struct {
	ID         string `yaml:"id"` // stands in addresses
	CommonName string `yaml:"common_name"`
	Area       string `yaml:"area"` // the city's, or a district's within it
	Algorithm  string `yaml:"algorithm"`
	Years      int    `yaml:"years"`
}

// SignerPlans are the keys that the root statement names.
type SignerPlans struct {
	Trust  SignerPlan `yaml:"trust"`  // sign the trust bundle
	Status SignerPlan `yaml:"status"` // sign snapshots and heads
	Log    SignerPlan `yaml:"log"`    // sign the log's checkpoints; Ed25519
}

// SignerPlan is one active key and the published ones that may follow it without
// another act of the root.
type SignerPlan struct {
	Algorithm string `yaml:"algorithm"`
	Standby   int    `yaml:"standby"`
}

// ServicePlan is about certificates that the city renews by itself.
type ServicePlan struct {
	Algorithm string `yaml:"algorithm"`
	Days      int    `yaml:"days"`
}

// TLSPlan is about the certificate of the city's own servers.
type TLSPlan struct {
	Issuer      string   `yaml:"issuer"`
	Hosts       []string `yaml:"hosts"` // DNS names and IP addresses
	ServicePlan `yaml:",inline"`
}

// ParseCeremony reads the file strictly. The error is a fault of kind Invalid, or
// TooLarge, that names every problem at once.
func ParseCeremony(b []byte) (Ceremony, error) {
	if len(b) > maxCeremony {
		return Ceremony{}, fault.New(fault.TooLarge, fmt.Sprintf("the ceremony file is larger than %d bytes", maxCeremony))
	}
	c := Ceremony{source: bytes.Clone(b)}
	var p problems
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		wrong, ok := errors.AsType[*yaml.TypeError](err)
		if !ok {
			return Ceremony{}, fault.Wrap(fault.Invalid, "the ceremony file is no YAML", err)
		}
		for _, s := range wrong.Errors {
			p.add("", s)
		}
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.add("", "holds more than one document")
	}
	c.check(&p)
	if len(p) > 0 {
		return Ceremony{}, fault.InvalidInput("the ceremony file is not as it should be", p...)
	}
	return c, nil
}

type problems []fault.Problem

func (p *problems) add(path, message string) {
	*p = append(*p, fault.Problem{Path: path, Message: message})
}

func (p *problems) test(ok bool, path, message string) {
	if !ok {
		p.add(path, message)
	}
}

func (p *problems) within(n, low, high int, path string) {
	p.test(n >= low && n <= high, path, fmt.Sprintf("must be %d to %d", low, high))
}

func (p *problems) curve(alg, path string) {
	p.test(alg == keys.ES256 || alg == keys.ES384, path, "must be ES256 or ES384")
}

// subject checks a common name beside the city's organisation, whose own problems
// are reported once, by the city.
func (p *problems) subject(commonName, path string) {
	_, err := profile.Subject{Organization: "x", USCC: specimen, CommonName: commonName}.Name(profile.Organization)
	if err != nil {
		p.add(path, err.Error())
	}
}

// specimen is GB 32100-2015's own example of a code.
const specimen = "91350100M000100Y43"

func (c *Ceremony) check(p *problems) {
	c.City.check(p)
	p.subject(c.Root.CommonName, "/root/common_name")
	p.curve(c.Root.Algorithm, "/root/algorithm")
	p.within(c.Root.Years, 1, 30, "/root/years")
	p.within(c.Root.CRLDays, 1, 730, "/root/crl_days")
	p.within(c.Root.StatementYears, 1, 10, "/root/statement_years")
	p.test(c.Root.StatementYears <= c.Root.Years, "/root/statement_years", "outlives the root")
	c.checkIssuers(p)
	for path, s := range map[string]SignerPlan{"/signers/trust": c.Signers.Trust, "/signers/status": c.Signers.Status} {
		p.test(s.Algorithm == keys.ES256 || s.Algorithm == keys.ES384 || s.Algorithm == keys.Ed25519, path+"/algorithm", "must be ES256, ES384 or Ed25519")
		p.within(s.Standby, 0, maxStandby, path+"/standby")
	}
	p.test(c.Signers.Log.Algorithm == keys.Ed25519, "/signers/log/algorithm", "must be Ed25519")
	p.within(c.Signers.Log.Standby, 0, maxStandby, "/signers/log/standby")
	c.checkServices(p)
	slices.SortStableFunc(*p, func(a, b fault.Problem) int { return strings.Compare(a.Path, b.Path) })
}

func (c CityPlan) check(p *problems) {
	p.test(c.ZH != "" && len(c.ZH) <= 192, "/city/zh", "must be the city's name in Chinese")
	p.test(c.EN != "" && len(c.EN) <= 192, "/city/en", "must be the city's name in English")
	p.test(registry.CheckArea(c.Area) == nil && strings.HasSuffix(c.Area, "00"), "/city/area", "must be a city's six digits of GB/T 2260, ending in 00")
	if _, err := (profile.Subject{Organization: c.Organization, USCC: specimen, CommonName: "x"}).Name(profile.Organization); err != nil {
		p.add("/city/organization", err.Error())
	}
	if err := profile.CheckOrganizationIdentifier(profile.OrganizationIdentifier(c.USCC)); err != nil {
		p.add("/city/uscc", err.Error())
	}
}

func (c *Ceremony) checkIssuers(p *problems) {
	p.within(len(c.Issuers), 1, maxIssuers, "/issuers")
	ids, areas := map[string]bool{Root: true, "v1": true, "tsa": true}, map[string]bool{}
	names := map[string]bool{c.Root.CommonName: true}
	for i, is := range c.Issuers {
		path := fmt.Sprintf("/issuers/%d", i)
		p.test(validSlug(is.ID), path+"/id", "must be 1 to 32 lowercase letters, digits and inner hyphens")
		p.test(!ids[is.ID], path+"/id", "is taken")
		p.subject(is.CommonName, path+"/common_name")
		p.test(!names[is.CommonName], path+"/common_name", "is taken")
		p.test(registry.CheckArea(is.Area) == nil && registry.Covers(c.City.Area, is.Area), path+"/area", "must be the city's area or a district's within it")
		p.test(!areas[is.Area], path+"/area", "is taken")
		p.curve(is.Algorithm, path+"/algorithm")
		p.within(is.Years, 1, 15, path+"/years")
		p.test(is.Years <= c.Root.Years, path+"/years", "outlives the root")
		ids[is.ID], areas[is.Area], names[is.CommonName] = true, true, true
	}
	p.test(areas[c.City.Area], "/issuers", "lacks one for the city's own area")
}

func (c *Ceremony) checkServices(p *problems) {
	p.curve(c.OCSP.Algorithm, "/ocsp/algorithm")
	p.within(c.OCSP.Days, 1, 398, "/ocsp/days")
	p.curve(c.TLS.Algorithm, "/tls/algorithm")
	p.within(c.TLS.Days, 1, 398, "/tls/days")
	p.test(slices.ContainsFunc(c.Issuers, func(is IssuerPlan) bool { return is.ID == c.TLS.Issuer }), "/tls/issuer", "is none of the issuers")
	if err := profile.CheckHosts(c.TLS.Hosts); err != nil {
		p.add("/tls/hosts", err.Error())
	} else {
		p.test(len(c.TLS.Hosts[0]) <= 64, "/tls/hosts/0", "becomes the common name and must be at most 64 characters")
	}
}

// level returns the level of government that an issuer serves.
func (c *Ceremony) level(is IssuerPlan) registry.Level {
	if is.Area == c.City.Area {
		return registry.City
	}
	return registry.District
}

// subject returns the subject of one of the city's own certificates.
func (c *Ceremony) subject(commonName string) profile.Subject {
	return profile.Subject{Organization: c.City.Organization, USCC: c.City.USCC, CommonName: commonName}
}

func validSlug(s string) bool {
	return len(s) >= 1 && len(s) <= 32 && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
