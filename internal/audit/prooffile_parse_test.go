package audit_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func TestParseProofRefuses(t *testing.T) {
	d := testkit.SQLite(t)
	signer, _ := newKey(t)
	l := newLog(t, d, signer)
	ids := appendEvents(t, d, some(9)...)
	seal(t, l)
	p := prove(t, d, ids[4])
	good := string(p.Encode())
	lines := strings.SplitAfter(good, "\n")
	replace := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in\n%s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	extra := func(b ...byte) string {
		return lines[0] + "extra " + base64.StdEncoding.EncodeToString(b) + "\n" + strings.Join(lines[2:], "")
	}
	for name, file := range map[string]string{
		"empty":                    "",
		"another version":          replace("@v1", "@v2"),
		"something before it":      "\n" + good,
		"CRLF":                     strings.ReplaceAll(good, "\n", "\r\n"),
		"no extra":                 lines[0] + strings.Join(lines[2:], ""),
		"two extras":               lines[0] + lines[1] + strings.Join(lines[1:], ""),
		"extra behind index":       lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""),
		"extra empty":              extra(),
		"extra no base64":          replace("extra ", "extra !"),
		"salt of 15":               extra(append([]byte{15}, make([]byte, 40)...)...),
		"salt of 255":              extra(append([]byte{255}, make([]byte, 400)...)...),
		"salt cut":                 extra(16, 1, 2, 3),
		"salt and nothing":         extra(append([]byte{16}, make([]byte, 16)...)...),
		"certificate of nothing":   extra(0),
		"event over its bound":     extra(append([]byte{16}, make([]byte, 16+audit.MaxContent+1)...)...),
		"cert over its bound":      extra(append([]byte{0}, make([]byte, 16+audit.MaxCertificate+1)...)...),
		"no index":                 replace("index 4\n", ""),
		"index with zero":          replace("index 4", "index 04"),
		"index with sign":          replace("index 4", "index +4"),
		"index negative":           replace("index 4", "index -4"),
		"index with space":         replace("index 4", "index  4"),
		"index without its word":   replace("index 4", "4"),
		"index too large":          replace("index 4", "index 9223372036854775807"),
		"hash cut":                 replace(lines[3], lines[3][2:]),
		"hash of 33 bytes":         replace(lines[3], base64.StdEncoding.EncodeToString(make([]byte, 33))+"\n"),
		"hash with loose bits":     replace(lines[3], strings.Repeat("A", 42)+"B=\n"),
		"hash with carriage":       replace(lines[3], lines[3][:44]+"\r\n"),
		"hash without padding":     replace(lines[3], lines[3][:43]+"\n"),
		"too many hashes":          replace(lines[3], strings.Repeat(lines[3], 64)),
		"no empty line":            replace("\n\n"+origin, "\n"+origin),
		"no checkpoint":            good[:strings.Index(good, "\n\n")+2],
		"checkpoint of no size":    replace("\n9\n", "\n\n"),
		"size with zero":           replace("\n9\n", "\n09\n"),
		"too large":                good + strings.Repeat("— a AAAAAAAA\n", audit.MaxProof/12),
		"checkpoint too large":     good + strings.Repeat("— a AAAAAAAA\n", audit.MaxCheckpoint/12),
		"two empty lines in front": replace("\n\n"+origin, "\n\n\n"+origin),
	} {
		if p, err := audit.ParseProof([]byte(file)); fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.TooLarge {
			t.Errorf("%s: %v, %v", name, p.Index, err)
		}
	}
	if _, err := audit.ParseProof([]byte(good)); err != nil {
		t.Error(err)
	}
}

func FuzzProof(f *testing.F) {
	d := testkit.SQLite(f)
	signer, verifier := newKey(f)
	l := newLog(f, d, signer)
	der := []byte("\x30\x09certified")
	appendCertificate(f, d, der)
	ids := appendEvents(f, d, some(20)...)
	seal(f, l)
	honest := map[string]bool{}
	for _, id := range append(ids, audit.CertificateObject(der)) {
		p := prove(f, d, id)
		f.Add(p.Encode())
		honest[string(p.Content)] = true
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := audit.ParseProof(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Errorf("%q is %q when written again", b, p.Encode())
		}
		if _, err := p.Verify([]note.Verifier{verifier}); err == nil && !honest[string(p.Content)] {
			t.Errorf("a forgery was accepted: %q", b)
		}
	})
}

func TestLogKeysAndWitnessKeysAreApart(t *testing.T) {
	w := newWitness(t, "witness.example/w1")
	_, logKey, err := note.GenerateKey(zeros{}, origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LogVerifiers(logKey); err != nil {
		t.Error(err)
	}
	v, err := audit.WitnessVerifiers(w.vkey())
	if err != nil || v[0].Name() != w.name {
		t.Error(err)
	}
	name, rest, _ := strings.Cut(w.vkey(), "+")
	hash, key, _ := strings.Cut(rest, "+")
	for _, k := range []string{"", w.vkey(), logKey + "A", "a+b+c", origin} {
		if _, err := audit.LogVerifiers(k); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a log's key: %q: %v", k, err)
		}
	}
	for _, k := range []string{"", logKey, w.vkey() + "A", w.vkey()[:len(w.vkey())-4], "+" + hash + "+" + key, "a b+" + hash + "+" + key,
		"other+" + hash + "+" + key, name + "+00000000+" + key, name + "+" + strings.ToUpper(hash) + "X+" + key, name + "+" + hash, name} {
		if _, err := audit.WitnessVerifiers(k); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a witness's key: %q: %v", k, err)
		}
	}
}

// zeros is a source of no randomness.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, errors.New("nothing to read into")
	}
	clear(b)
	return len(b), nil
}
