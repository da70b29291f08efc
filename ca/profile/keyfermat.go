package profile

import "math/big"

// fermatRounds is how many steps Fermat's method gets: 100 find primes that agree
// in about half of their bits and a few more, which is what broken generators
// (CVE-2022-26320) make. Primes chosen at random are out of its reach.
const fermatRounds = 100

// hasClosePrimes reports whether Fermat's method factors the odd number n: it looks
// for a square a² above n whose distance from n is a square too.
func hasClosePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) < 0 {
		a.Add(a, big.NewInt(1))
	}
	one, root, square := big.NewInt(1), new(big.Int), new(big.Int)
	rest := new(big.Int).Mul(a, a)
	rest.Sub(rest, n)
	for range fermatRounds {
		if mayBeSquare(rest) && square.Mul(root.Sqrt(rest), root).Cmp(rest) == 0 {
			return true
		}
		rest.Add(rest, a).Add(rest, a).Add(rest, one) // (a+1)² = a² + 2a + 1
		a.Add(a, one)
	}
	return false
}

// mayBeSquare spares five in six numbers the square root: the squares modulo 64 are
// twelve.
func mayBeSquare(n *big.Int) bool {
	var low uint64
	for i := range 6 {
		low |= uint64(n.Bit(i)) << i
	}
	const squares = 1<<0 | 1<<1 | 1<<4 | 1<<9 | 1<<16 | 1<<17 | 1<<25 | 1<<33 | 1<<36 | 1<<41 | 1<<49 | 1<<57
	return squares>>low&1 == 1
}
