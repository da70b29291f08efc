package permit_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	testvector "github.com/signet-city/signet/internal/testkit/vector"
	"github.com/signet-city/signet/licenses/permit"
)

// vectorDir is where the published vectors live; docs/spec/el1.md describes
// their form.
const vectorDir = "../../docs/spec/vectors/el1"

// What a vector may expect.
const (
	expectValid      = "valid"
	expectMalformed  = "malformed"
	expectTooLarge   = "too_large"
	expectDictionary = "unknown_dictionary"
	expectSignature  = "bad_signature"
)

// vector is one file.
type vector struct {
	expect, comment string
	alg             int64
	spki            []byte
	dictionary      []byte // what the reader has, or none
	hash, claims    string // of valid ones
	text            string
}

func (v vector) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "expect: %s\ncomment: %s\nalg: %d\nspki: %s\n", v.expect, v.comment, v.alg,
		base64.StdEncoding.EncodeToString(v.spki))
	if v.dictionary != nil {
		fmt.Fprintf(&b, "dictionary: %s\n", base64.StdEncoding.EncodeToString(v.dictionary))
	}
	if v.expect == expectValid {
		fmt.Fprintf(&b, "sig-structure-hash: %s\nclaims: %s\n", v.hash, v.claims)
	}
	return append(append(b.Bytes(), '\n'), v.text...)
}

func readVector(t testing.TB, path string) (v vector) {
	t.Helper()
	v.text = testvector.Read(t, path, func(name, value string) (err error) {
		switch name {
		case "expect":
			v.expect = value
		case "comment":
			v.comment = value
		case "alg":
			v.alg, err = strconv.ParseInt(value, 10, 64)
		case "spki":
			v.spki, err = base64.StdEncoding.DecodeString(value)
		case "dictionary":
			v.dictionary, err = base64.StdEncoding.DecodeString(value)
		case "sig-structure-hash":
			v.hash = value
		case "claims":
			v.claims = value
		default:
			err = errors.New("unknown")
		}
		return err
	})
	return v
}

// outcome runs the text through Parse and Verify.
func (v vector) outcome(t testing.TB) (string, *permit.Permit) {
	t.Helper()
	p, err := permit.Parse(v.text, find(v.dictionary))
	switch {
	case errors.Is(err, permit.ErrMalformed):
		return expectMalformed, nil
	case errors.Is(err, permit.ErrTooLarge):
		return expectTooLarge, nil
	case errors.Is(err, permit.ErrDictionary):
		return expectDictionary, nil
	case err != nil:
		t.Fatalf("error of no kind: %v", err)
	}
	pub, err := x509.ParsePKIXPublicKey(v.spki)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(v.alg, pub); errors.Is(err, permit.ErrSignature) {
		return expectSignature, nil
	} else if err != nil {
		t.Fatalf("error of no kind: %v", err)
	}
	return expectValid, p
}

// claimsJSON is how a vector writes the claims.
func claimsJSON(t testing.TB, p *permit.Permit) string {
	t.Helper()
	v := struct {
		KID    string         `json:"kid"`
		ID     string         `json:"cti"`
		Iat    int64          `json:"iat"`
		Nbf    int64          `json:"nbf"`
		Exp    int64          `json:"exp"`
		Status []uint32       `json:"status"`
		Cnf    string         `json:"cnf,omitempty"`
		Type   uint64         `json:"type"`
		Number string         `json:"number"`
		Name   string         `json:"name"`
		Holder string         `json:"holder"`
		Fields map[uint64]any `json:"fields,omitempty"`
	}{
		hex.EncodeToString(p.KID[:]), hex.EncodeToString(p.ID[:]), p.IssuedAt, p.NotBefore, p.Expires,
		[]uint32{p.Status.List, p.Status.Index}, hex.EncodeToString(p.Confirmation),
		p.Type, p.Number, p.HolderName, p.HolderID, p.Fields,
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVectors(t *testing.T) {
	testvector.Suite{Dir: vectorDir, Names: slices.Collect(maps.Keys(makeVectors())), Make: func() map[string][]byte { return vectorFiles(t) },
		Each: func(t *testing.T, path string) bool {
			v := readVector(t, path)
			got, p := v.outcome(t)
			if got != v.expect {
				t.Fatalf("got %s, want %s: %s", got, v.expect, v.comment)
			}
			if p == nil {
				return false
			}
			if got := fmt.Sprintf("%x", p.SigStructureHash()); got != v.hash {
				t.Errorf("hash of the Sig_structure: got %s, want %s", got, v.hash)
			}
			if got := claimsJSON(t, p); got != v.claims {
				t.Errorf("claims:\n got %s\nwant %s", got, v.claims)
			}
			return true
		}}.Run(t)
}

// vectorFiles makes every vector. It takes what each must say from the table and
// never from package permit, but for the readable claims.
func vectorFiles(t *testing.T) map[string][]byte {
	files := map[string][]byte{}
	for name, v := range makeVectors() {
		if v.spki == nil {
			v.alg, v.spki = permit.ES256, mustSPKI(p256Key.Public())
		}
		if v.expect == expectValid {
			if p, err := permit.Parse(v.text, find(v.dictionary)); err == nil {
				v.hash, v.claims = fmt.Sprintf("%x", p.SigStructureHash()), claimsJSON(t, p)
			}
		}
		files[name+".txt"] = v.encode()
	}
	return files
}
