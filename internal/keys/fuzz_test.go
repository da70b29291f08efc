package keys_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/keys"
)

func FuzzParseKEK(f *testing.F) {
	digits := hex.EncodeToString(testKEK)
	for _, seed := range []string{"", string(testKEK), digits, digits + "\n", strings.ToUpper(digits), digits[1:], "g" + digits[1:], digits + "\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		kek, err := keys.ParseKEK(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if kek != nil {
				t.Fatal("a key and an error")
			}
			return
		}
		text := strings.TrimSuffix(string(b), "\n")
		if !bytes.Equal(kek, b) && hex.EncodeToString(kek) != strings.ToLower(text) {
			t.Fatalf("%q is not the key in %q", kek, b)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	good, err := keys.SealUnder(testKEK, []byte("plain"), []byte("aad"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte("aad"), []byte("plain"))
	f.Add(good[:28], []byte("aad"), []byte{})
	f.Add([]byte{1}, []byte{}, []byte{0})
	f.Add([]byte{}, []byte{}, bytes.Repeat([]byte{1}, 100))
	f.Fuzz(func(t *testing.T, sealed, aad, plain []byte) {
		// Each fuzzing process seals its own seed, with a nonce of its own.
		if got, err := keys.Unseal(testKEK, sealed, aad); err == nil && (string(got) != "plain" || string(aad) != "aad") {
			t.Fatal("opened what was never sealed")
		}
		again, err := keys.SealUnder(testKEK, plain, aad)
		if err != nil {
			t.Fatal(err)
		}
		got, err := keys.Unseal(testKEK, again, aad)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("round trip: %q, %v", got, err)
		}
		again[len(again)-1] ^= 1
		if _, err := keys.Unseal(testKEK, again, aad); err == nil {
			t.Fatal("opened what was changed")
		}
	})
}
