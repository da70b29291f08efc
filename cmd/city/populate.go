package city

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signet-city/signet/cmd/demoapp"
	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/oidc"
	"github.com/signet-city/signet/oidc/login"
)

// populate fills the demo city. sites are the origins of the relying parties.
func (c *City) populate(ctx context.Context, demo DemoOptions, sites []string) (Demo, error) {
	p, err := readPopulation()
	if err != nil {
		return Demo{}, err
	}
	root, err := filepath.Abs(filepath.Join(demo.public(), "root.pem"))
	if err != nil {
		return Demo{}, err
	}
	out := Demo{Issuer: c.Issuer, HTTPSBase: c.HTTPS, HTTPBase: c.HTTP, MTLSBase: c.MTLS, RootPEM: root}
	demo.Progress("agencies, their certificates and keys")
	if err := c.populateAgencies(ctx, p, &out); err != nil {
		return Demo{}, err
	}
	demo.Progress("people, firms and operators")
	if err := c.populatePeople(ctx, p, &out); err != nil {
		return Demo{}, err
	}
	demo.Progress("the agencies' own sites")
	if err := c.populateSites(ctx, p, sites, &out); err != nil {
		return Demo{}, err
	}
	if err := c.foundOfficers(ctx, demo, out.Officers); err != nil {
		return Demo{}, err
	}
	types, err := licenses.ShippedTypes()
	for _, t := range types {
		out.LicenseTypes = append(out.LicenseTypes, t.ID)
	}
	return out, err
}

// foundOfficers makes the demo's officers. All but the last one have keys for the
// command line; that one's code waits for a passkey. The offline quorum's keys are
// kept where the root's is.
func (c *City) foundOfficers(ctx context.Context, demo DemoOptions, officers []DemoUser) error {
	f := approval.Founding{Quorum: approval.Quorum{Need: 2}, Actor: "ceremony"}
	for i := range 3 {
		key, pkcs8, err := newOfficerKey()
		if err != nil {
			return err
		}
		f.Quorum.Keys = append(f.Quorum.Keys, key)
		block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
		if err := writeFile(filepath.Join(demo.Data, "ceremony", fmt.Sprintf("quorum-%d.key", i+1)), block, 0o400); err != nil {
			return err
		}
	}
	for _, u := range officers {
		f.Officers = append(f.Officers, u.Person)
	}
	codes, err := c.Approvals.Found(ctx, f)
	if err != nil {
		return err
	}
	for i := range officers {
		code := codes[slices.IndexFunc(codes, func(c approval.Code) bool { return c.Person == officers[i].Person })]
		if i == len(officers)-1 {
			officers[i].ApprovalCode = code.Code
			break
		}
		key, pkcs8, err := newOfficerKey()
		if err != nil {
			return err
		}
		if _, err := c.Approvals.AddKey(ctx, code.Person, code.Code, key, "demo"); err != nil {
			return err
		}
		officers[i].ApprovalKey = base64.StdEncoding.EncodeToString(pkcs8)
	}
	return nil
}

func newOfficerKey() (spki, pkcs8 []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if spki, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return nil, nil, err
	}
	pkcs8, err = x509.MarshalPKCS8PrivateKey(key)
	return spki, pkcs8, err
}

func (c *City) populatePeople(ctx context.Context, p population, out *Demo) error {
	ids := map[string]string{}   // by username
	users := map[string]string{} // by resident number
	for _, one := range append(p.People, p.Staff...) {
		added, _, err := c.Registry.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Resident, Number: one.Resident, Name: one.Name})
		if err != nil {
			return err
		}
		ids[one.User], users[one.Resident] = added.ID, one.User
		user, err := c.demoUser(ctx, added.ID, one)
		if err != nil {
			return err
		}
		switch one.Role {
		case web.RoleClerk:
			out.Clerks = append(out.Clerks, user)
		case web.RoleOfficer:
			user.Person = added.ID
			out.Officers = append(out.Officers, user)
		default:
			out.Citizens = append(out.Citizens, user)
			out.People = append(out.People, DemoPerson{Name: one.Name, Resident: one.Resident})
		}
	}
	for _, f := range p.Firms {
		legal := users[f.Legal]
		if _, err := c.Registry.AddFirm(ctx, "ceremony", registry.Firm{USCC: f.USCC, Name: f.Name, LegalRep: ids[legal]}); err != nil {
			return err
		}
		firm := DemoFirm{USCC: f.USCC, Name: f.Name, Delegates: []string{legal}}
		for _, d := range p.Delegates {
			if d.Firm != f.USCC {
				continue
			}
			if _, err := c.Registry.Delegate(ctx, "ceremony", registry.Delegation{Firm: f.USCC, Person: ids[d.User], From: time.Now().Add(-time.Hour).Truncate(time.Second)}); err != nil {
				return err
			}
			firm.Delegates = append(firm.Delegates, d.User)
		}
		out.Firms = append(out.Firms, firm)
	}
	for _, op := range p.Operators {
		if _, err := c.Registry.AddOperator(ctx, "ceremony", registry.Operator{ID: op.ID, Name: op.Name, Role: registry.Role(op.Role)}); err != nil {
			return err
		}
	}
	_, secret, err := c.OIDC.AddClient(ctx, "ceremony", operator)
	out.Operator = DemoClient{ID: operator.ID, Secret: secret}
	return err
}

