package audit

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/fault"
)

// Remote is a log that is read from outside, as Mount serves it.
type Remote struct {
	// Fetch returns what stands at a path below the log's address.
	Fetch func(ctx context.Context, path string) ([]byte, error)
	// Verifiers returns the keys of the log of that name.
	Verifiers func(origin string) ([]note.Verifier, error)
}

// Scan reads the whole log and calls each with the place and the 32 bytes of every
// entry, that of a certificate being the hash of its DER. Only when it returns without
// an error are these the entries of the checkpoint that it returns: it computes the
// root of the tree (RFC 6962 section 2.1) from nothing but the entries. It fails with kind
// Invalid if that is another one, or if a signature or a bundle is wrong.
func (r Remote) Scan(ctx context.Context, each func(index int64, entry [32]byte)) (Checkpoint, error) {
	c, err := r.checkpoint(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	var tree frontier
	for n := int64(0); n*tileWidth < c.Size; n++ {
		t := tilePath{entries: true, n: n, width: min(tileWidth, c.Size-n*tileWidth)}
		b, err := r.Fetch(ctx, "tile/"+t.String())
		if err != nil {
			return Checkpoint{}, fmt.Errorf("fetch entries: %w", err)
		}
		for range t.width {
			if len(b) < 2+tlog.HashSize || binary.BigEndian.Uint16(b) != tlog.HashSize {
				return Checkpoint{}, errBundle
			}
			entry := [32]byte(b[2:])
			each(tree.size, entry)
			tree.push(tlog.RecordHash(entry[:]))
			b = b[2+tlog.HashSize:]
		}
		if len(b) > 0 {
			return Checkpoint{}, errBundle
		}
	}
	if tree.root() != tlog.Hash(c.Hash) {
		return Checkpoint{}, fault.New(fault.Invalid, "the entries are not those that the log's key has signed")
	}
	return c, nil
}

var errBundle = fault.New(fault.Invalid, "a bundle of entries is malformed")

func (r Remote) checkpoint(ctx context.Context) (Checkpoint, error) {
	b, err := r.Fetch(ctx, "checkpoint")
	if err != nil {
		return Checkpoint{}, fmt.Errorf("fetch checkpoint: %w", err)
	}
	claimed, err := parseCheckpoint(b)
	if err != nil {
		return Checkpoint{}, err
	}
	verifiers, err := r.Verifiers(claimed.Origin)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := OpenCheckpoint(b, verifiers...)
	if err != nil {
		return Checkpoint{}, err
	}
	for _, v := range verifiers {
		if v.Name() == c.Origin {
			return c, nil
		}
	}
	return Checkpoint{}, fault.New(fault.Invalid, "the checkpoint is of another log")
}
