package status_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/signet-city/signet/licenses/status"
)

// vectorDir is where the published vectors live; docs/spec/elr1.md describes
// their form.
const vectorDir = "../../docs/spec/vectors/elr1"

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
	alg             int64
	spki            []byte
	content         string // of valid ones
	bytes           []byte
}

func (v vector) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "expect: %s\ncomment: %s\nalg: %d\nspki: %s\n", v.expect, v.comment, v.alg,
		base64.StdEncoding.EncodeToString(v.spki))
	if v.content != "" {
		fmt.Fprintf(&b, "content: %s\n", v.content)
	}
	fmt.Fprintf(&b, "\n%x\n", v.bytes)
	return b.Bytes()
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header, text, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line after the headers", path)
	}
	var v vector
	if v.bytes, err = hex.DecodeString(strings.TrimSuffix(text, "\n")); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "expect":
			v.expect = value
		case "comment":
			v.comment = value
		case "alg":
			v.alg, err = strconv.ParseInt(value, 10, 64)
		case "spki":
			v.spki, err = base64.StdEncoding.DecodeString(value)
		case "content":
			v.content = value
		default:
			t.Fatalf("%s: unknown header %q", path, key)
		}
		if err != nil {
			t.Fatalf("%s: header %q: %v", path, key, err)
		}
	}
	return v
}

// outcome runs the bytes through Parse and Verify.
func (v vector) outcome(t testing.TB) (string, *status.Snapshot) {
	t.Helper()
	s, err := status.Parse(v.bytes)
	switch {
	case errors.Is(err, status.ErrMalformed):
		return expectMalformed, nil
	case errors.Is(err, status.ErrTooLarge):
		return expectTooLarge, nil
	case err != nil:
		t.Fatalf("error of no kind: %v", err)
	}
	pub, err := x509.ParsePKIXPublicKey(v.spki)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(v.alg, pub); errors.Is(err, status.ErrSignature) {
		return expectSignature, nil
	} else if err != nil {
		t.Fatalf("error of no kind: %v", err)
	}
	return expectValid, s
}

// contentJSON is how a vector writes what it says.
func contentJSON(t testing.TB, seq uint64, iat, exp int64, lists []status.List) string {
	t.Helper()
	type list struct {
		No        uint32   `json:"no"`
		Revoked   []uint32 `json:"revoked"`
		Suspended []uint32 `json:"suspended"`
	}
	v := struct {
		Seq   uint64 `json:"seq"`
		Iat   int64  `json:"iat"`
		Exp   int64  `json:"exp"`
		Lists []list `json:"lists"`
	}{seq, iat, exp, []list{}}
	for _, l := range lists {
		v.Lists = append(v.Lists, list{l.No, append([]uint32{}, l.Revoked...), append([]uint32{}, l.Suspended...)})
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
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
		if v.expect == expectValid {
			good++
		}
		t.Run(name, func(t *testing.T) {
			if !bytes.Equal(v.encode(), made[name].encode()) {
				t.Error("the file is not what is made today; run with -update")
			}
			got, s := v.outcome(t)
			if got != v.expect {
				t.Fatalf("got %s, want %s: %s", got, v.expect, v.comment)
			}
			if s == nil {
				return
			}
			if got := contentJSON(t, s.Seq, s.IssuedAt, s.Expires, s.Lists); got != v.content {
				t.Errorf("content:\n got %s\nwant %s", got, v.content)
			}
		})
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(made)); !slices.Equal(names, want) {
		t.Errorf("files:\n got %q\nwant %q; run with -update", names, want)
	}
	if bad := len(paths) - good; good == 0 || bad <= good {
		t.Errorf("%d valid vectors and %d others, want more failures than successes", good, bad)
	}
}

