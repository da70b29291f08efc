package audit

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// MaxCheckpoint bounds a signed checkpoint, in bytes.
const MaxCheckpoint = 64 << 10

// Checkpoint is the log's signed state at one size: a signed note whose text is
// that of C2SP tlog-checkpoint.
type Checkpoint struct {
	Origin string // the log's name
	Size   int64
	Hash   [32]byte // of the tree of RFC 6962
	Note   []byte   // the whole, with its signatures
}

// ErrNoCheckpoint is returned while nothing has been sealed.
var ErrNoCheckpoint = fault.New(fault.NotFound, "the log has no checkpoint yet")

// errKey means that none of the known keys has signed a checkpoint.
var errKey = fault.New(fault.Invalid, "the checkpoint is not signed by a known key")

// OpenCheckpoint parses a signed checkpoint. It fails with kind Invalid unless one
// of the verifiers has signed it; signatures of others are ignored, as C2SP
// signed-note requires.
func OpenCheckpoint(b []byte, verifiers ...note.Verifier) (Checkpoint, error) {
	c, err := parseCheckpoint(b)
	if err != nil {
		return Checkpoint{}, err
	}
	_, err = note.Open(b, note.VerifierList(verifiers...))
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unknown):
		return Checkpoint{}, errKey
	case err != nil:
		return Checkpoint{}, fault.Wrap(fault.Invalid, "the checkpoint's signature is wrong", err)
	}
	return c, nil
}

// parseCheckpoint reads a signed checkpoint without looking at its signatures.
func parseCheckpoint(b []byte) (Checkpoint, error) {
	if len(b) > MaxCheckpoint {
		return Checkpoint{}, fault.New(fault.TooLarge, "the checkpoint is too large")
	}
	text, _, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return Checkpoint{}, errCheckpoint
	}
	c, err := parseBody(text + "\n")
	c.Note = b
	return c, err
}

var errCheckpoint = fault.New(fault.Invalid, "this is no checkpoint")

// parseBody reads the text of a checkpoint, https://c2sp.org/tlog-checkpoint:
// origin, size, root hash, and extension lines that nobody need understand.
func parseBody(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return Checkpoint{}, errCheckpoint
	}
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			return Checkpoint{}, errCheckpoint
		}
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, errCheckpoint
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(hash) != tlog.HashSize || strings.Contains(lines[2], "\r") {
		return Checkpoint{}, errCheckpoint
	}
	return Checkpoint{Origin: lines[0], Size: size, Hash: [32]byte(hash)}, nil
}

// formatBody is the inverse of parseBody.
func formatBody(origin string, size int64, hash tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(hash[:]))
}

// latest returns the newest stored checkpoint, ErrNoCheckpoint if there is none.
func latest(ctx context.Context, tx db.Tx) (Checkpoint, error) {
	var b []byte
	err := tx.QueryRowContext(ctx, `SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1`).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return Checkpoint{}, ErrNoCheckpoint
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	c, err := parseCheckpoint(b)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read checkpoint: stored one is malformed")
	}
	return c, nil
}

// Latest returns the newest checkpoint, ErrNoCheckpoint if nothing was sealed.
func (l *Log) Latest(ctx context.Context) (c Checkpoint, err error) {
	err = l.db.Read(ctx, func(tx db.Tx) error {
		c, err = latest(ctx, tx)
		return err
	})
	return c, err
}

// sign signs the committed head and stores the checkpoint, unless the newest one
// covers it already.
func (l *Log) sign(ctx context.Context) (c Checkpoint, err error) {
	var h head
	err = l.db.Read(ctx, func(tx db.Tx) error {
		if h, err = readHead(ctx, tx); err != nil {
			return err
		}
		c, err = latest(ctx, tx)
		return err
	})
	switch {
	case err == nil && c.Size == h.size && c.Hash == [32]byte(h.hash):
		return c, nil
	case err == nil && c.Size >= h.size:
		return Checkpoint{}, errors.New("sign checkpoint: the log has shrunk below, or differs from, its newest checkpoint")
	case err != nil && !errors.Is(err, ErrNoCheckpoint):
		return Checkpoint{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	signer, err := l.signer(ctx)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	b, err := note.Sign(&note.Note{Text: formatBody(l.origin, h.size, h.hash)}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	err = l.db.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_checkpoints (size, hash, note, signed) VALUES ($1, $2, $3, $4)
			ON CONFLICT (size) DO NOTHING`, h.size, h.hash[:], b, db.Micros(l.now()))
		return err
	})
	if err != nil {
		return Checkpoint{}, fmt.Errorf("store checkpoint: %w", err)
	}
	return Checkpoint{Origin: l.origin, Size: h.size, Hash: h.hash, Note: b}, nil
}
