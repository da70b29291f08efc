package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
)

// batch is how many events one transaction seals: enough to be fast, few enough
// not to hold SQLite's writer for long.
const batch = 1024

// Options are what a Log needs. DB, Origin and Signer are required.
type Options struct {
	DB     *db.DB
	Origin string // first line of the checkpoints, as "example.org/log"
	// Signer returns the key that signs now. It is asked for each checkpoint, so
	// that a rotation needs no restart.
	Signer     func(ctx context.Context) (note.Signer, error)
	Every      time.Duration // Run's pause between two seals; 0 means 1 s
	Witnesses  []*Witness    // asked by Run for cosignatures
	HTTP       *http.Client  // how they are asked; nil means with a timeout of 10 s, following no redirect
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Log seals what was appended and serves what was sealed. It is safe for
// concurrent use, also by several processes on one database.
type Log struct {
	db        *db.DB
	origin    string
	signer    func(ctx context.Context) (note.Signer, error)
	every     time.Duration
	witnesses []*Witness
	client    *http.Client
	now       func() time.Time
	log       *slog.Logger
	metrics   *metrics
}

// New returns a Log. It panics if a required option is missing or if the
// metrics are registered already, which can only happen at start-up.
func New(o Options) *Log {
	if o.DB == nil || o.Origin == "" || o.Signer == nil {
		panic("new audit log: a database, an origin and a signer are required")
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.HTTP == nil {
		o.HTTP = witnessClient()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Log{db: o.DB, origin: o.Origin, signer: o.Signer, every: o.Every, witnesses: o.Witnesses, client: o.HTTP,
		now: o.Now, log: o.Logger, metrics: newMetrics(o.Registerer)}
}

// Run seals until ctx ends, and returns nil then. A failure is logged, counted
// and tried again: events stay pending meanwhile, and nothing is lost. Beside that
// it asks the witnesses; one that is away delays nothing but its own signature.
func (l *Log) Run(ctx context.Context) error {
	var following sync.WaitGroup
	defer following.Wait()
	wake := make([]chan struct{}, len(l.witnesses))
	for i, w := range l.witnesses {
		wake[i] = make(chan struct{}, 1)
		following.Go(func() { l.follow(ctx, w, wake[i]) })
	}
	ticker := time.NewTicker(l.every)
	defer ticker.Stop()
	for size := int64(-1); ; {
		c, err := l.Seal(ctx)
		if err != nil && ctx.Err() == nil {
			l.log.ErrorContext(ctx, "seal audit log", slog.Any("error", err))
		}
		if err == nil && c.Size != size {
			size = c.Size
			poke(wake)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// poke wakes those who are not awake already.
func poke(wake []chan struct{}) {
	for _, c := range wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Seal seals every event that was committed before the call and returns a
// checkpoint that covers them. It may be called by several sequencers at once.
// Of what was to be erased it then empties what that checkpoint lets it.
func (l *Log) Seal(ctx context.Context) (Checkpoint, error) {
	start := time.Now()
	c, err := l.seal(ctx)
	if err != nil {
		l.metrics.failed.Inc()
		return Checkpoint{}, fmt.Errorf("seal: %w", err)
	}
	l.metrics.size.Set(float64(c.Size))
	l.metrics.seal.Observe(time.Since(start).Seconds())
	if err := l.wipe(ctx, c.Size); err != nil && ctx.Err() == nil { // the next call tries again
		l.log.ErrorContext(ctx, "erase events", slog.Any("error", err))
	}
	return c, nil
}

func (l *Log) seal(ctx context.Context) (Checkpoint, error) {
	if err := l.countPending(ctx); err != nil {
		return Checkpoint{}, err
	}
	for {
		s, err := l.next(ctx)
		if err != nil {
			return Checkpoint{}, err
		}
		if len(s.ids) == 0 {
			return l.sign(ctx)
		}
		switch err := l.commit(ctx, s); {
		case errors.Is(err, errLost):
			l.metrics.lost.Inc()
		case err != nil:
			return Checkpoint{}, err
		case len(s.ids) < batch:
			return l.sign(ctx)
		}
	}
}

func (l *Log) countPending(ctx context.Context) error {
	return l.db.Read(ctx, func(tx db.Tx) error {
		var n int64
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM audit_events WHERE seq IS NULL`).Scan(&n)
		l.metrics.pending.Set(float64(n))
		return err
	})
}

// step is one batch of pending events and the tree with them.
type step struct {
	old, new head
	ids      []string
	tiles    map[place]*tile
}

// next computes the next step from one state of the database. It changes nothing.
func (l *Log) next(ctx context.Context) (*step, error) {
	var (
		s       *step
		e       *edge
		entries [][]byte
	)
	err := l.db.Read(ctx, func(tx db.Tx) error {
		old, err := readHead(ctx, tx)
		if err != nil {
			return err
		}
		s = &step{old: old}
		if s.ids, entries, err = pending(ctx, tx); err != nil || len(s.ids) == 0 {
			return err
		}
		m, err := readTiles(ctx, tx, rightmost(old.size))
		e = &edge{old.size, m}
		return err
	})
	if err != nil || len(s.ids) == 0 {
		return s, err
	}
	if err := checkEdge(e, s.old); err != nil {
		return nil, err
	}
	for i, entry := range entries {
		e.add(tlog.RecordHash(entry), s.ids[i])
	}
	root, err := e.root()
	s.new, s.tiles = head{e.size, root}, e.tiles
	return s, err
}

const pendingQuery = `SELECT id, entry FROM audit_events WHERE seq IS NULL ORDER BY at, id LIMIT $1`

// pending returns the first batch in the order (at, id).
func pending(ctx context.Context, tx db.Tx) (ids []string, entries [][]byte, err error) {
	rows, err := tx.QueryContext(ctx, pendingQuery, batch)
	if err != nil {
		return nil, nil, fmt.Errorf("read pending events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var entry []byte
		if err := rows.Scan(&id, &entry); err != nil {
			return nil, nil, fmt.Errorf("read pending events: %w", err)
		}
		ids, entries = append(ids, id), append(entries, entry)
	}
	return ids, entries, rows.Err()
}

// errLost means that another sequencer was faster.
var errLost = errors.New("another sequencer sealed first")

// commit stores a step if the head is still the one that it started from.
func (l *Log) commit(ctx context.Context, s *step) error {
	return l.db.Update(ctx, func(tx db.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE audit_head SET size = $1, hash = $2 WHERE one = 1 AND size = $3 AND hash = $4`,
			s.new.size, s.new.hash[:], s.old.size, s.old.hash[:])
		if err != nil {
			return fmt.Errorf("move head: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errLost, err)
		}
		if err := number(ctx, tx, s.ids, s.old.size); err != nil {
			return err
		}
		return writeTiles(ctx, tx, s.tiles)
	})
}

const numberRows = 128 // events that one statement numbers, a power of two

// number gives the events their sequence numbers from first on. A statement has
// as many rows as the next power of two, the last row repeated, so that both
// engines keep few texts prepared.
func number(ctx context.Context, tx db.Tx, ids []string, first int64) error {
	for len(ids) > 0 {
		n := min(len(ids), numberRows)
		size := bits.Len(uint(n - 1))
		args := make([]any, 0, 2<<size)
		for i := range 1 << size {
			i = min(i, n-1)
			args = append(args, ids[i], first+int64(i))
		}
		result, err := tx.ExecContext(ctx, numberQueries[size], args...)
		if err != nil {
			return fmt.Errorf("number events: %w", err)
		}
		if done, err := result.RowsAffected(); err != nil || done != int64(n) {
			return errors.Join(fmt.Errorf("number events: %d of %d rows are pending", done, n), err)
		}
		ids, first = ids[n:], first+int64(n)
	}
	return nil
}

// numberQueries use the names that both engines give to the columns of VALUES.
// The casts of the first row tell PostgreSQL the types of the others. A plain
// seq IS NULL would make SQLite walk through all that is pending.
var numberQueries = func() (queries [8]string) {
	for i := range queries {
		values := db.Values(1<<i, 2)[len("($1,$2)"):]
		queries[i] = `UPDATE audit_events SET seq = given.column2
			FROM (VALUES (CAST($1 AS TEXT), CAST($2 AS BIGINT))` + values + `) AS given
			WHERE audit_events.id = given.column1 AND COALESCE(audit_events.seq, -1) = -1`
	}
	return queries
}()
