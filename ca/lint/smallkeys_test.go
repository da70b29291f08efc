package lint

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"flag"
	"math/big"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of small keys anew")

// rawKey returns the public key of private key d, that of the group's order less it
// for a negative one.
func rawKey(t testing.TB, curve elliptic.Curve, d int64) *ecdsa.PublicKey {
	t.Helper()
	scalar := new(big.Int).Mod(big.NewInt(d), curve.Params().N)
	key, err := ecdsa.ParseRawPrivateKey(curve, scalar.FillBytes(make([]byte, curve.Params().BitSize/8)))
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// TestSmallKeyTables: the files are what small keys make of them, to the bit. P-384
// takes six seconds, so that of its keys every eleventh is looked for.
func TestSmallKeyTables(t *testing.T) {
	for _, table := range []struct {
		curve elliptic.Curve
		path  string
		whole bool
	}{{elliptic.P256(), "smallkeys_p256.bin", true}, {elliptic.P384(), "smallkeys_p384.bin", *update}} {
		t.Run(table.path, func(t *testing.T) {
			t.Parallel()
			if !table.whole {
				for d := int64(1); d <= mostSmall; d += 11 {
					if !maybeSmall(rawKey(t, table.curve, d)) {
						t.Fatalf("%d is missed", d)
					}
				}
				return
			}
			made := makeTable(t, table.curve)
			if *update {
				if err := os.WriteFile(table.path, made, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(table.path)
			if err != nil || !bytes.Equal(b, made) {
				t.Errorf("the file is another: go generate ./ca/lint makes it: %v", err)
			}
		})
	}
}

func makeTable(t *testing.T, curve elliptic.Curve) []byte {
	table := make([]byte, 1<<groupBits>>3)
	for d := range int64(mostSmall) {
		point, err := rawKey(t, curve, d+1).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range smallBits(point) {
			table[at>>3] |= 1 << (at & 7)
		}
	}
	return table
}

func TestMaybeSmall(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		for _, d := range []int64{1, 2, 255, mostSmall - 1, mostSmall} {
			if !maybeSmall(rawKey(t, curve, d)) || !maybeSmall(rawKey(t, curve, -d)) {
				t.Errorf("%s: %d or its negative is missed", curve.Params().Name, d)
			}
		}
		// That more than 20 of 2,000 are looked at for nothing has a chance below one in 10^16.
		n := 0
		for range 2000 {
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if maybeSmall(&key.PublicKey) {
				n++
			}
		}
		if n > 20 {
			t.Errorf("%s: %d of 2,000 keys may be small", curve.Params().Name, n)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !maybeSmall(&key.PublicKey) {
		t.Error("no table is about P-521")
	}
}
