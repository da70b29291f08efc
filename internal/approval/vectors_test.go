package approval_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/approval"
	testvector "github.com/signet-city/signet/internal/testkit/vector"
)

// vectorDir is where the vectors live; docs/spec/apr1.md describes their form.
const vectorDir = "testdata/apr1"

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

func readVector(t testing.TB, path string) (v vector) {
	t.Helper()
	texts := map[string]*string{"expect": &v.expect, "comment": &v.comment, "method": &v.method, "rp-id": &v.rpID, "origin": &v.origin,
		"challenge": &v.challenge, "says": &v.says}
	binary := map[string]*[]byte{"key": &v.key, "proof": &v.proof}
	body := testvector.Read(t, path, func(name, value string) (err error) {
		switch {
		case texts[name] != nil:
			*texts[name] = value
		case binary[name] != nil:
			*binary[name], err = base64.StdEncoding.DecodeString(value)
		default:
			err = errors.New("unknown")
		}
		return err
	})
	var err error
	v.statement, err = base64.StdEncoding.DecodeString(strings.TrimSuffix(body, "\n"))
	check(t, err)
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
	testvector.Suite{Dir: vectorDir, Names: slices.Collect(maps.Keys(makeVectors(t))), Make: func() map[string][]byte { return vectorFiles(t) },
		Each: func(t *testing.T, path string) bool {
			v := readVector(t, path)
			got, st := v.outcome(t)
			if got != v.expect {
				t.Fatalf("got %s, want %s: %s", got, v.expect, v.comment)
			}
			if got != expectValid {
				return false
			}
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
			return true
		}}.Run(t)
}

// vectorFiles makes every vector. It takes what each must say from the table, and
// from the package only the readable form.
func vectorFiles(t *testing.T) map[string][]byte {
	files := map[string][]byte{}
	for name, v := range makeVectors(t) {
		if v.expect == expectValid {
			st, err := approval.ParseStatement(v.statement)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			c := approval.Challenge(v.statement)
			v.says, v.challenge = saysJSON(t, st), hex.EncodeToString(c[:])
		}
		files[name+".txt"] = v.encode()
	}
	return files
}
