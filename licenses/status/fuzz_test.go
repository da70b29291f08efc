package status_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/licenses/status"
)

// FuzzParse holds that no bytes panic, that errors are of the two kinds, and
// that what parses has exactly one encoding: encoding it again gives the same
// body and the same hash.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		f.Add(readVector(f, path).bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := status.Parse(b)
		if err != nil {
			if !errors.Is(err, status.ErrMalformed) && !errors.Is(err, status.ErrTooLarge) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		sameAgain(t, s, b)
	})
}

// FuzzBody gives the parser a body whose hash is right, which mutation alone
// does not find.
func FuzzBody(f *testing.F) {
	f.Add(uint32(1), uint32(1), bitString("1 0000000000000000101 0000", "1 0000000000001001101 0000"))
	f.Add(uint32(3), uint32(0), []byte{0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add(uint32(40), uint32(2), bytes.Repeat([]byte{0xA5}, 130))
	f.Add(uint32(900000), uint32(0), bytes.Repeat([]byte{0xFF}, 900))
	f.Fuzz(func(t *testing.T, revoked, suspended uint32, body []byte) {
		made := plain()
		made.header[4] = []any{[]any{3, revoked, suspended}}
		made.body = slices.Concat([]byte{}, body)
		b := made.encode(t)
		s, err := status.Parse(b)
		if err != nil {
			if !errors.Is(err, status.ErrMalformed) && !errors.Is(err, status.ErrTooLarge) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		sameAgain(t, s, b)
	})
}

// sameAgain encodes what was parsed: the signature apart, it must be b again.
func sameAgain(t *testing.T, s *status.Snapshot, b []byte) {
	t.Helper()
	again, err := status.Encode(s.Seq, s.IssuedAt, s.Expires, s.Lists, p256Signer())
	if err != nil {
		t.Fatalf("what parses does not encode: %v", err)
	}
	twice, err := status.Parse(again)
	if err != nil {
		t.Fatalf("what was encoded does not parse: %v", err)
	}
	if diff := cmp.Diff(s.Header, twice.Header); diff != "" {
		t.Fatalf("header (-parsed +again):\n%s", diff)
	}
	if s.Alg == p256Signer().Alg && len(again) != len(b) {
		t.Fatalf("%d bytes, encoded again %d", len(b), len(again))
	}
	for _, l := range s.Lists {
		for _, index := range l.Revoked[:min(3, len(l.Revoked))] {
			if state, ok := s.Lookup(l.No, index); state != status.Revoked || !ok {
				t.Fatalf("list %d index %d: %v, %t", l.No, index, state, ok)
			}
		}
	}
}
