package profile_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/ca/profile"
)

const day = 24 * time.Hour

func TestParsePolicy(t *testing.T) {
	p, err := profile.ParsePolicy(profile.DocumentSigning, " usual=365d  longest=400d keys=P-256,RSA direct ")
	want := profile.Policy{Usual: 365 * day, Longest: 400 * day, Keys: []profile.Algorithm{profile.P256, profile.RSA}, Approval: profile.Direct}
	if diff := cmp.Diff(want, p); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if p, err := profile.ParsePolicy(profile.Firm, ""); err != nil || !cmp.Equal(p, profile.Policy{}) {
		t.Errorf("no words: %+v, %v", p, err)
	}
	for _, tt := range []struct {
		kind       profile.Kind
		text, says string
	}{
		{"any", "", "no profile"},
		{profile.Firm, "life=3d", "is not known"},
		{profile.Firm, "Direct", "is not known"},
		{profile.Firm, "direct=1", "takes no value"},
		{profile.Firm, "approval=", "takes no value"},
		{profile.Firm, "usual=3", "no number of days"},
		{profile.Firm, "usual=d", "no number of days"},
		{profile.Firm, "usual=0d", "no number of days"},
		{profile.Firm, "usual=-1d", "no number of days"},
		{profile.Firm, "usual=999999999d", "no number of days"},
		{profile.Firm, "longest=72h", "no number of days"},
		{profile.Firm, "longest=2000d", "at most 1827 days"},
		{profile.SystemServer, "longest=399d", "at most 398 days"},
		{profile.Firm, "longest=30d usual=31d", "longer than the longest"},
		{profile.Firm, "usual=1828d", "longer than the longest"},
		{profile.Firm, "keys=", "of no other"},
		{profile.Firm, "keys=P-256,Ed25519", "of no other"},
		{profile.Officer, "keys=RSA", "of no other"},
		{profile.Firm, "keys=p-256", "of no other"},
		{profile.Firm, "keys=P-256, RSA", "is not known"}, // no space between two
	} {
		if _, err := profile.ParsePolicy(tt.kind, tt.text); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q: got %v, want it to say %q", tt.kind, tt.text, err, tt.says)
		}
	}
}

func TestPolicyNarrowsTheTemplate(t *testing.T) {
	_, issuer := city(t)
	request := func(p profile.Policy) profile.Request {
		r := leaf(t)
		r.Kind, r.Policy = profile.Firm, p
		return r
	}
	c, err := profile.Template(request(profile.Policy{Longest: 30 * day}), issuer)
	if err != nil || c.NotAfter.Sub(c.NotBefore)+time.Second != 30*day {
		t.Errorf("a longest below the usual: %v, %v", c, err)
	}
	c, err = profile.Template(request(profile.Policy{Usual: 10 * day}), issuer)
	if err != nil || c.NotAfter.Sub(c.NotBefore)+time.Second != 10*day {
		t.Errorf("a usual of its own: %v, %v", c, err)
	}
	for name, p := range map[string]profile.Policy{
		"wider than the profile":   {Longest: 1828 * day},
		"a second":                 {Longest: time.Second},
		"no keys":                  {Keys: []profile.Algorithm{}},
		"keys that it cannot have": {Keys: []profile.Algorithm{profile.Ed25519}},
		"not this key":             {Keys: []profile.Algorithm{profile.RSA}},
	} {
		if _, err := profile.Template(request(p), issuer); err == nil {
			t.Errorf("%s: a template", name)
		}
	}
	long := request(profile.Policy{Longest: 30 * day})
	long.NotAfter = start.AddDate(0, 0, 31)
	if _, err := profile.Template(long, issuer); err == nil || !strings.Contains(err.Error(), "longer than 30 days") {
		t.Errorf("longer than the policy: %v", err)
	}
}

func TestNeedsApproval(t *testing.T) {
	var waiting []profile.Kind
	for _, k := range profile.Kinds() {
		if (profile.Policy{}).NeedsApproval(k) {
			waiting = append(waiting, k)
		}
		if (profile.Policy{Approval: profile.Direct}).NeedsApproval(k) || !(profile.Policy{Approval: profile.Decided}).NeedsApproval(k) {
			t.Errorf("%s: the policy does not decide", k)
		}
	}
	want := []profile.Kind{profile.DocumentSigning, profile.SystemServer, profile.SystemClient, profile.Firm, profile.Citizen, profile.Officer}
	if !slices.Equal(waiting, want) {
		t.Errorf("%v wait for an officer, want %v", waiting, want)
	}
}

