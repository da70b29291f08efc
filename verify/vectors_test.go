package verify_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	testvector "github.com/signet-city/signet/internal/testkit/vector"
	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/trust"
)

// vectorDir is where the published vectors live; docs/spec/verdicts.md describes
// their form.
const vectorDir = "../docs/spec/vectors/verdict"

// vector is one file. root, trust, status and genuine name files beside it.
type vector struct {
	expect, reason, comment      string
	at                           time.Time
	root, trust, status, genuine string
	result                       string // the whole, as JSON
	text                         string
}

func (v vector) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "expect: %s\nreason: %s\ncomment: %s\nat: %s\n", v.expect, v.reason, v.comment, v.at.UTC().Format(time.RFC3339))
	for _, h := range [][2]string{{"root", v.root}, {"trust", v.trust}, {"status", v.status}, {"genuine", v.genuine}} {
		if h[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", h[0], h[1])
		}
	}
	fmt.Fprintf(&b, "result: %s\n\n%s", v.result, v.text)
	return b.Bytes()
}

func readVector(t testing.TB, path string) (v vector) {
	t.Helper()
	members := map[string]*string{
		"expect": &v.expect, "reason": &v.reason, "comment": &v.comment, "result": &v.result,
		"root": &v.root, "trust": &v.trust, "status": &v.status, "genuine": &v.genuine,
	}
	v.text = testvector.Read(t, path, func(name, value string) (err error) {
		switch {
		case name == "at":
			v.at, err = time.Parse(time.RFC3339, value)
		case members[name] != nil:
			*members[name] = value
		default:
			err = errors.New("unknown")
		}
		return err
	})
	return v
}

// fixture reads a file beside the vectors, nil for none.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	if name == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rootOf(t testing.TB, file []byte) crypto.PublicKey {
	t.Helper()
	block, _ := pem.Decode(file)
	if block == nil {
		t.Fatal("root: no PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c.PublicKey
}

// load opens what the vector names, as a program does that checks one permit.
func (v vector) load(t testing.TB) (tr *verify.Trust, s *verify.Snapshot, o verify.Options) {
	t.Helper()
	if v.trust != "" {
		tr, o.TrustErr = verify.Load(rootOf(t, fixture(t, v.root)), fixture(t, v.trust), v.at)
	}
	if v.status != "" && tr != nil {
		s, o.StatusErr = tr.Snapshot(fixture(t, v.status))
	}
	if v.genuine != "" {
		g, err := trust.ParseGenuine(fixture(t, v.genuine))
		if err != nil {
			t.Fatal(err)
		}
		o.Genuine = append(o.Genuine, g)
	}
	return tr, s, o
}

func (v vector) check(t testing.TB) verify.Result {
	t.Helper()
	tr, s, o := v.load(t)
	return verify.Check(v.text, tr, s, v.at, o)
}

func asJSON(t testing.TB, r verify.Result) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVectors(t *testing.T) {
	made := makeVectors()
	verdicts, reasons := map[string]bool{}, map[string]bool{}
	testvector.Suite{Dir: vectorDir, Names: slices.Collect(maps.Keys(made)), Make: func() map[string][]byte { return vectorFiles(t, made) },
		Each: func(t *testing.T, path string) bool {
			v := readVector(t, path)
			verdicts[v.expect], reasons[v.reason] = true, true
			r := v.check(t)
			if string(r.Verdict) != v.expect || r.Reason != v.reason {
				t.Errorf("got %s, %q; want %s, %q: %s", r.Verdict, r.Reason, v.expect, v.reason, v.comment)
			}
			if got := asJSON(t, r); got != v.result {
				t.Errorf("result:\n got %s\nwant %s", got, v.result)
			}
			if s := r.Sentence(); s.ZH == "" || s.EN == "" {
				t.Errorf("no sentence for %q", r.Reason)
			}
			return r.Verdict == verify.Valid
		}}.Run(t)
	for _, v := range allVerdicts {
		if !verdicts[string(v)] {
			t.Errorf("verdict %s has no vector", v)
		}
	}
	for reason := range verify.Sentences {
		if !reasons[reason] {
			t.Errorf("reason %q has no vector", reason)
		}
	}
}

// allVerdicts are those of the contract with outside programs.
var allVerdicts = []verify.Verdict{
	verify.Valid, verify.Expired, verify.NotYetValid, verify.Revoked, verify.Suspended, verify.UnknownIssuer,
	verify.IssuerNotAllowed, verify.KeyCompromised, verify.BadSignature, verify.Malformed, verify.TooLarge,
	verify.LiveCopy, verify.Undetermined,
}

// vectorFiles makes every vector and fixture. What each must say comes from the
// table and never from package verify, but for the readable result, which is made
// from the fixtures that stand there: they are written first.
func vectorFiles(t *testing.T, vectors map[string]vector) map[string][]byte {
	files := fixtures(t)
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(vectorDir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range vectors {
		v.result = asJSON(t, v.check(t))
		files[name+".txt"] = v.encode()
	}
	return files
}
