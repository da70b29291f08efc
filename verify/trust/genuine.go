package trust

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
)

// genuineSize is the bytes of one entry: SHA-256 of a Sig_structure, cut.
const genuineSize = 16

// Genuine is the file of the permits that a key signed before it was stolen,
// from log entries of before that time. A bundle names it by its hash.
type Genuine struct {
	hash    [32]byte
	entries []byte
}

// EncodeGenuine returns the file: the hashes (permit.SigStructureHash) sorted,
// each once, with nothing between them.
func EncodeGenuine(hashes [][genuineSize]byte) ([]byte, error) {
	all := slices.Clone(hashes)
	slices.SortFunc(all, func(a, b [genuineSize]byte) int { return bytes.Compare(a[:], b[:]) })
	all = slices.Compact(all)
	if len(all)*genuineSize > MaxGenuine {
		return nil, fmt.Errorf("encode genuine file: %w", ErrTooLarge)
	}
	b := make([]byte, 0, len(all)*genuineSize)
	for _, h := range all {
		b = append(b, h[:]...)
	}
	return b, nil
}

// ParseGenuine reads a genuine file, and keeps b. It refuses a length that is no
// multiple of 16 and entries that do not rise. The file is not signed: it counts
// only for a key whose bundle entry names its hash.
func ParseGenuine(b []byte) (*Genuine, error) {
	if len(b) > MaxGenuine {
		return nil, fmt.Errorf("parse genuine file: %w", ErrTooLarge)
	}
	if len(b)%genuineSize != 0 {
		return nil, fmt.Errorf("parse genuine file: %w", malformed("length"))
	}
	for i := genuineSize; i < len(b); i += genuineSize {
		if bytes.Compare(b[i-genuineSize:i], b[i:i+genuineSize]) >= 0 {
			return nil, fmt.Errorf("parse genuine file: %w", malformed("entries not in order or twice"))
		}
	}
	return &Genuine{hash: Hash(b), entries: b}, nil
}

// Hash names the file.
func (g *Genuine) Hash() [32]byte { return g.hash }

// Contains says whether the permit with this hash of its Sig_structure is
// genuine.
func (g *Genuine) Contains(hash [genuineSize]byte) bool {
	_, ok := sort.Find(len(g.entries)/genuineSize, func(i int) int {
		return bytes.Compare(hash[:], g.entries[i*genuineSize:(i+1)*genuineSize])
	})
	return ok
}