// demoUser gives a person an account, a passkey and, for staff, a post.
func (c *City) demoUser(ctx context.Context, person string, one inhabitant) (DemoUser, error) {
	word := strings.ToLower(rand.Text())
	u := DemoUser{Username: one.User, Password: word[:4] + "-" + word[4:8] + "-" + word[8:12], Name: one.Name, Agency: one.Agency}
	secret, err := c.Login.AddAccount(ctx, "ceremony", login.Account{Person: person, Username: u.Username, Password: u.Password})
	if err != nil {
		return DemoUser{}, err
	}
	u.TOTP = secret.TOTP
	if one.Role != "" {
		if _, err := c.Registry.Employ(ctx, "ceremony", registry.Post{Person: person, Agency: one.Agency, Role: one.Role}); err != nil {
			return DemoUser{}, err
		}
	}
	u.Passkey, err = c.demoPasskey(ctx, person)
	return u, err
}

func (c *City) demoPasskey(ctx context.Context, person string) (*DemoPasskey, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, err
	}
	p := &DemoPasskey{RPID: issuer.Hostname()}
	random := func() ([]byte, error) {
		b := make([]byte, 24)
		_, _ = rand.Read(b) // never fails
		return b, nil
	}
	var id, handle []byte
	if id, p.CredentialID, err = plainText(random); err == nil {
		handle, p.UserHandle, err = plainText(random)
	}
	if err != nil {
		return nil, err
	}
	var key *ecdsa.PrivateKey
	_, p.PrivateKey, err = plainText(func() ([]byte, error) {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(key)
	})
	if err != nil {
		return nil, err
	}
	return p, c.Login.AddPasskey(ctx, "ceremony", person, login.Passkey{CredentialID: id, UserHandle: handle, PublicKey: login.COSEKey(&key.PublicKey), Name: "demo"})
}

// plainText makes bytes until their base64 holds letters and digits only.
func plainText(make func() ([]byte, error)) ([]byte, string, error) {
	for {
		b, err := make()
		if err != nil {
			return nil, "", err
		}
		if text := base64.StdEncoding.EncodeToString(b); !strings.ContainsAny(text, "+/=") {
			return b, text, nil
		}
	}
}

// populateSites registers the relying parties, which stand at origins.
func (c *City) populateSites(ctx context.Context, p population, origins []string, out *Demo) error {
	for i, site := range p.Sites {
		client := oidc.Client{ID: site.Client, Name: site.EN, Agency: site.Agency, Profile: site.Profile,
			Scopes: []string{"openid", "profile", "firm", "offline_access"}, RedirectURIs: []string{origins[i] + "/callback"},
			PostLogoutRedirectURIs: []string{origins[i] + "/"}, BackchannelLogoutURI: origins[i] + "/backchannel", BackchannelLogoutSessionRequired: true}
		var private, public []byte
		if site.Profile == oidc.ProfileFAPI2 {
			var err error
			if private, public, err = demoapp.NewKey(); err != nil {
				return err
			}
			client.JWKS = public
		}
		added, secret, err := c.OIDC.AddClient(ctx, "ceremony", client)
		if err != nil {
			return err
		}
		out.Clients = append(out.Clients, DemoSite{DemoClient: DemoClient{ID: added.ID, Secret: secret, PrivateJWK: private}, RedirectURIs: added.RedirectURIs,
			Profile: added.Profile, Name: site.ZH, NameEN: site.EN, Agency: site.Agency, URL: origins[i]})
	}
	return nil
}

func (c *City) populateAgencies(ctx context.Context, p population, out *Demo) error {
	area := map[string]string{}
	for _, a := range p.Agencies {
		_, err := c.Registry.AddAgency(ctx, "ceremony", registry.Agency{ID: a.ID, USCC: a.USCC, NameZH: a.ZH, NameEN: a.EN,
			Level: registry.Level(a.Level), Parent: a.Parent, Area: a.Area, Issuer: a.Issuer})
		if err != nil {
			return err
		}
		area[a.ID] = a.Area
		id := a.ID + "-api"
		_, secret, err := c.OIDC.AddClient(ctx, "ceremony", oidc.Client{ID: id, Name: a.EN, Agency: a.ID, Profile: oidc.ProfileService,
			Scopes: []string{licenses.Scope}})
		if err != nil {
			return err
		}
		out.Agencies = append(out.Agencies, DemoAgency{ID: a.ID, Name: a.ZH, Level: a.Level, Client: id, Secret: secret, Types: []string{}})
	}
	from := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, a := range p.Authorities {
		_, err := c.Registry.Authorize(ctx, "ceremony", registry.Authority{Agency: a.Agency, Type: a.Type, Area: area[a.Agency],
			From: from, Until: from.AddDate(20, 0, 0)})
		if err != nil {
			return err
		}
		for i := range out.Agencies {
			if out.Agencies[i].ID == a.Agency {
				out.Agencies[i].Types = append(out.Agencies[i].Types, a.Type)
			}
		}
	}
	for _, a := range p.Agencies {
		if _, err := c.Enroll(ctx, a.ID, "ceremony"); err != nil {
			return err
		}
	}
	return nil
}

func readPopulation() (p population, err error) {
	d := yaml.NewDecoder(strings.NewReader(string(demoPopulation)))
	d.KnownFields(true)
	return p, d.Decode(&p)
}
