package profile

import (
	"math/big"
	"sync"
)

// ROCA (CVE-2017-15361; Nemec and others, "The Return of Coppersmith's Attack", CCS
// 2017): a library of Infineon's made primes of the form k·M + (65537^a mod M), M
// being a product of the first primes. A modulus of two such primes is, modulo each
// prime factor of M, a power of 65537; another one is so for all of them once in 10^8.

// rocaPrime is one factor of M and the powers of 65537 modulo it.
type rocaPrime struct {
	prime  uint64
	powers []bool
}

// rocaPrimes are the odd primes up to 167: M of the smallest keys, 512 bits, has
// them all. Those that 65537 generates say nothing and are left out. It is computed
// once.
var rocaPrimes = sync.OnceValue(func() (list []rocaPrime) {
	for _, p := range primesBelow(168)[1:] {
		one, n := rocaPrime{p, make([]bool, p)}, uint64(0)
		for x := uint64(1); !one.powers[x]; x = x * 65537 % p {
			one.powers[x] = true
			n++
		}
		if n < p-1 {
			list = append(list, one)
		}
	}
	return list
})

// hasROCA reports whether n has the fingerprint.
func hasROCA(n *big.Int) bool {
	r, p := new(big.Int), new(big.Int)
	for _, one := range rocaPrimes() {
		if !one.powers[r.Mod(n, p.SetUint64(one.prime)).Uint64()] {
			return false
		}
	}
	return true
}
