package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// VerifyOptions are what Verify trusts.
type VerifyOptions struct {
	Origin      string          // the log's name; empty accepts any
	Verifiers   []note.Verifier // every key that may have signed checkpoints
	Checkpoints [][]byte        // signed checkpoints kept outside the database
}

// The kinds of problems.
const (
	Edited    = "edited"    // content, salt, entry or another stored value was changed
	Removed   = "removed"   // the event is gone, or its content without an event that says so
	Reordered = "reordered" // the event stands elsewhere than where it was sealed
	Truncated = "truncated" // the log ends before the event, a checkpoint says more
	Forked    = "forked"    // the log is not the one that a checkpoint was signed for
)

// Problem is one thing that Verify found.
type Problem struct {
	Kind string
	// Event is the id of an event, or "seq:N" where no id is left, or the part
	// of the log that is meant: "checkpoint:SIZE", "tile:LEVEL/N", "head".
	Event  string
	Detail string
}

// String returns the kind and the event.
func (p Problem) String() string { return p.Kind + " " + p.Event }

// Report is what Verify found out.
type Report struct {
	Size     int64 // sealed events that were looked at
	Pending  int64
	Problems []Problem // at most maxProblems
	More     int64     // problems beyond those

	seen map[string]bool // kinds and events in Problems
}

const maxProblems = 10000

// add reports a problem, each kind once for each event.
func (r *Report) add(kind, event, detail string) {
	if len(r.Problems) >= maxProblems {
		r.More++
		return
	}
	if strings.ContainsFunc(event, func(c rune) bool { return c <= ' ' || c > '~' }) {
		event = strconv.QuoteToASCII(event) // somebody wrote it into the database
	}
	p := Problem{kind, event, detail}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	if r.seen[p.String()] {
		return
	}
	r.seen[p.String()] = true
	r.Problems = append(r.Problems, p)
}

// Verify recomputes the log from the contents and salts of its events up to the
// roots of its checkpoints and reports everything that does not agree: with the
// stored entries and tree, with the stored checkpoints, and with those given. It
// reads one state of the database in pages, so its memory does not grow with
// the log.
//
// It fails with kind Invalid if a given checkpoint cannot be read or belongs to
// another log, and else only if the database does.
func Verify(ctx context.Context, d *db.DB, o VerifyOptions) (Report, error) {
	var report Report
	outside, err := openOutside(o, &report)
	if err != nil {
		return Report{}, err
	}
	found := report
	err = d.Read(ctx, func(tx db.Tx) error {
		report = Report{Problems: slices.Clone(found.Problems), seen: maps.Clone(found.seen)}
		v := &verification{tx: tx, report: &report, missing: -1}
		v.marks = marks{tx: tx, o: o, report: &report, outside: outside, after: -1}
		return v.run(ctx)
	})
	if err != nil {
		return Report{}, fmt.Errorf("verify log: %w", err)
	}
	return report, nil
}

// verification is one run of Verify.
type verification struct {
	tx     db.Tx
	report *Report
	marks  marks

	head    head
	headOK  bool     // the row of audit_head is there and well formed
	end     int64    // where the walk ends
	content frontier // over the leaves recomputed from the events
	stored  frontier // over the leaves that stand in the tiles
	upper   [tileLevels][]byte
	tiles   int64 // found where they belong

	missing int64  // since this seq no event is there any more, -1 if there is
	first   string // the event that stood at missing
}

