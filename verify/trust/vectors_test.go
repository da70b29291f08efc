package trust_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/verify/trust"
)

// vectorDir is where the published vectors live; docs/spec/trust.md describes
// their form.
const vectorDir = "../../docs/spec/vectors/trust"

var update = flag.Bool("update", false, "write the vectors anew")

// What a vector may expect.
const (
	valid        = "valid"
	malformed    = "malformed"
	tooLarge     = "too_large"
	noSigner     = "no_permitted_signer"
	badSignature = "bad_signature"
	expired      = "expired"
	madeAfterNow = "made_after_now"
)

var outcomes = map[error]string{
	trust.ErrMalformed: malformed, trust.ErrTooLarge: tooLarge, trust.ErrSigner: noSigner,
	trust.ErrSignature: badSignature, trust.ErrExpired: expired, trust.ErrFuture: madeAfterNow,
}

// The kinds of object.
const (
	kindRoot   = "root"
	kindBundle = "bundle"
	kindHead   = "head"
)

// vector is one file.
type vector struct {
	expect, comment, kind string
	pin                   []byte // SubjectPublicKeyInfo
	root                  []byte // the root statement's file, for a head
	now                   int64
	file                  []byte
}

func (v vector) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "expect: %s\ncomment: %s\nkind: %s\nnow: %d\npin: %s\n", v.expect, v.comment, v.kind, v.now,
		base64.StdEncoding.EncodeToString(v.pin))
	if v.root != nil {
		fmt.Fprintf(&b, "root: %s\n", base64.StdEncoding.EncodeToString(v.root))
	}
	fmt.Fprintf(&b, "\n%s\n", base64.StdEncoding.EncodeToString(v.file))
	return b.Bytes()
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header, body, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line after the headers", path)
	}
	v := vector{}
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "expect":
			v.expect = value
		case "comment":
			v.comment = value
		case "kind":
			v.kind = value
		case "now":
			v.now, err = strconv.ParseInt(value, 10, 64)
		case "pin":
			v.pin, err = base64.StdEncoding.DecodeString(value)
		case "root":
			v.root, err = base64.StdEncoding.DecodeString(value)
		default:
			t.Fatalf("%s: unknown header %q", path, key)
		}
		if err != nil {
			t.Fatalf("%s: header %q: %v", path, key, err)
		}
	}
	if v.file, err = base64.StdEncoding.DecodeString(strings.TrimSuffix(body, "\n")); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// open runs the file through the function of its kind.
func (v vector) open(t testing.TB) error {
	t.Helper()
	pin := v.public(t)
	at := time.Unix(v.now, 0)
	switch v.kind {
	case kindRoot:
		_, err := trust.OpenRoot(v.file, pin, at)
		return err
	case kindBundle:
		_, _, err := trust.OpenBundle(v.file, pin, at)
		return err
	case kindHead:
		root, err := trust.OpenRoot(v.root, pin, at)
		if err != nil {
			t.Fatal(err)
		}
		_, err = trust.OpenHead(v.file, root, at)
		return err
	}
	t.Fatalf("unknown kind %q", v.kind)
	return nil
}

func (v vector) public(t testing.TB) crypto.PublicKey {
	t.Helper()
	pin, err := x509.ParsePKIXPublicKey(v.pin)
	if err != nil {
		t.Fatal(err)
	}
	return pin
}

// outcome gives an error the word of the vectors.
func outcome(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return valid
	}
	for target, word := range outcomes {
		if errors.Is(err, target) {
			return word
		}
	}
	t.Fatalf("error of no kind: %v", err)
	return ""
}

func TestVectors(t *testing.T) {
	made := makeVectors(t)
	if *update {
		writeVectors(t, made)
	}
	paths, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	good := 0
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		names = append(names, name)
		v := readVector(t, path)
		if v.expect == valid {
			good++
		}
		t.Run(name, func(t *testing.T) {
			err := v.open(t)
			if got := outcome(t, err); got != v.expect {
				t.Errorf("got %s (%v), want %s: %s", got, err, v.expect, v.comment)
			}
		})
	}
	if want := slices.Sorted(maps.Keys(made)); !slices.Equal(names, want) {
		t.Errorf("files:\n got %q\nwant %q; run with -update", names, want)
	}
	if bad := len(paths) - good; good == 0 || bad <= good {
		t.Errorf("%d valid vectors and %d others, want more failures than successes", good, bad)
	}
}

// writeVectors writes every vector. What each must say comes from the table and
// never from package trust.
func writeVectors(t *testing.T, vectors map[string]vector) {
	if err := os.RemoveAll(vectorDir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vectorDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, v := range vectors {
		if err := os.WriteFile(filepath.Join(vectorDir, name+".txt"), v.encode(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
