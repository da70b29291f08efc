package status

import (
	"crypto/aes"
	"encoding/binary"
	"fmt"
)

// rounds is as many as FF1 has (NIST SP 800-38G).
const rounds = 10

const half = 10 // bits of each half of an index

// Permute returns the index of the n-th credential of a list: a permutation of
// 0 … ListSize-1, another for each list, that nobody without the key can tell
// from a random one. An index so tells nothing about when it was given, and no
// two of a list are equal.
//
// It is a balanced Feistel network over 10 and 10 bits whose round function is
// AES-256 of the list, the round and the half. It panics if n is not below
// ListSize: wrapping around would give an index twice.
func Permute(key [32]byte, list, n uint32) uint32 {
	if n >= ListSize {
		panic(fmt.Sprintf("status: no index %d in a list", n))
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	var b [aes.BlockSize]byte
	left, right := n>>half, n&(1<<half-1)
	for round := range uint32(rounds) {
		copy(b[:], "ELR1")
		binary.BigEndian.PutUint32(b[4:], list)
		binary.BigEndian.PutUint32(b[8:], round)
		binary.BigEndian.PutUint32(b[12:], right)
		block.Encrypt(b[:], b[:])
		left, right = right, left^binary.BigEndian.Uint32(b[:])>>(32-half)
	}
	return left<<half | right
}
