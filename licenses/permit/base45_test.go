package permit_test

import (
	"bytes"
	"testing"

	"github.com/signet-city/signet/licenses/permit"
)

func TestBase45(t *testing.T) {
	for _, test := range []struct{ name, plain, code string }{
		{"nothing", "", ""},
		{"RFC 9285 section 4.3, first", "AB", "BB8"},
		{"RFC 9285 section 4.3, second", "Hello!!", "%69 VD92EX0"},
		{"RFC 9285 section 4.3, third", "base-45", "UJCLQE7W581"},
		{"RFC 9285 section 4.4", "ietf!", "QED8WEX0"},
		{"highest two", "\xff\xff", "FGW"},
		{"highest one", "\xff", "U5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := permit.EncodeBase45([]byte(test.plain)); got != test.code {
				t.Errorf("encode: got %q, want %q", got, test.code)
			}
			if got, ok := permit.DecodeBase45(test.code); !ok || string(got) != test.plain {
				t.Errorf("decode: got %q, %v", got, ok)
			}
		})
	}
	for name, code := range map[string]string{
		"one character":        "A",
		"last group of one":    "BB8A",
		"65536":                "GGW",
		"highest group":        ":::",
		"256 in two":           "V5",
		"highest two":          "::",
		"small letter first":   "bB8",
		"small letter second":  "Bb8",
		"small letter third":   "BBb",
		"small letter in two":  "bB",
		"small letter at last": "Bb",
		"beyond ASCII":         "B\xff8",
		"zero byte":            "\x00B8",
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := permit.DecodeBase45(code); ok {
				t.Errorf("decodes to %x", got)
			}
		})
	}
}

func FuzzBase45(f *testing.F) {
	f.Add([]byte("Hello!!"), "%69 VD92EX0")
	f.Add([]byte{0xFF, 0xFF, 0xFF}, "FGWU5")
	f.Add([]byte{}, "GGW")
	f.Fuzz(func(t *testing.T, plain []byte, code string) {
		if got, ok := permit.DecodeBase45(permit.EncodeBase45(plain)); !ok || !bytes.Equal(got, plain) {
			t.Errorf("%x becomes %x, %v", plain, got, ok)
		}
		if got, ok := permit.DecodeBase45(code); ok && permit.EncodeBase45(got) != code {
			t.Errorf("%q is a second encoding of %x", code, got)
		}
	})
}
