package verify_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	testvector "github.com/signet-city/signet/internal/testkit/vector"
	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/trust"
)

// usual loads the city's bundle and snapshot.
func usual(t testing.TB) (*verify.Trust, *verify.Snapshot) {
	t.Helper()
	v := vector{at: time.Unix(now, 0), root: "root.pem", trust: "bundle.cbor", status: "status.elr1"}
	tr, s, o := v.load(t)
	if o.TrustErr != nil || o.StatusErr != nil {
		t.Fatal(o.TrustErr, o.StatusErr)
	}
	return tr, s
}

func TestFields(t *testing.T) {
	tr, s := usual(t)
	c := teacher(func(c *permit.Claims) {
		c.NotBefore, c.Expires = begin+30*day+3600, begin+2130*day-1 // neither is midnight
		c.Fields[5], c.Fields[6] = uint64(12), int64(-3)             // not in the bundle
	})
	got := verify.Check(mustPermit(c, school.signer, nil), tr, s, time.Unix(now, 0), verify.Options{})
	want := verify.Result{
		Verdict: verify.Valid, AsOf: time.Unix(asOf, 0).UTC(), Issuer: "jiangcheng-edu", Type: "teacher", Number: "JS29901000004321",
		IssuerNames: trust.Names{ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"},
		TypeNames:   trust.Names{ZH: "教师资格证书", EN: "Teacher qualification"},
		Fields: []verify.Field{
			{Name: "type", Names: trust.Names{ZH: "证照类型", EN: "Type of licence"}, Value: "teacher", ValueNames: trust.Names{ZH: "教师资格证书", EN: "Teacher qualification"}},
			{Name: "issuer", Names: trust.Names{ZH: "签发机关", EN: "Issued by"}, Value: "jiangcheng-edu", ValueNames: trust.Names{ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"}},
			{Name: "number", Names: trust.Names{ZH: "编号", EN: "Number"}, Value: "JS29901000004321"},
			{Name: "holder", Names: trust.Names{ZH: "持有人", EN: "Holder"}, Value: "陈建国"},
			{Name: "holder_id", Names: trust.Names{ZH: "证件号码", EN: "Identity number, masked"}, Value: "9901**********1234"},
			{Name: "issued_on", Names: trust.Names{ZH: "签发日期", EN: "Issued on"}, Value: "2026-01-31"},
			{Name: "valid_from", Names: trust.Names{ZH: "有效期起", EN: "Valid from"}, Value: "2026-01-31T01:00:00+08:00"},
			{Name: "valid_until", Names: trust.Names{ZH: "有效期至", EN: "Valid until"}, Value: "2031-10-31T23:59:59+08:00"},
			{Name: "subject", Names: trust.Names{ZH: "任教学科", EN: "Subject"}, Value: "数学"},
			{Name: "5", Value: "12"},
			{Name: "6", Value: "-3"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// Outside programs rely on these members and on no others.
func TestJSON(t *testing.T) {
	b, err := json.Marshal(verify.Check("", nil, nil, time.Unix(now, 0), verify.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"file":"","verdict":"malformed","reason":"not_a_permit","as_of":null,"issuer":"","type":"","number":"","fields":[]}`
	if string(b) != want {
		t.Errorf("got %s\nwant %s", b, want)
	}
}

// What nobody vouches for is not repeated.
func TestNothingUnsignedIsShown(t *testing.T) {
	tr, s := usual(t)
	forger := permit.Signer{KID: donghu.KID, Alg: es256, Key: steady{strangerKey}}
	stolenLater := claims(func(c *permit.Claims) { c.IssuedAt = stolenAt })
	for _, c := range []struct{ name, text, issuer string }{
		{"forged", mustPermit(honest(), forger, nil), ""},
		{"unknown key", mustPermit(honest(), stranger.signer, nil), ""},
		{"stolen key", mustPermit(stolenLater, stolen.signer, nil), "xishan-amr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := verify.Check(c.text, tr, s, time.Unix(now, 0), verify.Options{})
			if r.Issuer != c.issuer || r.Type != "" || r.Number != "" || r.Fields != nil {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// A Trust and a Snapshot may be kept for long: each check asks again.
func TestKeptForLong(t *testing.T) {
	tr, s := usual(t)
	text := mustPermit(honest(), donghu.signer, nil)
	for _, c := range []struct {
		name, reason string
		at           int64
	}{
		{"bundle ends", "trust_expired", made + 30*day},
		{"clock set back", "clock_before_trust", begin},
		{"status ages", "status_too_old", asOf + 8*day},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := verify.Check(text, tr, s, time.Unix(c.at, 0), verify.Options{})
			if r.Verdict != verify.Undetermined || r.Reason != c.reason {
				t.Errorf("got %s, %q", r.Verdict, r.Reason)
			}
		})
	}
}

// A snapshot whose signer the root has withdrawn since does not count with the
// newer bundle.
func TestWithdrawnStatusSigner(t *testing.T) {
	_, s := usual(t)
	root, err := trust.SignRoot(trust.RootStatement{
		Version: 2, IssuedAt: begin, Expires: begin + 3650*day,
		Bundle: []trust.Signer{{KID: trust.KIDOf(spki(bundleKey)), Alg: es256, Public: spki(bundleKey), From: begin, Until: begin + 730*day}},
		Status: []trust.Signer{{KID: trust.KIDOf(spki(statusKey)), Alg: es256, Public: spki(statusKey), From: begin, Until: asOf}},
	}, trustSigner(rootKey))
	if err != nil {
		t.Fatal(err)
	}
	b := cityBundle(t, rootKey)
	b.Root = root
	newer, err := verify.Load(rootKey.Public(), bundleFile(t, b), time.Unix(now, 0))
	if err != nil {
		t.Fatal(err)
	}
	r := verify.Check(mustPermit(honest(), donghu.signer, nil), newer, s, time.Unix(now, 0), verify.Options{})
	if r.Verdict != verify.Undetermined || r.Reason != "status_refused" {
		t.Errorf("got %s, %q", r.Verdict, r.Reason)
	}
	if _, err := newer.Snapshot(fixture(t, "status.elr1")); !errors.Is(err, trust.ErrSigner) {
		t.Errorf("read again: %v", err)
	}
}

func TestState(t *testing.T) {
	tr, s := usual(t)
	if got := tr.State(); got.Root.Number != 1 || got.Bundle.Number != 1 || got.Bundle.Hash != trust.Hash(fixture(t, "bundle.cbor")) || got.Snapshot.Number != 0 {
		t.Errorf("of the bundle: %+v", got)
	}
	if got := s.State(); got.Snapshot.Number != 7 || got.Snapshot.Hash != trust.Hash(fixture(t, "status.elr1")) || got.Bundle.Number != 0 {
		t.Errorf("of the snapshot: %+v", got)
	}
	if !s.AsOf().Equal(time.Unix(asOf, 0)) {
		t.Errorf("as of %v", s.AsOf())
	}
}

// Each character in turn is made another: no such permit is valid unless it says
// and signs the very same.
func TestEveryCharacterChanged(t *testing.T) {
	tr, s := usual(t)
	text := mustPermit(honest(), donghu.signer, foodDictionary)
	dictionary := func(uint32) []byte { return foodDictionary }
	original, err := permit.Parse(text, dictionary)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[verify.Verdict]int{}
	for i := range len(text) {
		for _, c := range "0AZ %:a\x00" {
			changed := text[:i] + string(c) + text[i+1:]
			if changed == text {
				continue
			}
			r := verify.Check(changed, tr, s, time.Unix(now, 0), verify.Options{})
			seen[r.Verdict]++
			if !slices.Contains(allVerdicts, r.Verdict) {
				t.Fatalf("verdict %q", r.Verdict)
			}
			if r.Verdict != verify.Valid {
				continue
			}
			if p, err := permit.Parse(changed, dictionary); err != nil || p.SigStructureHash() != original.SigStructureHash() {
				t.Errorf("valid with character %d changed to %q", i, c)
			}
		}
	}
	if seen[verify.Malformed] == 0 || len(seen) < 2 {
		t.Errorf("verdicts %v", seen)
	}
}

// maxModules is how many outside modules a program takes on with this package.
const maxModules = 3

func TestFewDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(string(out))))
	if len(modules) == 0 || len(modules) > maxModules {
		t.Errorf("%d outside modules, want 1 to %d: %q", len(modules), maxModules, modules)
	}
}

// checked is what holds for every result, whatever was checked.
func checked(t *testing.T, r verify.Result, status bool) {
	t.Helper()
	if !slices.Contains(allVerdicts, r.Verdict) {
		t.Errorf("verdict %q", r.Verdict)
	}
	if r.Sentence().EN == "" {
		t.Errorf("no sentence for %q", r.Reason)
	}
	if (r.Reason == "") != (r.Verdict == verify.Valid) {
		t.Errorf("%s with reason %q", r.Verdict, r.Reason)
	}
	if !status && (r.Verdict == verify.Valid || r.Verdict == verify.Revoked || r.Verdict == verify.Suspended) {
		t.Errorf("%s without a status", r.Verdict)
	}
}

func FuzzCheck(f *testing.F) {
	for _, path := range testvector.Paths(f, vectorDir) {
		f.Add(readVector(f, path).text, int64(now))
	}
	tr, s := usual(f)
	f.Fuzz(func(t *testing.T, text string, at int64) {
		when := time.Unix(at%(1<<33), 0)
		checked(t, verify.Check(text, tr, s, when, verify.Options{}), true)
		checked(t, verify.Check(text, tr, nil, when, verify.Options{}), false)
		r := verify.Check(text, nil, nil, when, verify.Options{})
		checked(t, r, false)
		if r.Verdict != verify.Undetermined && r.Verdict != verify.Malformed && r.Verdict != verify.TooLarge {
			t.Errorf("%s without trust", r.Verdict)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(fixture(f, "bundle.cbor"), fixture(f, "status.elr1"))
	f.Add(fixture(f, "bundle.cbor"), fixture(f, "status-damaged.elr1"))
	f.Add(fixture(f, "status.elr1"), []byte{})
	text := mustPermit(honest(), donghu.signer, nil)
	at := time.Unix(now, 0)
	f.Fuzz(func(t *testing.T, bundle, snapshot []byte) {
		tr, err := verify.Load(rootKey.Public(), bundle, at)
		if err != nil {
			r := verify.Check(text, nil, nil, at, verify.Options{TrustErr: err})
			if r.Verdict != verify.Undetermined {
				t.Errorf("%s without trust", r.Verdict)
			}
			return
		}
		s, err := tr.Snapshot(snapshot)
		checked(t, verify.Check(text, tr, s, at, verify.Options{StatusErr: err}), s != nil)
	})
}

func BenchmarkCheck(b *testing.B) {
	tr, s := usual(b)
	text := mustPermit(honest(), donghu.signer, foodDictionary)
	at := time.Unix(now, 0)
	b.ReportAllocs()
	for b.Loop() {
		if r := verify.Check(text, tr, s, at, verify.Options{}); r.Verdict != verify.Valid {
			b.Fatal(r.Reason)
		}
	}
}
