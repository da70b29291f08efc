package ca_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/fault"
)

func ceremonyFile(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/ceremony.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseCeremony(t *testing.T) {
	c, err := ca.ParseCeremony([]byte(ceremonyFile(t)))
	if err != nil {
		t.Fatal(err)
	}
	if c.City.ZH != "江城市" || len(c.Issuers) != 3 || c.Issuers[1].ID != "donghu" || c.TLS.Days != 90 || c.Signers.Trust.Standby != 1 {
		t.Errorf("%+v", c)
	}
}

func TestParseCeremonyNamesTheProblem(t *testing.T) {
	tests := []struct {
		name, old, new, path string
	}{
		{"unknown field", "zh: 江城市", "zh: 江城市\n  mayor: x", ""},
		{"field twice", "zh: 江城市", "zh: 江城市\n  zh: x", ""},
		{"second document", "ocsp:", "---\nocsp:", ""},
		{"number for text", "years: 25", "years: many", ""},
		{"no name", "zh: 江城市", "zh: ''", "/city/zh"},
		{"district as city", `area: "990100"
  org`, `area: "990101"
  org`, "/city/area"},
		{"no such province", `area: "990100"
  org`, `area: "980100"
  org`, "/city/area"},
		{"wrong check character", "0510", "0511", "/city/uscc"},
		{"organization too long", "江城市数据局", strings.Repeat("局", 65), "/city/organization"},
		{"weak algorithm", "algorithm: ES256\n  years", "algorithm: RS256\n  years", "/root/algorithm"},
		{"no life", "years: 25", "years: 0", "/root/years"},
		{"long life", "years: 25", "years: 31", "/root/years"},
		{"issuer outlives the root", "years: 25", "years: 10", "/issuers/0/years"},
		{"CRL of no time", "crl_days: 365", "crl_days: -1", "/root/crl_days"},
		{"two of one id", "id: xishan", "id: donghu", "/issuers/2/id"},
		{"reserved id", "id: xishan", "id: root", "/issuers/2/id"},
		{"id with a slash", "id: xishan", "id: x/y", "/issuers/2/id"},
		{"two of one name", "Xishan District", "Donghu District", "/issuers/2/common_name"},
		{"the root's name", "Xishan District Issuing CA", "Jiangcheng Root CA", "/issuers/2/common_name"},
		{"two of one area", `"990102"`, `"990101"`, "/issuers/2/area"},
		{"district of another city", `"990102"`, `"110102"`, "/issuers/2/area"},
		{"Ed25519 issuer", "ES384", "Ed25519", "/issuers/2/algorithm"},
		{"no issuer of the city", `City Issuing CA, area: "990100"`, `City Issuing CA, area: "990103"`, "/issuers"},
		{"log in ES256", "log: {algorithm: Ed25519}", "log: {algorithm: ES256}", "/signers/log/algorithm"},
		{"many standbys", "standby: 1", "standby: 99", "/signers/trust/standby"},
		{"OCSP for years", "days: 30", "days: 3000", "/ocsp/days"},
		{"TLS by nobody", "issuer: city", "issuer: nobody", "/tls/issuer"},
		{"no host", "[localhost, 127.0.0.1]", "[]", "/tls/hosts"},
		{"wildcard", "[localhost, 127.0.0.1]", `["*.example"]`, "/tls/hosts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := ceremonyFile(t)
			if !strings.Contains(text, tt.old) {
				t.Fatal("the case changes nothing")
			}
			_, err := ca.ParseCeremony([]byte(strings.Replace(text, tt.old, tt.new, 1)))
			wantKind(t, err, fault.Invalid)
			found := slices.ContainsFunc(fault.Problems(err), func(p fault.Problem) bool { return p.Path == tt.path && p.Message != "" })
			if !found {
				t.Errorf("problems %v, want one at %q", fault.Problems(err), tt.path)
			}
		})
	}
}

func TestParseCeremonyReportsEverythingAtOnce(t *testing.T) {
	text := strings.NewReplacer("years: 25", "years: 0", "id: xishan", "id: donghu", "zh: 江城市", "zh: 江城市\n  mayor: x", "days: 90", "days: 900").Replace(ceremonyFile(t))
	_, err := ca.ParseCeremony([]byte(text))
	var paths []string
	for _, p := range fault.Problems(err) {
		paths = append(paths, p.Path)
	}
	for _, want := range []string{"", "/root/years", "/issuers/2/id", "/tls/days"} {
		if !slices.Contains(paths, want) {
			t.Errorf("problems at %q, want %q among them", paths, want)
		}
	}
}

func TestParseCeremonyBounds(t *testing.T) {
	_, err := ca.ParseCeremony([]byte(ceremonyFile(t) + strings.Repeat("#", 70<<10)))
	wantKind(t, err, fault.TooLarge)
	for _, s := range []string{"", "[", "- 1", "a: &a [*a]", "\x00", "city: {zh: !!binary x}"} {
		_, err := ca.ParseCeremony([]byte(s))
		wantKind(t, err, fault.Invalid)
	}
}

func FuzzParseCeremony(f *testing.F) {
	f.Add([]byte(ceremonyFile(f)))
	f.Add([]byte("city: {zh: x}\nissuers: [{}]"))
	f.Add([]byte("a: &a [*a,*a]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ca.ParseCeremony(b)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("kind %v: %v", k, err)
			}
			return
		}
		if len(c.Issuers) == 0 || len(c.TLS.Hosts) == 0 || c.Root.Years < 1 {
			t.Errorf("accepted %+v", c)
		}
	})
}
