package lint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "embed" // the tables
	"encoding/binary"
)

//go:generate go test -count=1 -run ^TestSmallKeyTables$ . -update

// smallKey is zlint's rule against private keys from 1 to mostSmall, and the group's
// order less these, which anybody finds. It adds twenty points for each certificate:
// half of the time of all rules. The tables spare nearly all keys that.
const (
	smallKey  = "e_ecdsa_small_private_key"
	mostSmall = 1 << 16
)

// A table is a Bloom filter: a point's x coordinate names eight of its 2^20 bits, by
// its first eight groups of 20. All that small keys name are set, two in five.
const (
	groupBits = 20
	groups    = 8
)

var (
	//go:embed smallkeys_p256.bin
	smallP256 string
	//go:embed smallkeys_p384.bin
	smallP384 string
)

// maybeSmall reports whether the rule must look at a key. It is true for every small
// one, for keys on other curves than P-256 and P-384, and by chance for 1 of 1,700 others.
func maybeSmall(pub *ecdsa.PublicKey) bool {
	var table string
	switch pub.Curve {
	case elliptic.P256():
		table = smallP256
	case elliptic.P384():
		table = smallP384
	default:
		return true
	}
	point, err := pub.Bytes()
	if err != nil { // not on its curve: other rules' business
		return true
	}
	for _, at := range smallBits(point) {
		if table[at>>3]>>(at&7)&1 == 0 {
			return false
		}
	}
	return true
}

// smallBits returns the bits of an uncompressed point (SEC 1 section 2.3.3). A point
// and its negative have the same.
func smallBits(point []byte) (bits [groups]uint32) {
	for i := range bits {
		at := i * groupBits // in x, from its first bit; whole bytes and perhaps half a one
		bits[i] = binary.BigEndian.Uint32(point[1+at/8:]) << (at % 8) >> (32 - groupBits)
	}
	return bits
}
