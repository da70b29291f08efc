package permit_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	testvector "github.com/signet-city/signet/internal/testkit/vector"
	"github.com/signet-city/signet/licenses/permit"
)

// seeds calls add with the text of every vector.
func seeds(f *testing.F, add func(v vector)) {
	for _, path := range testvector.Paths(f, vectorDir) {
		add(readVector(f, path))
	}
}

// inflateText undoes the armour and the compression of a permit.
func inflateText(t testing.TB, text string) []byte {
	t.Helper()
	packed, ok := permit.DecodeBase45(text[len(permit.Prefix):])
	if !ok {
		t.Fatal("not Base45")
	}
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkParse parses. What is accepted must encode again to the same claims, and
// to the very same Sig_structure: no two encodings say the same.
func checkParse(t *testing.T, text string) {
	p, err := permit.Parse(text, find(foodDictionary))
	if err != nil {
		if !errors.Is(err, permit.ErrMalformed) && !errors.Is(err, permit.ErrTooLarge) && !errors.Is(err, permit.ErrDictionary) {
			t.Fatalf("error of no kind: %v", err)
		}
		return
	}
	s := signers()[p.Alg]
	s.KID = p.KID
	again, hash, err := permit.Encode(p.Claims, s, nil)
	if errors.Is(err, permit.ErrTooLarge) {
		return
	}
	if err != nil {
		t.Fatalf("parsed but not encoded: %v", err)
	}
	q := mustParse(t, again)
	if diff := cmp.Diff(p.Claims, q.Claims); diff != "" {
		t.Errorf("claims (-first +second):\n%s", diff)
	}
	if p.SigStructureHash() != q.SigStructureHash() || p.SigStructureHash() != hash {
		t.Error("a second encoding of the same claims")
	}
	if err := q.Verify(p.Alg, s.Key.Public()); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	seeds(f, func(v vector) { f.Add(v.text) })
	f.Fuzz(checkParse)
}

// FuzzParseCOSE starts behind the compression, which a fuzzer hardly gets
// through.
func FuzzParseCOSE(f *testing.F) {
	f.Add(forge{}.cose())
	seeds(f, func(v vector) {
		if p, err := permit.Parse(v.text, find(v.dictionary)); err == nil {
			f.Add(p.COSE())
		}
	})
	for _, group := range []map[string]vector{coseVectors(), headerVectors(), payloadVectors(), confirmationVectors(), fieldVectors()} {
		for _, v := range group {
			f.Add(inflateText(f, v.text))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkParse(t, armor(deflate(b, levelStored, nil)))
	})
}
