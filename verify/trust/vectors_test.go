package trust_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	testvector "github.com/signet-city/signet/internal/testkit/vector"
	"github.com/signet-city/signet/verify/trust"
)

// vectorDir is where the published vectors live; docs/spec/trust.md describes
// their form.
const vectorDir = "../../docs/spec/vectors/trust"

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

func readVector(t testing.TB, path string) (v vector) {
	t.Helper()
	body := testvector.Read(t, path, func(name, value string) (err error) {
		switch name {
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
			err = errors.New("unknown")
		}
		return err
	})
	var err error
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

// TestVectors takes what each vector must say from the table and never from
// package trust.
func TestVectors(t *testing.T) {
	made := makeVectors(t)
	files := map[string][]byte{}
	for name, v := range made {
		files[name+".txt"] = v.encode()
	}
	testvector.Suite{Dir: vectorDir, Names: slices.Collect(maps.Keys(made)), Make: func() map[string][]byte { return files },
		Each: func(t *testing.T, path string) bool {
			v := readVector(t, path)
			err := v.open(t)
			if got := outcome(t, err); got != v.expect {
				t.Errorf("got %s (%v), want %s: %s", got, err, v.expect, v.comment)
			}
			return v.expect == valid
		}}.Run(t)
}
