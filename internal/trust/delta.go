package trust

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// A step is what changed between two snapshots that follow each other: for each
// index its list, itself, and the states from which and to which it changed. It is
// stored with the later of them; several in a row make one delta.
const stepEntry = 4 + 4 + 1

const (
	maxDeltas = 64      // that stay in memory
	maxSteps  = 100_000 // that one delta is made of
)

var errNoDelta = fault.New(fault.NotFound, "there is no such delta: fetch /status/snapshot")

// deltaCache holds deltas that were asked for. Its lock is held while one is made:
// one at a time is enough, as all who ask after a change ask for the same few.
type deltaCache struct {
	mu   sync.Mutex
	kept map[[2]uint64]*object
}

// stepFrom returns the step that leads to a snapshot, or nil where none can.
func stepFrom(before, o *object) []byte {
	var old []status.List
	if before != nil {
		old = before.snapshot.Lists
	}
	changes, err := status.Diff(old, o.snapshot.Lists)
	if err != nil || len(changes) > status.MaxChanges {
		return nil
	}
	step := make([]byte, 0, stepEntry*len(changes))
	for _, c := range changes {
		step = binary.BigEndian.AppendUint32(step, c.List)
		step = binary.BigEndian.AppendUint32(step, c.Index)
		step = append(step, byte(c.From)<<4|byte(c.To))
	}
	return step
}

// insertStep stores the step of a new snapshot and drops those that are too old.
func (p *Publisher) insertStep(ctx context.Context, tx db.Tx, o *object, before uint64) error {
	if o.kind != kindSnapshot || o.changes == nil {
		return nil
	}
	now := p.o.Now()
	if _, err := tx.ExecContext(ctx, "INSERT INTO trust_steps (seq, follows, hash, changes, made_at) VALUES ($1, $2, $3, $4, $5)",
		int64(o.seq), int64(before), o.hash[:], o.changes, db.Micros(now)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM trust_steps WHERE made_at < $1", db.Micros(now.Add(-p.o.DeltaLife)))
	return err
}

// getDelta serves the delta between two snapshots, given by their numbers. What is
// served at one address never changes.
func (p *Publisher) getDelta(w http.ResponseWriter, r *http.Request) error {
	from, to, err := parseRange(r.PathValue("range"))
	if err != nil {
		return err
	}
	newest, err := p.find(r.Context(), kindSnapshot)
	if err != nil {
		return err
	}
	if to > newest.seq {
		if err := p.load(r.Context()); err != nil { // another replica may have published it
			return err
		}
		newest = p.current[kindSnapshot].Load()
	}
	if to > newest.seq {
		return errNoDelta
	}
	o, err := p.delta(r.Context(), from, to)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/cbor")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=86400, immutable")
	h.Set("ETag", `"`+hex.EncodeToString(o.hash[:])+`"`)
	http.ServeContent(w, r, "", time.Unix(o.issued, 0), bytes.NewReader(o.body))
	return nil
}

// parseRange reads FROM-TO, two rising numbers in their one decimal form.
func parseRange(text string) (from, to uint64, err error) {
	a, b, ok := strings.Cut(text, "-")
	var errA, errB error
	from, errA = strconv.ParseUint(a, 10, 63)
	to, errB = strconv.ParseUint(b, 10, 63)
	if !ok || errA != nil || errB != nil || text != fmt.Sprintf("%d-%d", from, to) || from == 0 || from >= to {
		return 0, 0, fault.New(fault.Invalid, "a delta is named by the numbers of two snapshots, the earlier first: /status/delta/7-9")
	}
	return from, to, nil
}

// delta returns a delta from memory or makes it.
func (p *Publisher) delta(ctx context.Context, from, to uint64) (*object, error) {
	c := &p.deltas
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.kept[[2]uint64{from, to}]; o != nil {
		return o, nil
	}
	o, err := p.makeDelta(ctx, from, to)
	if err != nil {
		return nil, err
	}
	if c.kept == nil || len(c.kept) >= maxDeltas {
		c.kept = map[[2]uint64]*object{}
	}
	c.kept[[2]uint64{from, to}] = o
	return o, nil
}

func (p *Publisher) makeDelta(ctx context.Context, from, to uint64) (*object, error) {
	var steps []step
	var body []byte
	err := p.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		if steps, err = readSteps(ctx, tx, from, to); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT body FROM trust_objects WHERE kind = $1 AND seq = $2", string(kindSnapshot), int64(to)).Scan(&body)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoDelta
	}
	if err != nil {
		return nil, fmt.Errorf("read steps: %w", err)
	}
	next, err := status.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("make delta: %w", err)
	}
	if next.Hash() != steps[len(steps)-1].hash {
		return nil, fmt.Errorf("make delta: snapshot %d is not what was stored", to)
	}
	delta, err := status.EncodeDelta(status.Mark{Seq: from, Hash: steps[0].hash}, next, join(steps[1:]))
	if errors.Is(err, status.ErrTooLarge) || err == nil && len(delta) >= len(body) {
		return nil, errNoDelta
	}
	if err != nil {
		return nil, fmt.Errorf("make delta: %w", err)
	}
	return &object{body: delta, hash: trust.Hash(delta), issued: next.IssuedAt}, nil
}

// step is a stored step.
type step struct {
	seq, follows uint64
	hash         [32]byte
	changes      []byte
}

// readSteps returns the steps of two snapshots and of all between them, each
// following the one before it. It fails with sql.ErrNoRows where one is missing or
// there is more in them than a delta may hold.
func readSteps(ctx context.Context, tx db.Tx, from, to uint64) ([]step, error) {
	var n, size int64
	if err := tx.QueryRowContext(ctx, "SELECT count(*), COALESCE(sum(length(changes)), 0) FROM trust_steps WHERE seq > $1 AND seq <= $2",
		int64(from), int64(to)).Scan(&n, &size); err != nil {
		return nil, err
	}
	if n > maxSteps || size > stepEntry*status.MaxChanges {
		return nil, sql.ErrNoRows
	}
	rows, err := tx.QueryContext(ctx, "SELECT seq, follows, hash, changes FROM trust_steps WHERE seq >= $1 AND seq <= $2 ORDER BY seq", int64(from), int64(to))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var steps []step
	for rows.Next() {
		var s step
		var seq, follows int64
		var hash []byte
		if err := rows.Scan(&seq, &follows, &hash, &s.changes); err != nil {
			return nil, err
		}
		s.seq, s.follows = uint64(seq), uint64(follows)
		copy(s.hash[:], hash)
		if n := len(steps); n == 0 && s.seq != from || n > 0 && s.follows != steps[n-1].seq {
			return nil, sql.ErrNoRows
		}
		steps = append(steps, s)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(steps) < 2 || steps[len(steps)-1].seq != to {
		return nil, sql.ErrNoRows
	}
	return steps, nil
}

// join returns what several steps in a row changed together.
func join(steps []step) []status.Change {
	at := map[[2]uint32]int{}
	var all []status.Change
	for _, s := range steps {
		for b := s.changes; len(b) >= stepEntry; b = b[stepEntry:] {
			c := status.Change{List: binary.BigEndian.Uint32(b), Index: binary.BigEndian.Uint32(b[4:]), From: status.State(b[8] >> 4), To: status.State(b[8] & 15)}
			i, known := at[[2]uint32{c.List, c.Index}]
			if known {
				all[i].To = c.To
				continue
			}
			at[[2]uint32{c.List, c.Index}] = len(all)
			all = append(all, c)
		}
	}
	left := all[:0]
	for _, c := range all {
		if c.From != c.To { // or it went and came back
			left = append(left, c)
		}
	}
	return left
}
