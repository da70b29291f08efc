package trust

import (
	"fmt"
	"time"
)

const maxCheckpoint = 8 << 10 // bytes

// SignHead signs a head, by status signers. It refuses one that ParseHead would
// refuse.
func SignHead(h Head, signers ...KeySigner) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	payload, err := encode(h)
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	b, err := sign(TypeHead, payload, MaxHead, signers)
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	return b, nil
}

// ParseHead reads a head without verifying who signed it.
func ParseHead(b []byte) (Head, error) {
	h, _, err := parseHead(b)
	if err != nil {
		return Head{}, fmt.Errorf("parse head: %w", err)
	}
	return h, nil
}

func parseHead(b []byte) (Head, *file, error) {
	f, err := parseFile(b, MaxHead, TypeHead)
	if err != nil {
		return Head{}, nil, err
	}
	var h Head
	if err := decode(f.payload, &h); err != nil {
		return Head{}, nil, err
	}
	return h, f, h.check()
}

// OpenHead reads a head by a status signer of a root statement that OpenRoot or
// OpenBundle returned. It must have begun and not expired.
func OpenHead(b []byte, root RootStatement, now time.Time) (Head, error) {
	h, f, err := parseHead(b)
	if err != nil {
		return Head{}, fmt.Errorf("open head: %w", err)
	}
	if err := f.verify(TypeHead, permitted(root.Status, h.IssuedAt)); err != nil {
		return Head{}, fmt.Errorf("open head: %w", err)
	}
	if err := current(h.IssuedAt, h.Expires, now); err != nil {
		return Head{}, fmt.Errorf("open head: %w", err)
	}
	return h, nil
}

func (h Head) check() error {
	if h.BundleSeq == 0 || h.BundleSeq > maxInteger || h.SnapshotSeq == 0 || h.SnapshotSeq > maxInteger {
		return malformed("seq out of range")
	}
	if len(h.Checkpoint) > maxCheckpoint {
		return fmt.Errorf("%w: checkpoint", ErrTooLarge)
	}
	return checkTimes(h.IssuedAt, h.Expires, MaxHeadLife)
}