func writeVectors(t *testing.T, made map[string]vector) {
	old, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range made {
		if err := os.WriteFile(filepath.Join(vectorDir, name+".txt"), v.encode(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// makeVectors returns every vector. The valid ones are encoded, the others
// forged.
func makeVectors(t *testing.T) map[string]vector {
	made := map[string]vector{}
	add := func(name, expect, comment string, b []byte) {
		made[name] = vector{expect: expect, comment: comment, alg: int64(cose.AlgorithmES256),
			spki: spki(t, p256Key.Public()), bytes: b}
	}
	valid := func(name, comment string, alg int64, lists ...status.List) {
		key := signers()[alg]
		b, err := status.Encode(7, 1767225600, 1767312000, lists, key)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = vector{expect: expectValid, comment: comment, alg: alg, spki: spki(t, key.Key.Public()), bytes: b,
			content: contentJSON(t, 7, 1767225600, 1767312000, lists)}
	}
	addValid(valid)
	v := made["two-states"]
	add("other-key", expectSignature, "the key of another signer", v.bytes)
	addMalformed(t, add)
	for name, f := range forgeries(t) {
		add(name, f.expect, f.comment, f.encode(t))
	}
	forged := made["forged-valid"]
	forged.content = contentJSON(t, 7, 1000, 2000, []status.List{{No: 3, Revoked: []uint32{5}, Suspended: []uint32{77}}})
	made["forged-valid"] = forged
	forged = made["forged-empty"]
	forged.content = contentJSON(t, 7, 1000, 2000, nil)
	made["forged-empty"] = forged
	other := made["other-key"]
	other.spki = spki(t, otherKey.Public())
	made["other-key"] = other
	wrong := made["two-states"]
	wrong.expect, wrong.comment, wrong.content = expectSignature, "the key's algorithm is another than the one named", ""
	wrong.alg = int64(cose.AlgorithmES384)
	made["other-algorithm"] = wrong
	return made
}

func addValid(add func(name, comment string, alg int64, lists ...status.List)) {
	r := rand.New(rand.NewPCG(11, 12))
	es256 := int64(cose.AlgorithmES256)
	add("no-list", "a city without lists", es256)
	add("empty-list", "one list, nothing listed: every index is valid", es256, status.List{No: 1})
	add("two-states", "the example of the specification", es256,
		status.List{No: 1, Revoked: []uint32{70000, 500000, 500001}, Suspended: []uint32{12}})
	add("ends", "first and last index, highest list number", es256,
		status.List{No: 0, Revoked: []uint32{0, status.ListSize - 1}},
		status.List{No: 1<<32 - 1, Suspended: []uint32{0, status.ListSize - 1}})
	add("long-unary", "one distance of many times the parameter", es256,
		status.List{No: 2, Revoked: append(consecutive(200), status.ListSize-1)})
	add("drawn", "three lists as a city has them", es256, draw(r, 10, 300, 40), draw(r, 11, 5, 0), draw(r, 200, 100, 100))
	add("es384", "signed with ES384", int64(cose.AlgorithmES384), status.List{No: 1, Revoked: []uint32{1, 2, 3}})
	add("ed25519", "signed with Ed25519", int64(cose.AlgorithmEdDSA), status.List{No: 1, Revoked: []uint32{1, 2, 3}})
}

func consecutive(n uint32) []uint32 {
	indices := make([]uint32, n)
	for i := range indices {
		indices[i] = uint32(i)
	}
	return indices
}

// addMalformed adds what no forgery is needed for.
func addMalformed(t *testing.T, add func(name, expect, comment string, b []byte)) {
	whole := plain().encode(t)
	add("empty", expectMalformed, "no bytes", nil)
	add("cut", expectMalformed, "one byte short", whole[:len(whole)-1])
	add("tail", expectMalformed, "one byte more", append(bytes.Clone(whole), 0))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 0x10
	add("body-changed", expectMalformed, "one bit of the body is another, so its hash is", flipped)
	long := bytes.Clone(whole)
	add("long-array-head", expectMalformed, "the outer array's head is not in its shortest form", append([]byte{0x98, 0x02}, long[1:]...))
	add("indefinite-array", expectMalformed, "the outer array has no length", append(append([]byte{0x9F}, long[1:]...), 0xFF))
}

// expected is a forgery with its outcome.
type expected struct {
	forgery
	expect, comment string
}

// forgeries returns what differs from plain in one thing.
func forgeries(t *testing.T) map[string]expected {
	made := map[string]expected{}
	add := func(name, expect, comment string, change func(*forgery)) {
		f := plain()
		change(&f)
		made[name] = expected{f, expect, comment}
	}
	add("forged-valid", expectValid, "made without the encoder, with nothing wrong", func(*forgery) {})
	forgeEnvelope(add)
	forgeHeader(add)
	forgeBody(add)
	return made
}

func forgeEnvelope(add func(name, expect, comment string, change func(*forgery))) {
	protected := func(f *forgery) map[int]any { return f.protected.(map[int]any) }
	add("wrong-tag", expectMalformed, "tag 98, COSE_Sign", func(f *forgery) { f.tag = 98 })
	add("no-typ", expectMalformed, "no typ", func(f *forgery) { delete(protected(f), 16) })
	add("other-typ", expectMalformed, "the typ of another format", func(f *forgery) { protected(f)[16] = "application/elr2+cose" })
	add("typ-case", expectMalformed, "typ is compared exactly", func(f *forgery) { protected(f)[16] = "application/ELR1+cose" })
	add("no-kid", expectMalformed, "no kid", func(f *forgery) { delete(protected(f), 4) })
	add("short-kid", expectMalformed, "a kid of 7 bytes", func(f *forgery) { protected(f)[4] = make([]byte, 7) })
	add("unknown-alg", expectMalformed, "RS256", func(f *forgery) { protected(f)[1] = -257 })
	add("critical", expectMalformed, "one protected parameter more", func(f *forgery) { protected(f)[2] = []int{1} })
	add("kid-unprotected", expectMalformed, "something in the unprotected header", func(f *forgery) { f.unprotected = map[int]any{4: make([]byte, 8)} })
	add("unprotected-null", expectMalformed, "null for the unprotected header", func(f *forgery) { f.unprotected = nil })
	add("short-signature", expectMalformed, "63 bytes of signature", func(f *forgery) { f.cut = 1 })
	add("zero-signature", expectSignature, "r and s are zero", func(f *forgery) { f.signature = make([]byte, 64) })
	add("signed-other", expectSignature, "a signature over other bytes", func(f *forgery) { f.signature = bytes.Repeat([]byte{0x55}, 64) })
	add("body-null", expectMalformed, "null for an empty body", func(f *forgery) { f.header[4], f.body = []any{}, nil })
}

func forgeHeader(add func(name, expect, comment string, change func(*forgery))) {
	set := func(key int, v any) func(*forgery) { return func(f *forgery) { f.header[key] = v } }
	add("seq-zero", expectMalformed, "sequence number 0", set(1, 0))
	add("seq-float", expectMalformed, "a sequence number that is not an integer", set(1, 7.5))
	add("negative-iat", expectMalformed, "issued before 1970", set(2, -1))
	add("exp-before-iat", expectMalformed, "expires when it is issued", set(3, 1000))
	add("exp-far", expectMalformed, "expires after the year 9999", set(3, 253402300800))
	add("unknown-member", expectMalformed, "a member that the format does not have", set(6, 1))
	add("no-hash", expectMalformed, "a hash of 31 bytes", set(5, make([]byte, 31)))
	add("other-hash", expectMalformed, "a hash that is not the body's", set(5, make([]byte, 32)))
	add("lists-null", expectMalformed, "null for no lists", func(f *forgery) { f.header[4], f.body = nil, []byte{} })
	add("list-of-four", expectMalformed, "four numbers for a list", set(4, []any{[]any{3, 1, 1, 0}}))
	add("list-no-large", expectMalformed, "a list number of 33 bits", set(4, []any{[]any{1 << 32, 1, 1}}))
	add("lists-equal", expectMalformed, "a list twice", set(4, []any{[]any{3, 1, 0}, []any{3, 1, 0}}))
	add("lists-fall", expectMalformed, "list numbers that fall", set(4, []any{[]any{3, 1, 0}, []any{2, 1, 0}}))
	add("over-full-list", expectMalformed, "more indices than a list has", set(4, []any{[]any{3, 1 << 20, 1}}))
	add("count-bomb", expectMalformed, "counts that the body is too short for", set(4, []any{[]any{3, 1 << 20, 0}}))
	add("too-many-listed", expectTooLarge, "17 full lists", func(f *forgery) {
		var lists []any
		for no := range 17 {
			lists = append(lists, []any{no, 1 << 20, 0})
		}
		f.header[4] = lists
	})
	empty := sha256.Sum256(nil)
	payload := func(head string) func(*forgery) {
		return func(f *forgery) {
			f.payload, f.body = append([]byte(head+"\x03\x19\x07\xD0\x04\x80\x05\x58\x20"), empty[:]...), []byte{}
		}
	}
	add("header-order", expectMalformed, "members of the header in another order", payload("\xA5\x02\x19\x03\xE8\x01\x07"))
	add("header-twice", expectMalformed, "a member of the header twice", payload("\xA6\x01\x07\x01\x07\x02\x19\x03\xE8"))
	add("header-long-number", expectMalformed, "a number that is not in its shortest form", payload("\xA5\x01\x18\x07\x02\x19\x03\xE8"))
	add("forged-empty", expectValid, "as the three before, with nothing wrong", payload("\xA5\x01\x07\x02\x19\x03\xE8"))
	add("protected-twice", expectMalformed, "alg twice in the protected header", func(f *forgery) {
		f.protected = cbor.RawMessage("\xA4\x01\x26\x01\x26\x04\x48\x00\x00\x00\x00\x00\x00\x00\x00\x10\x75application/elr1+cose")
	})
}

func forgeBody(add func(name, expect, comment string, change func(*forgery))) {
	body := func(parts ...string) func(*forgery) { return func(f *forgery) { f.body = bitString(parts...) } }
	counts := func(revoked, suspended int, parts ...string) func(*forgery) {
		return func(f *forgery) {
			f.header[4], f.body = []any{[]any{3, revoked, suspended}}, bitString(parts...)
		}
	}
	const five, seventySeven = "1 0000000000000000101 0000", "1 0000000000001001101 0000"
	add("padding", expectMalformed, "a padding bit is one", body("1 0000000000000000101 0001", seventySeven))
	add("body-short", expectMalformed, "the second list of indices is missing", body(five))
	add("body-long", expectMalformed, "a byte after the last list", body(five, seventySeven, "00000000"))
	add("both-states", expectMalformed, "an index revoked and suspended", body(five, five))
	// One index has the parameter 726817 and 321759 short remainders.
	out := fmt.Sprintf("01 %020b 00", (1<<20)-726817+321759)
	add("out-of-range", expectMalformed, "index 1048576", body(out, seventySeven))
	add("all-zeros", expectMalformed, "zeros without an end", body(strings.Repeat("00000000", 6)))
	add("unary-bomb", expectMalformed, "80,000 zeros where one index was promised", func(f *forgery) {
		f.body = make([]byte, 10000)
	})
	// Two indices have the parameter 363408 and 160880 short remainders.
	out = fmt.Sprintf("1 %018b 001 %019b 0000000", 0, (1<<20)-1-2*363408+160880)
	add("second-out-of-range", expectMalformed, "the second index is 1048576", counts(2, 0, out))
	add("empty-with-bits", expectMalformed, "bits for a list that says it is empty", counts(0, 0, five))
}

func rs(t testing.TB, der []byte) (r, s *big.Int) {
	t.Helper()
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		t.Fatal(err)
	}
	return v.R, v.S
}
