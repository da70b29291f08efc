package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/signet-city/signet/internal/db"
)

// marks walks through checkpoints in the order of their sizes beside the events:
// those stored, read in pages, and those given.
type marks struct {
	tx      db.Tx
	o       VerifyOptions
	report  *Report
	outside []Checkpoint // not compared yet, sorted on first use
	sorted  bool

	stored []storedMark // a page, not compared yet
	after  int64        // size of the last one read
	ended  bool

	last   int64 // size at which the log still agreed
	forked bool  // a stored checkpoint disagreed
}

// storedMark is a row of audit_checkpoints.
type storedMark struct {
	size int64
	hash []byte
	note []byte
}

func (s storedMark) name() string { return fmt.Sprintf("checkpoint:%d", s.size) }

// compare takes the checkpoints of this size and reports those whose hash agrees
// says is not the log's.
func (m *marks) compare(ctx context.Context, size int64, agrees func([32]byte) bool) error {
	for {
		s, ok, err := m.peek(ctx)
		if err != nil {
			return err
		}
		if !ok || s.size > size {
			break
		}
		m.stored = m.stored[1:]
		if c, ok := m.open(s); ok {
			m.judge(c, agrees(c.Hash))
		}
	}
	m.sort()
	for ; len(m.outside) > 0 && m.outside[0].Size <= size; m.outside = m.outside[1:] {
		if c := m.outside[0]; !agrees(c.Hash) {
			m.report.add(Forked, fmt.Sprintf("checkpoint:%d", c.Size), "the log is not the one that the given checkpoint was signed for")
		}
	}
	return nil
}

func (m *marks) sort() {
	if !m.sorted {
		m.outside = slices.SortedFunc(slices.Values(m.outside), func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
		m.sorted = true
	}
}

// judge reports the first stored checkpoint that disagrees: later ones cannot
// agree any more.
func (m *marks) judge(c Checkpoint, agrees bool) {
	switch {
	case agrees:
		m.last = c.Size
	case !m.forked:
		m.forked = true
		m.report.add(Forked, fmt.Sprintf("checkpoint:%d", c.Size),
			fmt.Sprintf("the events from seq:%d to seq:%d are not those that were sealed", m.last, c.Size-1))
	}
}

// open checks what a stored checkpoint says of itself.
func (m *marks) open(s storedMark) (c Checkpoint, ok bool) {
	c, err := OpenCheckpoint(s.note, m.o.Verifiers...)
	switch {
	case errors.Is(err, errKey):
		m.report.add(Forked, s.name(), "it is not signed by a key of this log")
	case err != nil:
		m.report.add(Edited, s.name(), "it is malformed or its signature is wrong")
	case c.Size != s.size || string(c.Hash[:]) != string(s.hash):
		m.report.add(Edited, s.name(), "it is stored under another size or hash than it says")
	case m.o.Origin != "" && c.Origin != m.o.Origin:
		m.report.add(Forked, s.name(), "it is of another log")
	default:
		return c, true
	}
	return c, false
}

// rest takes the checkpoints of sizes that were not reached and returns the
// greatest of those that can be believed, 0 if there are none.
func (m *marks) rest(ctx context.Context) (newest int64, err error) {
	newest = m.last
	for {
		s, ok, err := m.peek(ctx)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		m.stored = m.stored[1:]
		if c, ok := m.open(s); ok {
			newest = max(newest, c.Size)
		}
	}
	for _, c := range m.outside {
		newest = max(newest, c.Size)
	}
	return newest, nil
}

// peek returns the next stored checkpoint.
func (m *marks) peek(ctx context.Context) (s storedMark, ok bool, err error) {
	if len(m.stored) == 0 && !m.ended {
		if err := m.fill(ctx); err != nil {
			return s, false, err
		}
	}
	if len(m.stored) == 0 {
		return s, false, nil
	}
	return m.stored[0], true, nil
}

func (m *marks) fill(ctx context.Context) error {
	const page = 256
	rows, err := m.tx.QueryContext(ctx, `SELECT size, hash, note FROM audit_checkpoints WHERE size > $1 ORDER BY size LIMIT $2`, m.after, page)
	if err != nil {
		return fmt.Errorf("read checkpoints: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s storedMark
		if err := rows.Scan(&s.size, &s.hash, &s.note); err != nil {
			return fmt.Errorf("read checkpoints: %w", err)
		}
		m.stored = append(m.stored, s)
		m.after = s.size
	}
	m.ended = len(m.stored) < page
	return rows.Err()
}
