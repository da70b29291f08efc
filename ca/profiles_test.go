package ca_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// resident is the resident number of the officer; no certificate may hold it.
const resident = "990100198001010034"

// populate registers a firm, and somebody who works for the district of Donghu.
func (c *city) populate(t testing.TB) (firm registry.Firm, officer registry.Person) {
	t.Helper()
	if err := c.ring.MakeSecret(t.Context(), keys.SecretLookup, actor); err != nil {
		t.Fatal(err)
	}
	officer, _, err := c.registry.AddPerson(t.Context(), actor, registry.Person{Kind: registry.Resident, Number: resident, Name: "韦霜"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.registry.Employ(t.Context(), actor, registry.Post{Person: officer.ID, Agency: "donghu-amr", Role: web.RoleClerk}); err != nil {
		t.Fatal(err)
	}
	firm = registry.Firm{USCC: "91990101MA0000017J", Name: "江城东湖面馆有限公司", LegalRep: officer.ID}
	if _, err := c.registry.AddFirm(t.Context(), actor, firm); err != nil {
		t.Fatal(err)
	}
	return firm, officer
}

// withHolders opens the city so that it knows firms and people.
func (c *city) withHolders(t testing.TB, profiles map[profile.Kind]profile.Policy) *ca.CA {
	t.Helper()
	return c.open(t, func(o *ca.Options) { o.Holders, o.Profiles = c.registry, profiles })
}

func TestProfilesAreIssued(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		firm, officer := c.populate(t)
		a := c.withHolders(t, nil)
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			r                   ca.Request
			issuer, subject     string
			organization, orgID string
			person              bool
			holder              string
		}{
			"documents":        {ca.Request{Profile: profile.DocumentSigning, Agency: "donghu-amr", CSR: csr(t, rsaKey, x509.CertificateRequest{})}, "donghu", "江城市东湖区市场监督管理局", "江城市东湖区市场监督管理局", "11990101MB0000027X", false, ""},
			"a program":        {ca.Request{Profile: profile.SystemClient, Agency: "donghu-amr", Name: "desk importer", Key: ecKey(t)}, "donghu", "desk importer", "江城市东湖区市场监督管理局", "11990101MB0000027X", false, ""},
			"an officer":       {ca.Request{Profile: profile.Officer, Agency: "donghu-amr", Person: officer.ID, Key: ecKey(t)}, "donghu", "韦霜", "江城市东湖区市场监督管理局", "11990101MB0000027X", true, "person:" + officer.ID},
			"a firm":           {ca.Request{Profile: profile.Firm, Firm: firm.USCC, Key: ecKey(t)}, "city", firm.Name, firm.Name, firm.USCC, false, "firm:" + firm.USCC},
			"a firm in Donghu": {ca.Request{Profile: profile.Firm, Firm: firm.USCC, Issuer: "donghu", Key: ecKey(t)}, "donghu", firm.Name, firm.Name, firm.USCC, false, "firm:" + firm.USCC},
			"a citizen":        {ca.Request{Profile: profile.Citizen, Person: officer.ID, Key: ecKey(t)}, "city", "韦霜", "", "", true, "person:" + officer.ID},
			"timestamps":       {ca.Request{Profile: profile.Timestamp, Issuer: "city", Key: ecKey(t)}, "city", "city TSA", "江城市大数据中心", "", false, ""},
		} {
			t.Run(name, func(t *testing.T) {
				tt.r.Actor = actor
				cert, err := a.Issue(t.Context(), tt.r)
				if err != nil {
					t.Fatal(err)
				}
				x := parse(t, cert.DER)
				if cert.Issuer != tt.issuer || cert.Subject != tt.subject || cert.Holder != tt.holder || x.Subject.CommonName != tt.subject {
					t.Errorf("issuer %s, subject %s, holder %s; in the certificate %s", cert.Issuer, cert.Subject, cert.Holder, x.Subject)
				}
				if (x.Subject.SerialNumber != "") != tt.person || tt.organization != "" && (len(x.Subject.Organization) != 1 || name != "timestamps" && x.Subject.Organization[0] != tt.organization) {
					t.Errorf("subject %s", x.Subject)
				}
				id := ""
				for _, n := range x.Subject.Names {
					if n.Type.Equal(profile.OIDOrganizationIdentifier) {
						id, _ = n.Value.(string)
					}
				}
				if tt.orgID != "" && id != "NTRCN-"+tt.orgID || tt.organization == "" && id != "" {
					t.Errorf("organizationIdentifier %q", id)
				}
				if bytes.Contains(cert.DER, []byte(resident)) {
					t.Error("the certificate holds a resident number")
				}
				page, err := a.Search(t.Context(), ca.Query{Text: tt.subject, Profile: tt.r.Profile})
				if err != nil || (len(page.Certificates) > 0) == strings.HasPrefix(tt.holder, "person:") {
					t.Errorf("%d found by the name %s, %v", len(page.Certificates), tt.subject, err)
				}
				found, err := a.Find(t.Context(), cert.Serial)
				if err != nil || found.Holder != tt.holder {
					t.Errorf("found %+v, %v", found, err)
				}
			})
		}
	})
}

