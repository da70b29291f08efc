package profile_test

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"

	"github.com/signet-city/signet/ca/profile"
)

// The weak keys are made here, by the recipes that the attacks were published with.

// nextPrime returns the first prime from n on.
func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).SetBit(new(big.Int).Set(n), 0, 1)
	for !p.ProbablyPrime(20) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

// randomTop returns a random number of so many bits whose two highest are set, so
// that the product of two has twice as many.
func randomTop(t testing.TB, bits uint) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits-2))
	if err != nil {
		t.Fatal(err)
	}
	return n.Add(n, new(big.Int).Lsh(big.NewInt(3), bits-2))
}

func public(p, q *big.Int) *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}
}

// rocaPrime makes a prime k·M + (65537^a mod M), with M the product of the first 126
// primes, as for keys of 2048 bits.
func rocaPrime(t testing.TB) *big.Int {
	t.Helper()
	m := big.NewInt(1)
	for p, n := int64(2), 0; n < 126; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
			n++
		}
	}
	for {
		a, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 60))
		if err != nil {
			t.Fatal(err)
		}
		p := new(big.Int).Div(randomTop(t, 1024), m)
		p.Mul(p, m).Add(p, new(big.Int).Exp(big.NewInt(65537), a, m))
		if p.BitLen() == 1024 && p.ProbablyPrime(20) {
			return p
		}
	}
}

func TestWeakRSA(t *testing.T) {
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := good.Primes[0]
	near := new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 500)) // agrees with p in its upper half
	withFactor := func(f int64) *rsa.PublicKey {
		bits := uint(2048 - big.NewInt(f).BitLen() + 1)
		for {
			k := public(big.NewInt(f), nextPrime(randomTop(t, bits)))
			if k.N.BitLen() == 2048 {
				return k
			}
			bits += uint(2048) - uint(k.N.BitLen())
		}
	}
	for name, tt := range map[string]struct {
		key  *rsa.PublicKey
		want string
	}{
		"factor 3":              {withFactor(3), "small factor"},
		"factor 65521":          {withFactor(65521), "small factor"}, // the largest prime below 2^16
		"twin primes":           {public(p, nextPrime(new(big.Int).Add(p, big.NewInt(2)))), "too close"},
		"primes with one half":  {public(p, nextPrime(near)), "too close"},
		"a square":              {public(p, p), "too close"},
		"ROCA":                  {public(rocaPrime(t), rocaPrime(t)), "ROCA"},
		"exponent 3":            {&rsa.PublicKey{N: good.N, E: 3}, "exponent"},
		"exponent 1":            {&rsa.PublicKey{N: good.N, E: 1}, "exponent"},
		"even":                  {&rsa.PublicKey{N: new(big.Int).SetBit(good.N, 0, 0), E: 65537}, "odd"},
		"2047 bits":             {&rsa.PublicKey{N: new(big.Int).Rsh(good.N, 1), E: 65537}, "bits"},
		"8192 bits":             {&rsa.PublicKey{N: new(big.Int).Lsh(good.N, 6144), E: 65537}, "bits"},
		"no modulus":            {&rsa.PublicKey{E: 65537}, "bits"},
		"one ROCA prime is not": {public(rocaPrime(t), good.Primes[0]), ""},
		"factor 65537":          {withFactor(65537), ""}, // beyond what is looked for
	} {
		err := profile.CheckKey(profile.SystemServer, tt.key)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestGoodRSA: what crypto/rsa makes passes, in each size.
func TestGoodRSA(t *testing.T) {
	for _, bits := range []int{2048, 2048, 2048, 3072, 4096} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		if err := profile.CheckKey(profile.Firm, k.Public()); err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func BenchmarkCheckKeyRSA(b *testing.B) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := profile.CheckKey(profile.Firm, k.Public()); err != nil {
			b.Fatal(err)
		}
	}
}
