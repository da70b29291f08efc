package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Inclusion shows that a log contains an entry: tlog.CheckRecord(Path,
// Checkpoint.Size, Checkpoint.Hash, Index, tlog.RecordHash(Entry)) returns nil.
type Inclusion struct {
	Index      int64
	Entry      []byte
	Path       tlog.RecordProof
	Checkpoint Checkpoint // the newest
}

// Inclusion returns the proof for an event under the newest checkpoint. It fails
// with kind NotFound for an unknown event and with kind Unavailable for one that
// waits to be sealed.
func (l *Log) Inclusion(ctx context.Context, eventID string) (p Inclusion, err error) {
	err = l.db.Read(ctx, func(tx db.Tx) error {
		var seq sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT seq, entry FROM audit_events WHERE id = $1`, eventID).Scan(&seq, &p.Entry)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "the log has no such event")
		}
		if err != nil {
			return fmt.Errorf("prove inclusion: %w", err)
		}
		p.Checkpoint, err = latest(ctx, tx)
		if err != nil && !errors.Is(err, ErrNoCheckpoint) {
			return err
		}
		if !seq.Valid || seq.Int64 >= p.Checkpoint.Size {
			return errNotSealed
		}
		p.Index = seq.Int64
		p.Path, err = tlog.ProveRecord(p.Checkpoint.Size, p.Index, stored{ctx, tx})
		if err != nil {
			return fmt.Errorf("prove inclusion: %w", err)
		}
		return nil
	})
	return p, err
}

// Consistency returns the proof that the log of size newer continues the log of
// size older, for tlog.CheckTree. It fails with kind Invalid unless 0 < older ≤
// newer ≤ the size of the newest checkpoint.
func (l *Log) Consistency(ctx context.Context, older, newer int64) (proof tlog.TreeProof, err error) {
	err = l.db.Read(ctx, func(tx db.Tx) error {
		c, err := latest(ctx, tx)
		if err != nil {
			return err
		}
		if older < 1 || older > newer || newer > c.Size {
			return fault.New(fault.Invalid, "the sizes are not in order or beyond the newest checkpoint")
		}
		proof, err = tlog.ProveTree(newer, older, stored{ctx, tx})
		if err != nil {
			return fmt.Errorf("prove consistency: %w", err)
		}
		return nil
	})
	return proof, err
}
