package ca

import (
	"context"
	"crypto/x509"
	"slices"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// particulars are what a request for a profile must and may name.
type particulars struct {
	agency, firm, person, name bool
	own                        bool // the city's own: for a key of its keyring, under an issuer that is named
}

var asked = map[profile.Kind]particulars{
	profile.PermitSigning:   {agency: true},
	profile.DocumentSigning: {agency: true},
	profile.SystemServer:    {agency: true},
	profile.SystemClient:    {agency: true, name: true},
	profile.Officer:         {agency: true, person: true},
	profile.Firm:            {firm: true},
	profile.Citizen:         {person: true},
	profile.OCSP:            {own: true},
	profile.Timestamp:       {own: true},
	profile.TLS:             {own: true},
}

// checkRequest looks at what needs no database.
func checkRequest(r *Request) error {
	p, known := asked[r.Profile]
	switch {
	case !known:
		return fault.New(fault.Invalid, "certificates of this profile are not issued on request")
	case p.agency != (r.Agency != "") || p.firm != (r.Firm != "") || p.person != (r.Person != "") || p.name != (r.Name != ""):
		return fault.New(fault.Invalid, "a certificate of profile "+string(r.Profile)+" is "+p.String())
	case (r.CSR == nil) == (r.Key == nil):
		return fault.New(fault.Invalid, "a certificate needs either a certificate request or a key")
	case r.CSR != nil && p.own:
		return fault.New(fault.Invalid, "the city's own certificates are for keys of its keyring")
	case !isText(r.Renews, 0, 40):
		return errSerial
	case !isText(r.Person, 0, 128):
		return fault.New(fault.Invalid, "the person's id is too long or not printable")
	case !isText(r.Actor, 1, 128) || !isText(r.IdempotencyKey, 0, 128):
		return fault.New(fault.Invalid, "the actor, or the idempotency key, is missing, too long or not printable")
	}
	return nil
}

// String says whose certificate it is, for people.
func (p particulars) String() string {
	switch {
	case p.own:
		return "the city's own, for which nobody asks"
	case p.firm:
		return "a firm's, which must be named, and nothing else"
	case p.agency && p.person:
		return "an officer's: name the agency and the person"
	case p.person:
		return "a person's, who must be named, and nothing else"
	case p.name:
		return "a program's: name the agency and the program"
	}
	return "an agency's, which must be named, and nothing else"
}

// holder is whom a firm's or a person's certificate is about, as its row names them.
func (r *Request) holder() string {
	switch {
	case r.Firm != "":
		return "firm:" + r.Firm
	case r.Person != "":
		return "person:" + r.Person
	}
	return ""
}

// hosts returns the names of hosts that a certificate gets: those that the caller
// named, of which the CSR may repeat any, or else the CSR's.
func hosts(named []string, csr *x509.CertificateRequest) ([]string, error) {
	inCSR := slices.Clone(csr.DNSNames)
	for _, ip := range csr.IPAddresses {
		inCSR = append(inCSR, ip.String())
	}
	if len(named) == 0 {
		return inCSR, nil
	}
	for _, name := range inCSR {
		if !slices.Contains(named, name) {
			return nil, badCSR("含有未申请的域名或 IP 地址", "names a host that was not asked for")
		}
	}
	return named, nil
}

// place finds the issuer and the subject of a request.
func (c *CA) place(ctx context.Context, r *Request) (profile.Subject, error) {
	if rules, _ := r.Profile.Rules(); rules.Hosts {
		if err := profile.CheckHosts(r.Hosts); err != nil {
			return profile.Subject{}, fault.New(fault.Invalid, err.Error())
		}
	}
	switch p := asked[r.Profile]; {
	case p.own:
		return c.placeOwn(r)
	case p.agency:
		return c.placeAgency(ctx, r)
	default:
		return c.placeHolder(ctx, r)
	}
}

func (c *CA) placeOwn(r *Request) (profile.Subject, error) {
	is, ok := c.plan.issuer(r.Issuer)
	if !ok {
		return profile.Subject{}, errNoIssuer
	}
	switch r.Profile {
	case profile.OCSP:
		return c.plan.subject(ocspName(is)), nil
	case profile.Timestamp:
		return c.plan.subject(is.ID + " TSA"), nil
	}
	return c.plan.subject(r.Hosts[0]), nil
}

// placeAgency finds who certifies an agency's, and whom it is about: the agency, a
// server or program of it, or somebody who works there.
func (c *CA) placeAgency(ctx context.Context, r *Request) (profile.Subject, error) {
	a, err := c.agencies.FindAgency(ctx, r.Agency)
	if err != nil {
		return profile.Subject{}, err
	}
	issuer, err := c.issuerOf(a)
	if err == nil && a.Successor != "" && r.CSR != nil { // keys of the keyring have a schedule of their own
		err = errSucceeded
	}
	if err != nil {
		return profile.Subject{}, err
	}
	if r.Issuer != "" && r.Issuer != issuer {
		return profile.Subject{}, errForeignAgency
	}
	r.Issuer = issuer
	s := profile.Subject{Organization: a.NameZH, USCC: a.USCC, CommonName: a.NameZH}
	switch r.Profile {
	case profile.SystemServer:
		s.CommonName = r.Hosts[0]
	case profile.SystemClient:
		s.CommonName = r.Name
	case profile.Officer:
		err = c.nameOfficer(ctx, r, &s)
	}
	return s, err
}

// nameOfficer puts somebody who works at the agency into a subject.
func (c *CA) nameOfficer(ctx context.Context, r *Request, s *profile.Subject) error {
	if c.holders == nil {
		return errNoHolders
	}
	posts, err := c.holders.PostsOf(ctx, r.Person)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(posts, func(p registry.Post) bool { return p.Agency == r.Agency }) {
		return fault.New(fault.Denied, "this person does not work at this agency")
	}
	return c.namePerson(ctx, r, s)
}

func (c *CA) namePerson(ctx context.Context, r *Request, s *profile.Subject) error {
	person, err := c.holders.PersonByID(ctx, r.Person)
	if err != nil {
		return err
	}
	s.CommonName = person.Name
	s.Number, err = profile.NewNumber(c.random)
	return err
}

// placeHolder finds who certifies a firm or a citizen: the city, or the district
// that was named.
func (c *CA) placeHolder(ctx context.Context, r *Request) (s profile.Subject, err error) {
	if c.holders == nil {
		return s, errNoHolders
	}
	if r.Issuer == "" {
		r.Issuer = c.cityIssuer()
	}
	if _, ok := c.issuers[r.Issuer]; !ok {
		return s, errNoIssuer
	}
	if r.Profile == profile.Citizen {
		err = c.namePerson(ctx, r, &s)
		return s, err
	}
	firm, err := c.holders.FindFirm(ctx, r.Firm)
	return profile.Subject{Organization: firm.Name, USCC: firm.USCC, CommonName: firm.Name}, err
}

// cityIssuer returns the issuing CA of the city itself. A ceremony makes one.
func (c *CA) cityIssuer() string {
	for _, is := range c.plan.Issuers {
		if c.issuers[is.ID].Level == registry.City {
			return is.ID
		}
	}
	return ""
}

// ocspName is the common name of an issuer's OCSP signer.
func ocspName(is IssuerPlan) string { return is.ID + " OCSP" }

func (c *Ceremony) issuer(id string) (IssuerPlan, bool) {
	for _, is := range c.Issuers {
		if is.ID == id {
			return is, true
		}
	}
	return IssuerPlan{}, false
}

var (
	errSucceeded     = web.Refuse(fault.Denied, web.Text{ZH: "该部门已由其他部门承接，不再为其签发新证书", EN: "another agency has taken the place of this one, which gets no new certificates"})
	errForeignAgency = web.Refuse(fault.Denied, web.Text{ZH: "该签发机构不为此部门签发证书", EN: "this issuer does not certify this agency"})
	errNoIssuer      = fault.New(fault.NotFound, "no such issuer")
	errNoHolders     = fault.New(fault.Invalid, "firms and people get no certificates here")
)

// issuerOf returns the issuer of an agency: the one of its own level and area,
// whatever the registry says beside that. Districts are kept apart here, because
// verifiers do not do it by name constraints.
func (c *CA) issuerOf(a registry.Agency) (string, error) {
	is, ok := c.issuers[a.Issuer]
	if !ok || is.Level != a.Level || is.Area != a.Area {
		return "", errForeignAgency
	}
	return is.ID, nil
}