func TestProfilesRefuse(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	firm, officer := c.populate(t)
	a := c.withHolders(t, map[profile.Kind]profile.Policy{profile.Firm: {Longest: 30 * 24 * time.Hour, Keys: []profile.Algorithm{profile.P256}}})
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := c.registry.AddPerson(t.Context(), actor, registry.Person{Kind: registry.Resident, Number: "990100198001020013", Name: "石岚"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		r    ca.Request
		kind fault.Kind
	}{
		"an issuing CA":                   {ca.Request{Profile: profile.Issuer, Key: ecKey(t)}, fault.Invalid},
		"an unknown profile":              {ca.Request{Profile: "any", Key: ecKey(t)}, fault.Invalid},
		"a server whose name nobody has":  {ca.Request{Profile: profile.SystemServer, Agency: "donghu-amr", Hosts: []string{"a.example"}, Key: ecKey(t)}, fault.Denied},
		"documents of nobody":             {ca.Request{Profile: profile.DocumentSigning, Key: ecKey(t)}, fault.Invalid},
		"documents of a firm":             {ca.Request{Profile: profile.DocumentSigning, Firm: firm.USCC, Key: ecKey(t)}, fault.Invalid},
		"a program without a name":        {ca.Request{Profile: profile.SystemClient, Agency: "donghu-amr", Key: ecKey(t)}, fault.Invalid},
		"a program with a long name":      {ca.Request{Profile: profile.SystemClient, Agency: "donghu-amr", Name: strings.Repeat("x", 65), Key: ecKey(t)}, fault.Invalid},
		"a firm of an agency":             {ca.Request{Profile: profile.Firm, Firm: firm.USCC, Agency: "donghu-amr", Key: ecKey(t)}, fault.Invalid},
		"an unknown firm":                 {ca.Request{Profile: profile.Firm, Firm: "91990101MA0000025D", Key: ecKey(t)}, fault.NotFound},
		"a firm under nobody":             {ca.Request{Profile: profile.Firm, Firm: firm.USCC, Issuer: "nobody", Key: ecKey(t)}, fault.NotFound},
		"a firm under the root":           {ca.Request{Profile: profile.Firm, Firm: firm.USCC, Issuer: ca.Root, Key: ecKey(t)}, fault.NotFound},
		"a firm's key of another type":    {ca.Request{Profile: profile.Firm, Firm: firm.USCC, Key: rsaKey}, fault.Invalid},
		"a firm for longer than allowed":  {ca.Request{Profile: profile.Firm, Firm: firm.USCC, Key: ecKey(t), NotAfter: c.clock.now().Add(31 * 24 * time.Hour)}, fault.Invalid},
		"an unknown citizen":              {ca.Request{Profile: profile.Citizen, Person: db.NewID(), Key: ecKey(t)}, fault.NotFound},
		"a citizen with Ed25519":          {ca.Request{Profile: profile.Citizen, Person: officer.ID, Key: ed}, fault.Invalid},
		"an officer of another agency":    {ca.Request{Profile: profile.Officer, Agency: "xishan-amr", Person: officer.ID, Key: ecKey(t)}, fault.Denied},
		"an officer who works nowhere":    {ca.Request{Profile: profile.Officer, Agency: "donghu-amr", Person: stranger.ID, Key: ecKey(t)}, fault.Denied},
		"an officer under another issuer": {ca.Request{Profile: profile.Officer, Agency: "donghu-amr", Person: officer.ID, Issuer: "city", Key: ecKey(t)}, fault.Denied},
		"timestamps by a CSR":             {ca.Request{Profile: profile.Timestamp, Issuer: "city", CSR: csr(t, ecKey(t), x509.CertificateRequest{})}, fault.Invalid},
		"timestamps of nobody":            {ca.Request{Profile: profile.Timestamp, Key: ecKey(t)}, fault.NotFound},
		"an agency astray":                {ca.Request{Profile: profile.DocumentSigning, Agency: "stray", Key: ecKey(t)}, fault.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			tt.r.Actor = actor
			before := c.rows(t)
			if _, err := a.Issue(t.Context(), tt.r); fault.KindOf(err) != tt.kind {
				t.Errorf("got %v of kind %v, want %v", err, fault.KindOf(err), tt.kind)
			}
			if after := c.rows(t); after != before {
				t.Error("something was written")
			}
		})
	}
	if _, err := c.reopen(t).Issue(t.Context(), ca.Request{Profile: profile.Firm, Firm: firm.USCC, Key: ecKey(t), Actor: actor}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a city without a register of firms: %v", err)
	}
	// The key of one person serves nobody else.
	key := ecKey(t)
	if _, err := a.Issue(t.Context(), ca.Request{Profile: profile.Citizen, Person: officer.ID, Key: key, Actor: actor}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue(t.Context(), ca.Request{Profile: profile.Citizen, Person: stranger.ID, Key: key, Actor: actor}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("another person's key: %v", err)
	}
	if _, err := a.Issue(t.Context(), ca.Request{Profile: profile.Firm, Firm: firm.USCC, Key: key, Actor: actor}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a person's key for a firm: %v", err)
	}
}

// TestPolicyIsCheckedAtTheStart: a policy that widens a profile opens nothing.
func TestPolicyIsCheckedAtTheStart(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	for _, p := range []map[profile.Kind]profile.Policy{
		{profile.SystemServer: {Longest: 399 * 24 * time.Hour}},
		{"any": {}},
	} {
		if _, err := ca.Open(t.Context(), ca.Options{DB: c.db, Ring: c.ring, Agencies: c.registry, Profiles: p, BaseURL: base}); err == nil {
			t.Errorf("opened with %v", p)
		}
	}
}

// TestCSRWishesByProfile: a request may ask for the very use that its profile has.
func TestCSRWishesByProfile(t *testing.T) {
	uses := func(oids ...asn1.ObjectIdentifier) x509.CertificateRequest {
		b, err := asn1.Marshal(oids)
		if err != nil {
			t.Fatal(err)
		}
		return x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: b}}}
	}
	server, client := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	names := x509.CertificateRequest{DNSNames: []string{"a.example", "b.example"}}
	many := x509.CertificateRequest{DNSNames: strings.Split(strings.Repeat("a.example ", 10_000), " ")[:10_000]}
	for name, tt := range map[string]struct {
		kind profile.Kind
		r    x509.CertificateRequest
		ok   bool
	}{
		"a client's use":              {profile.Firm, uses(client), true},
		"a server's use":              {profile.SystemServer, uses(server), true},
		"both":                        {profile.SystemServer, uses(server, client), false},
		"a firm that serves":          {profile.Firm, uses(server), false},
		"any use":                     {profile.Firm, uses(asn1.ObjectIdentifier{2, 5, 29, 37, 0}), false},
		"no use":                      {profile.Firm, uses(), false},
		"hosts of a server":           {profile.SystemServer, names, true},
		"hosts of a firm":             {profile.Firm, names, false},
		"hosts of a program":          {profile.SystemClient, names, false},
		"a mail address of a server":  {profile.SystemServer, x509.CertificateRequest{DNSNames: []string{"a"}, EmailAddresses: []string{"a@b.example"}}, false},
		"a mail address of a citizen": {profile.Citizen, x509.CertificateRequest{EmailAddresses: []string{"a@b.example"}}, false},
		"ten thousand names":          {profile.SystemServer, many, false},
	} {
		if _, err := ca.ParseCSR(tt.kind, csr(t, ecKey(t), tt.r)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ca.ParseCSR(profile.SystemServer, csr(t, ecKey(t), many)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("ten thousand names: %v", err)
	}
}