func (v *verification) run(ctx context.Context) error {
	if err := v.measure(ctx); err != nil {
		return err
	}
	if err := v.compare(ctx); err != nil { // with checkpoints of an empty log
		return err
	}
	for n := int64(0); n*tileWidth < v.end; n++ {
		if err := v.page(ctx, n); err != nil {
			return err
		}
	}
	v.report.Size = v.end
	for _, finish := range []func(context.Context) error{v.finishTiles, v.beyond, v.pending, v.truncated} {
		if err := finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// measure decides how far to walk: to the end of the tiles, and on to that of the
// head while there may be events, but not past what can be there at all.
func (v *verification) measure(ctx context.Context) error {
	var err error
	v.head, err = readHead(ctx, v.tx)
	v.headOK = err == nil
	if errors.Is(err, errHead) {
		v.report.add(Edited, "head", "the row of the head is missing or malformed")
	} else if err != nil {
		return err
	}
	var events, greatest, leafTiles, last, width int64
	err = v.tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM audit_events WHERE seq IS NOT NULL),
		(SELECT COALESCE(max(seq), -1) FROM audit_events),
		(SELECT count(*) FROM audit_tiles WHERE level = 0),
		(SELECT COALESCE(max(n), 0) FROM audit_tiles WHERE level = 0),
		(SELECT COALESCE(max(length(hashes)), 0) FROM audit_tiles WHERE level = 0
			AND n = (SELECT max(n) FROM audit_tiles WHERE level = 0))`).Scan(&events, &greatest, &leafTiles, &last, &width)
	if err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	most := events + leafTiles*tileWidth
	tree := max(0, min(last, most/tileWidth)*tileWidth+min(width/32, tileWidth))
	if v.headOK && v.head.size != tree {
		v.report.add(Edited, "head", fmt.Sprintf("the head has size %d, the tiles have %d", v.head.size, tree))
	}
	v.end = max(tree, min(v.head.size, greatest+1, most))
	return nil
}

// compare compares the roots at the present size with the head and with the
// checkpoints of that size.
func (v *verification) compare(ctx context.Context) error {
	size := v.stored.size
	if v.headOK && size == v.head.size {
		if root := v.head.hash; root != v.stored.root() && root != v.content.root() {
			v.report.add(Edited, "head", "the head's hash is not that of the log")
		}
	}
	return v.marks.compare(ctx, size, func(hash [32]byte) bool {
		return hash == v.stored.root() || hash == v.content.root()
	})
}

// beyond reports events whose number lies outside the log.
func (v *verification) beyond(ctx context.Context) error {
	const q = `SELECT id, seq FROM audit_events WHERE seq >= $1 OR seq < 0 ORDER BY seq LIMIT $2`
	rows, err := v.tx.QueryContext(ctx, q, v.end, maxProblems)
	if err != nil {
		return fmt.Errorf("read events beyond the end: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var seq int64
		if err := rows.Scan(&id, &seq); err != nil {
			return fmt.Errorf("read events beyond the end: %w", err)
		}
		v.report.add(Reordered, id, fmt.Sprintf("it stands at %d, the log has %d events", seq, v.end))
	}
	return rows.Err()
}

// pending checks the events that wait: only they vouch for themselves.
func (v *verification) pending(ctx context.Context) error {
	at, id := int64(-1<<63), ""
	for {
		rows, err := readRows(ctx, v.tx, `seq IS NULL AND (at, id) > ($1, $2) ORDER BY at, id LIMIT 256`, at, id)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			r := &rows[i]
			if _, detail := r.inspect(); detail != "" {
				v.report.add(Edited, r.id, detail)
			} else if r.isErased() {
				v.report.add(Removed, r.id, "its content is gone, and it was never sealed")
			}
			at, id = r.at, r.id
		}
		v.report.Pending += int64(len(rows))
	}
}

// truncated looks at the checkpoints of sizes that the log does not reach.
func (v *verification) truncated(ctx context.Context) error {
	newest, err := v.marks.rest(ctx)
	if err != nil {
		return err
	}
	end, name := v.end, fmt.Sprintf("seq:%d", v.end)
	if v.missing >= 0 {
		end, name = v.missing, v.first
	}
	if newest > end {
		v.report.add(Truncated, name, fmt.Sprintf("the log ends after %d events, a checkpoint says %d", end, newest))
	}
	return nil
}

// readRows returns rows of audit_events.
func readRows(ctx context.Context, tx db.Tx, condition string, args ...any) ([]row, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, at, kind, object, salt, content, entry, seq FROM audit_events WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var list []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.at, &r.kind, &r.object, &r.salt, &r.content, &r.entry, &r.seq); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return list, nil
}

// openOutside opens the given checkpoints. One that no known key signed is a
// problem of the log: somebody may have changed its keys.
func openOutside(o VerifyOptions, report *Report) ([]Checkpoint, error) {
	var outside []Checkpoint
	for i, b := range o.Checkpoints {
		c, err := OpenCheckpoint(b, o.Verifiers...)
		if errors.Is(err, errKey) {
			c, err = parseCheckpoint(b)
			report.add(Forked, fmt.Sprintf("checkpoint:%d", c.Size), "a given checkpoint is not signed by a key of this log")
		}
		if err != nil {
			return nil, fmt.Errorf("open given checkpoint %d: %w", i+1, err)
		}
		if o.Origin != "" && c.Origin != o.Origin {
			return nil, fault.New(fault.Invalid, fmt.Sprintf("given checkpoint %d is of another log", i+1))
		}
		outside = append(outside, c)
	}
	return outside, nil
}
