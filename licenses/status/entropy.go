package status

import "math"

// Entropy returns the bytes below which no encoding can fall on average that
// says of each of n permits whether it is valid, revoked or suspended, when any
// of them may be listed: the floor that snapshots are measured against.
func Entropy(n, revoked, suspended int) float64 {
	bits := 0.0
	for _, k := range []int{revoked, suspended, n - revoked - suspended} {
		if k > 0 {
			bits -= float64(k) * math.Log2(float64(k)/float64(n))
		}
	}
	return bits / 8
}
