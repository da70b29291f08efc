package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

const (
	witnessAttempts = 4 // of one call: other replicas ask the same witness
	witnessPause    = time.Second
	maxWitnessPause = time.Minute
)

// Cosign asks every witness for a cosignature on the newest checkpoint and stores
// what they answer. What went wrong is logged and counted for each; the error
// joins it, with ErrRolledBack and ErrNotContinued in its chain where a witness
// knows what this log denies. While nothing is sealed it does nothing.
func (l *Log) Cosign(ctx context.Context) error {
	var errs []error
	for _, w := range l.witnesses {
		errs = append(errs, l.ask(ctx, w))
	}
	return errors.Join(errs...)
}

// follow asks one witness whenever a checkpoint was signed, until ctx ends. One
// that is away is asked less and less often; sealing does not wait for it.
func (l *Log) follow(ctx context.Context, w *Witness, wake <-chan struct{}) {
	pause := time.Duration(0)
	for {
		next := wake
		var again <-chan time.Time
		if pause > 0 { // a new checkpoint does not shorten it
			next, again = nil, time.After(pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-again:
		}
		if l.ask(ctx, w) == nil {
			pause = 0
		} else {
			pause = min(max(2*pause, witnessPause), maxWitnessPause)
		}
	}
}

// ask asks one witness, logs and counts what came of it.
func (l *Log) ask(ctx context.Context, w *Witness) error {
	size, err := l.cosign(ctx, w)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.metrics.witness.WithLabelValues(w.name, outcome(err)).Inc()
	if err == nil {
		l.metrics.witnessed.WithLabelValues(w.name).Set(float64(size))
		return nil
	}
	level := slog.LevelWarn
	if errors.Is(err, ErrRolledBack) || errors.Is(err, ErrNotContinued) {
		level = slog.LevelError
	}
	l.log.Log(ctx, level, "ask witness", slog.String("witness", w.name), slog.Any("error", err))
	return fmt.Errorf("witness %s: %w", w.name, err)
}

// cosign asks one witness and returns the size that it has cosigned, 0 while
// nothing is sealed. The first attempt starts from what it has cosigned before as
// far as the database knows; it may know better.
func (l *Log) cosign(ctx context.Context, w *Witness) (size int64, err error) {
	old := int64(-1)
	for range witnessAttempts {
		s, err := l.submission(ctx, w, old)
		if err != nil || s.done {
			return s.Size, err
		}
		line, err := w.submit(ctx, l.client, s.old, s.proof, s.Checkpoint)
		var taken *conflict
		switch {
		case err == nil:
			return s.Size, l.keep(ctx, w, s.Size, line)
		case !errors.As(err, &taken):
			return 0, err
		case taken.size == s.old:
			return 0, ErrNotContinued // it is where it was told, and refuses: another root
		}
		old = taken.size
	}
	return 0, fault.New(fault.Unavailable, "the witness was asked by others at the same time")
}

// submission is what is sent to a witness.
type submission struct {
	Checkpoint
	old   int64
	proof tlog.TreeProof
	done  bool // there is nothing to ask for
}

// submission reads the newest checkpoint and the proof that it continues the log
// of size old, or with old < 0 the one that the witness cosigned last. It fails
// with ErrRolledBack when there is no such size yet.
func (l *Log) submission(ctx context.Context, w *Witness, old int64) (s submission, err error) {
	err = l.db.Read(ctx, func(tx db.Tx) error {
		s = submission{old: old}
		c, err := latest(ctx, tx)
		if errors.Is(err, ErrNoCheckpoint) {
			s.done = true
			return nil
		}
		if err != nil {
			return err
		}
		s.Checkpoint = c
		if old < 0 {
			if s.old, err = lastCosigned(ctx, tx, w); err != nil {
				return err
			}
			s.done = s.old == c.Size
		}
		if s.old > c.Size {
			return ErrRolledBack
		}
		if s.old > 0 && s.old < c.Size {
			if s.proof, err = tlog.ProveTree(c.Size, s.old, stored{ctx, tx}); err != nil {
				return fmt.Errorf("prove consistency: %w", err)
			}
		}
		return nil
	})
	return s, err
}

func lastCosigned(ctx context.Context, tx db.Tx, w *Witness) (size int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT COALESCE(max(size), 0) FROM audit_cosignatures WHERE witness = $1`, w.id()).Scan(&size)
	if err != nil {
		return 0, fmt.Errorf("read cosignatures: %w", err)
	}
	return size, nil
}

// keep stores a cosignature.
func (l *Log) keep(ctx context.Context, w *Witness, size int64, line string) error {
	err := l.db.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_cosignatures (size, witness, line, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (size, witness) DO NOTHING`, size, w.id(), line, db.Micros(l.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("store cosignature: %w", err)
	}
	return nil
}

// Cosigned returns the newest checkpoint with the cosignatures that it has so far,
// ErrNoCheckpoint if nothing was sealed.
func (l *Log) Cosigned(ctx context.Context) (c Checkpoint, err error) {
	err = l.db.Read(ctx, func(tx db.Tx) error {
		if c, err = latest(ctx, tx); err != nil {
			return err
		}
		c, err = withCosignatures(ctx, tx, c)
		return err
	})
	return c, err
}

// withCosignatures adds the stored cosignatures to a checkpoint. A line that is no
// signature, or too much, is left out: others must be able to read the rest.
func withCosignatures(ctx context.Context, tx db.Tx, c Checkpoint) (Checkpoint, error) {
	rows, err := tx.QueryContext(ctx, `SELECT line FROM audit_cosignatures WHERE size = $1 ORDER BY witness`, c.Size)
	if err != nil {
		return c, fmt.Errorf("read cosignatures: %w", err)
	}
	defer func() { _ = rows.Close() }()
	c.Note = bytes.Clone(c.Note)
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return c, fmt.Errorf("read cosignatures: %w", err)
		}
		if isSignatureLine(line) && len(c.Note)+len(line) <= MaxCheckpoint {
			c.Note = append(c.Note, line...)
		}
	}
	if err := rows.Err(); err != nil {
		return c, fmt.Errorf("read cosignatures: %w", err)
	}
	return c, nil
}
