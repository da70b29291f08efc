package profile

import (
	"math/big"
	"sync"
)

// smallPrimes is the product of the odd primes below 2^16, 93,000 bits. A modulus
// that shares a factor with it was made by something broken. It is computed once.
var smallPrimes = sync.OnceValue(func() *big.Int { return product(primesBelow(1 << 16)[1:]) })

// primesBelow returns the primes below n by the sieve of Eratosthenes.
func primesBelow(n int) []uint64 {
	composite := make([]bool, n)
	var list []uint64
	for i := 2; i < n; i++ {
		if composite[i] {
			continue
		}
		list = append(list, uint64(i))
		for j := i * i; j < n; j += i {
			composite[j] = true
		}
	}
	return list
}

// product multiplies halves, which keeps the factors of like size.
func product(list []uint64) *big.Int {
	switch len(list) {
	case 0:
		return big.NewInt(1)
	case 1:
		return new(big.Int).SetUint64(list[0])
	}
	half := len(list) / 2
	p := product(list[:half])
	return p.Mul(p, product(list[half:]))
}

// hasSmallFactor reports whether a prime below 2^16 divides the odd number n.
func hasSmallFactor(n *big.Int) bool {
	p := new(big.Int).Mod(smallPrimes(), n)
	return p.GCD(nil, nil, p, n).BitLen() != 1
}