// TestSubjects: each form has its parts, and no others.
func TestSubjects(t *testing.T) {
	org := subject(t, "Agency")
	number := "0123456789abcdef0123"
	with := func(change func(s *profile.Subject)) profile.Subject {
		s := org
		change(&s)
		return s
	}
	person := profile.Subject{CommonName: "韦霜", Number: number}
	for _, tt := range []struct {
		name string
		form profile.Form
		s    profile.Subject
		ok   bool
	}{
		{"organisation", profile.Organization, org, true},
		{"employee", profile.Employee, with(func(s *profile.Subject) { s.Number = number }), true},
		{"person", profile.Person, person, true},
		{"organisation with a number", profile.Organization, with(func(s *profile.Subject) { s.Number = number }), false},
		{"employee without one", profile.Employee, org, false},
		{"employee of nobody", profile.Employee, person, false},
		{"person of an organisation", profile.Person, with(func(s *profile.Subject) { s.Number = number }), false},
		{"person with a code", profile.Person, profile.Subject{CommonName: "x", Number: number, USCC: org.USCC}, false},
		{"person without a number", profile.Person, profile.Subject{CommonName: "韦霜"}, false},
		{"a number in capitals", profile.Person, profile.Subject{CommonName: "韦霜", Number: strings.ToUpper(number)}, false},
		{"a short number", profile.Person, profile.Subject{CommonName: "韦霜", Number: number[1:]}, false},
		{"a resident number for a number", profile.Person, profile.Subject{CommonName: "韦霜", Number: "11010519491231002X00"}, false},
		{"a resident number in the name", profile.Person, profile.Subject{CommonName: "韦霜(11010519491231002X)", Number: number}, false},
		{"no name", profile.Person, profile.Subject{Number: number}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := tt.s.Name(tt.form)
			if (err == nil) != tt.ok {
				t.Fatalf("got %v, %v", n, err)
			}
			if tt.ok && tt.form != profile.Organization && n.SerialNumber != "SN:CN-"+number {
				t.Errorf("serial number %q", n.SerialNumber)
			}
			if tt.ok && tt.form == profile.Person && len(n.Organization)+len(n.ExtraNames) != 0 {
				t.Errorf("a person has %v", n)
			}
		})
	}
}

func TestNewNumber(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		n, err := profile.NewNumber(rand.Reader)
		if err != nil || seen[n] {
			t.Fatalf("%q, %v", n, err)
		}
		seen[n] = true
		if _, err := (profile.Subject{CommonName: "x", Number: n}).Name(profile.Person); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := profile.NewNumber(bytes.NewReader(make([]byte, 9))); err == nil {
		t.Error("a number without randomness")
	}
}

func TestHoldsResidentNumber(t *testing.T) {
	for s, want := range map[string]bool{
		"11010519491231002X": true, "11010519491231002x": true, "no. 440524188001010014.": true, "a11010519491231002Xb": true,
		"": false, "110105194912310021": false, "11010519491231002": false, "1101051949123100 2X": false,
		"１1010519491231002X": false, "91350100M000100Y43": false,
	} {
		if got := profile.HoldsResidentNumber(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// TestUsages holds what each profile's certificates may be used for, as a stranger
// reads it out of one.
func TestUsages(t *testing.T) {
	root, issuer := city(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer := key(t, elliptic.P384())
	issuer.PublicKey = signer.Public()
	documents := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36}
	for _, tt := range []struct {
		kind     profile.Kind
		usage    x509.KeyUsage
		extended []x509.ExtKeyUsage
		unknown  []asn1.ObjectIdentifier
		rsa      bool
	}{
		{profile.PermitSigning, x509.KeyUsageDigitalSignature, nil, []asn1.ObjectIdentifier{documents}, false},
		{profile.DocumentSigning, x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, nil, []asn1.ObjectIdentifier{documents}, true},
		{profile.SystemServer, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, nil, true},
		{profile.SystemClient, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil, true},
		{profile.Firm, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil, true},
		{profile.Citizen, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil, true},
		{profile.Officer, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil, false},
		{profile.OCSP, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, nil, false},
		{profile.Timestamp, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}, nil, false},
		{profile.TLS, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, nil, true},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			rules, ok := tt.kind.Rules()
			if !ok || rules.CA {
				t.Fatal("no leaf's profile")
			}
			r := leaf(t)
			r.Kind = tt.kind
			if !rules.Responder() {
				r.OCSP = ""
			}
			if rules.Hosts {
				r.Hosts = []string{"a.example"}
			}
			switch rules.Subject {
			case profile.Person:
				r.Subject = profile.Subject{CommonName: "韦霜", Number: "0123456789abcdef0123"}
			case profile.Employee:
				r.Subject.Number = "0123456789abcdef0123"
			}
			template, err := profile.Template(r, issuer)
			if err != nil {
				t.Fatal(err)
			}
			c := signed(t, template, issuer, signer)
			if c.KeyUsage != tt.usage || !slices.Equal(c.ExtKeyUsage, tt.extended) || !slices.EqualFunc(c.UnknownExtKeyUsage, tt.unknown, asn1.ObjectIdentifier.Equal) {
				t.Errorf("usage %b, extended %v %v", c.KeyUsage, c.ExtKeyUsage, c.UnknownExtKeyUsage)
			}
			for _, e := range c.Extensions {
				if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37}) && e.Critical != (tt.kind == profile.Timestamp) {
					t.Errorf("extended usages critical: %v", e.Critical)
				}
			}
			r.Public = rsaKey.Public()
			if _, err := profile.Template(r, issuer); (err == nil) != tt.rsa {
				t.Errorf("an RSA key: %v", err)
			}
		})
	}
	if _, err := profile.Template(profile.Request{Kind: profile.Firm}, root); err == nil {
		t.Error("an empty request")
	}
}
