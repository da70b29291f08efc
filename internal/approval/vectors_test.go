package approval_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"crypto/x509"

	"github.com/signet-city/signet/internal/approval"
)

// vectorDir is where the vectors live; docs/spec/apr1.md describes their form.
const vectorDir = "testdata/apr1"

var update = flag.Bool("update", false, "write the vectors anew")

// What a vector may expect.
const (
	expectValid     = "valid"
	expectMalformed = "malformed"
	expectTooLarge  = "too_large"
	expectSignature = "bad_signature"
)

// vector is one file.
type vector struct {
	expect, comment string
	method          string // "" for a statement alone
	key             []byte // SubjectPublicKeyInfo, or COSE_Key
	rpID, origin    string
	proof           []byte // COSE_Sign1, or JSON
	says, challenge string // of valid ones
	statement       []byte
}

func (v vector) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "expect: %s\ncomment: %s\n", v.expect, v.comment)
	header := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	header("method", v.method)
	header("key", base64.StdEncoding.EncodeToString(v.key))
	header("rp-id", v.rpID)
	header("origin", v.origin)
	if v.method != "" {
		fmt.Fprintf(&b, "proof: %s\n", base64.StdEncoding.EncodeToString(v.proof))
	}
	header("challenge", v.challenge)
	header("says", v.says)
	return append(append(b.Bytes(), '\n'), base64.StdEncoding.EncodeToString(v.statement)+"\n"...)
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	header, body, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line after the headers", path)
	}
	decode := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(s, "\n"))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return b
	}
	v := vector{statement: decode(body)}
	for line := range strings.Lines(header + "\n") {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "expect":
			v.expect = value
		case "comment":
			v.comment = value
		case "method":
			v.method = value
		case "key":
			v.key = decode(value)
		case "rp-id":
			v.rpID = value
		case "origin":
			v.origin = value
		case "proof":
			v.proof = decode(value)
		case "challenge":
			v.challenge = value
		case "says":
			v.says = value
		default:
			t.Fatalf("%s: unknown header %q", path, key)
		}
	}
	return v
}

// outcome reads the statement and verifies its proof.
func (v vector) outcome(t testing.TB) (string, approval.Statement) {
	t.Helper()
	st, err := approval.ParseStatement(v.statement)
	if err == nil {
		err = v.verify(t)
	}
	switch {
	case err == nil:
		return expectValid, st
	case errors.Is(err, approval.ErrMalformed):
		return expectMalformed, st
	case errors.Is(err, approval.ErrTooLarge):
		return expectTooLarge, st
	case errors.Is(err, approval.ErrSignature):
		return expectSignature, st
	}
	t.Fatalf("error of no kind: %v", err)
	return "", st
}

func (v vector) verify(t testing.TB) error {
	switch v.method {
	case approval.MethodKey:
		public, err := x509.ParsePKIXPublicKey(v.key)
		check(t, err)
		return approval.VerifyCOSE(v.statement, v.proof, public)
	case approval.MethodPasskey:
		var a approval.Assertion
		check(t, json.Unmarshal(v.proof, &a))
		return approval.VerifyPasskey(v.statement, a, v.key, v.rpID, v.origin)
	}
	return nil
}

// saysJSON is how a vector writes a statement.
func saysJSON(t testing.TB, s approval.Statement) string {
	t.Helper()
	b, err := json.Marshal(struct {
		Kind      string `json:"kind"`
		Resolved  any    `json:"resolved"`
		Request   string `json:"request"`
		Requester string `json:"requester"`
		Approver  string `json:"approver"`
		Nonce     string `json:"nonce"`
		Iat       int64  `json:"iat"`
		Exp       int64  `json:"exp"`
		Origin    string `json:"origin"`
	}{s.Kind, s.Resolved, s.Request, s.Requester, s.Approver, hex.EncodeToString(s.Nonce[:]), s.IssuedAt, s.Expires, s.Origin})
	check(t, err)
	return string(b)
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	paths, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	check(t, err)
	var names []string
	good := 0
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		names = append(names, name)
		v := readVector(t, path)
		t.Run(name, func(t *testing.T) {
			got, st := v.outcome(t)
			if got != v.expect {
				t.Fatalf("got %s, want %s: %s", got, v.expect, v.comment)
			}
			if got != expectValid {
				return
			}
			good++
			if says := saysJSON(t, st); says != v.says {
				t.Errorf("says\n got %s\nwant %s", says, v.says)
			}
			if c := approval.Challenge(v.statement); hex.EncodeToString(c[:]) != v.challenge {
				t.Errorf("challenge %x, want %s", c, v.challenge)
			}
			again, err := st.Encode()
			if err != nil || !bytes.Equal(again, v.statement) {
				t.Errorf("encoded again: %v", err)
			}
		})
	}
	if want := slices.Sorted(maps.Keys(makeVectors(t))); !slices.Equal(names, want) {
		t.Errorf("files:\n got %q\nwant %q; run with -update", names, want)
	}
	if bad := len(paths) - good; good == 0 || bad <= good {
		t.Errorf("%d valid vectors and %d others, want more failures than successes", good, bad)
	}
}

// writeVectors writes every vector. It takes what each must say from the table,
// and from the package only the readable form.
func writeVectors(t *testing.T) {
	check(t, os.RemoveAll(vectorDir))
	check(t, os.MkdirAll(vectorDir, 0o755))
	for name, v := range makeVectors(t) {
		if v.expect == expectValid {
			st, err := approval.ParseStatement(v.statement)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			c := approval.Challenge(v.statement)
			v.says, v.challenge = saysJSON(t, st), hex.EncodeToString(c[:])
		}
		check(t, os.WriteFile(filepath.Join(vectorDir, name+".txt"), v.encode(), 0o644))
	}
}
