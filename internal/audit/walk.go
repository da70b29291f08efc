package audit

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// inspect recomputes the row's entry from its content and salt. detail says what
// is wrong with the row by itself, "" if nothing is. Of an erased event the entry
// is all that is left; see checkErased.
func (r *row) inspect() (leaf tlog.Hash, detail string) {
	if r.isErased() {
		if len(r.entry) != tlog.HashSize {
			detail = "its entry was changed"
		}
		return tlog.RecordHash(r.entry), detail
	}
	if r.isCertificate() {
		entry := certificateEntry(r.content)
		switch {
		case !bytes.Equal(entry, r.entry):
			detail = "the certificate or its entry was changed"
		case r.kind != KindCertificate || r.object != CertificateObject(r.content):
			detail = "its kind or object was changed"
		}
		return tlog.RecordHash(entry), detail
	}
	entry := eventEntry(r.salt, r.content)
	c, err := decode(r.content)
	switch {
	case !bytes.Equal(entry, r.entry) || len(r.salt) != saltSize:
		detail = "its content, salt or entry was changed"
	case err != nil:
		detail = "its content is not that of an event"
	case c.ID != r.id || c.At != r.at || c.Kind != r.kind || c.Object != r.object:
		detail = "its id, time, kind or object is not that of its content"
	}
	return tlog.RecordHash(entry), detail
}

// page checks the events under leaf tile n.
func (v *verification) page(ctx context.Context, n int64) error {
	first := n * tileWidth
	width := min(v.end-first, tileWidth)
	events, err := v.eventsAt(ctx, first, width)
	if err != nil {
		return err
	}
	m, err := readTiles(ctx, v.tx, []place{{0, n}})
	if err != nil {
		return err
	}
	t := v.leafTile(m[place{0, n}], n, width)
	displaced := map[string]int64{}
	var full tile
	for i := range width {
		leaf := v.event(events[i], t, first+i, displaced)
		full.hashes = append(full.hashes, leaf[:]...)
		if err := v.compare(ctx); err != nil {
			return err
		}
	}
	if width == tileWidth {
		if err := v.climb(ctx, 1, full.hash()); err != nil {
			return err
		}
	}
	if err := v.checkErased(ctx, events); err != nil {
		return err
	}
	return v.search(ctx, displaced)
}

// eventsAt returns the events of one page by their place in it.
func (v *verification) eventsAt(ctx context.Context, first, width int64) (map[int64]*row, error) {
	rows, err := readRows(ctx, v.tx, `seq >= $1 AND seq < $2 ORDER BY seq, id LIMIT 1024`, first, first+width)
	if err != nil {
		return nil, err
	}
	events := make(map[int64]*row, width)
	for i := range rows {
		r := &rows[i]
		at := r.seq.Int64 - first
		if events[at] != nil {
			v.report.add(Reordered, r.id, fmt.Sprintf("another event stands at %d too", r.seq.Int64))
			continue
		}
		events[at] = r
	}
	return events, nil
}

// leafTile reports what is wrong with a leaf tile by itself and returns what can
// be used of it.
func (v *verification) leafTile(t *tile, n, width int64) *tile {
	name := fmt.Sprintf("tile:0/%d", n)
	if t == nil {
		v.report.add(Edited, name, "the tile is missing")
		return &tile{}
	}
	v.tiles++
	if len(t.hashes)%tlog.HashSize != 0 || t.width() != width {
		v.report.add(Edited, name, fmt.Sprintf("the tile has %d bytes, want %d hashes", len(t.hashes), width))
	}
	if len(t.events) != int(t.width())*idSize {
		v.report.add(Edited, name, "the tile does not name an event for each hash")
		t.events = nil
	}
	return t
}

// event checks the event at seq against the leaf tile and returns the stored leaf,
// or the recomputed one where none is stored. It notes the ids that should stand
// here and do not in displaced.
func (v *verification) event(r *row, t *tile, seq int64, displaced map[string]int64) tlog.Hash {
	at := seq % tileWidth
	var sealed tlog.Hash
	hasLeaf := at < t.width()
	if hasLeaf {
		sealed = tlog.Hash(t.hashes[at*tlog.HashSize:][:tlog.HashSize])
	}
	id := ""
	if hasLeaf && t.events != nil {
		id = string(t.events[at*idSize:][:idSize])
	}
	leaf := sealed
	if r == nil {
		v.gone(id, seq, displaced)
	} else {
		v.missing = -1
		leaf = v.present(r, id, sealed, hasLeaf, displaced, seq)
	}
	v.content.push(leaf)
	if !hasLeaf {
		sealed = leaf
	}
	v.stored.push(sealed)
	return sealed
}

// gone handles a place where no event stands.
func (v *verification) gone(id string, seq int64, displaced map[string]int64) {
	name := id
	if id == "" {
		name = fmt.Sprintf("seq:%d", seq)
		v.report.add(Removed, name, "no event stands there, and no trace of its id is left")
	} else {
		displaced[id] = seq
	}
	if v.missing < 0 {
		v.missing, v.first = seq, name
	}
}

// present checks an event that stands where the one called id was sealed.
func (v *verification) present(r *row, id string, sealed tlog.Hash, hasLeaf bool, displaced map[string]int64, seq int64) tlog.Hash {
	leaf, detail := r.inspect()
	switch {
	case detail != "":
		v.report.add(Edited, r.id, detail)
		if id != "" && r.id != id {
			displaced[id] = seq
		}
	case hasLeaf && leaf == sealed:
		if id != "" && r.id != id {
			v.report.add(Edited, r.id, "the tile or the row names another id than was sealed")
		}
	case id != "" && r.id != id:
		displaced[id] = seq
	case hasLeaf:
		v.report.add(Edited, r.id, "its entry is not the one in the tree")
	}
	return leaf
}

// search looks for the events that were not where they were sealed.
func (v *verification) search(ctx context.Context, displaced map[string]int64) error {
	if len(displaced) == 0 {
		return nil
	}
	args := make([]any, 0, len(displaced))
	marks := make([]string, 0, len(displaced))
	for id := range displaced {
		args = append(args, id)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	rows, err := v.tx.QueryContext(ctx, `SELECT id, seq FROM audit_events WHERE id IN (`+strings.Join(marks, ",")+`)`, args...)
	if err != nil {
		return fmt.Errorf("search events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	found := make(map[string]sql.NullInt64, len(displaced))
	for rows.Next() {
		var id string
		var seq sql.NullInt64
		if err := rows.Scan(&id, &seq); err != nil {
			return fmt.Errorf("search events: %w", err)
		}
		found[id] = seq
	}
	v.reportDisplaced(displaced, found)
	return rows.Err()
}

func (v *verification) reportDisplaced(displaced map[string]int64, found map[string]sql.NullInt64) {
	ids := slices.SortedFunc(maps.Keys(displaced), func(a, b string) int { return cmp.Compare(displaced[a], displaced[b]) })
	for _, id := range ids {
		seq, ok := found[id]
		switch {
		case !ok:
			v.report.add(Removed, id, fmt.Sprintf("it was sealed at %d", displaced[id]))
		case seq.Valid:
			v.report.add(Reordered, id, fmt.Sprintf("it was sealed at %d and stands at %d", displaced[id], seq.Int64))
		default:
			v.report.add(Reordered, id, fmt.Sprintf("it was sealed at %d and is pending", displaced[id]))
		}
	}
}

// climb adds the hash of a full tile to the level above, and compares the tile
// there when it is full itself.
func (v *verification) climb(ctx context.Context, level int64, h tlog.Hash) error {
	v.upper[level] = append(v.upper[level], h[:]...)
	full := tile{hashes: v.upper[level]}
	if full.width() < tileWidth {
		return nil
	}
	v.upper[level] = nil
	n := (v.stored.size>>(tileHeight*level))/tileWidth - 1
	if err := v.upperTile(ctx, place{level, n}, full.hashes); err != nil {
		return err
	}
	return v.climb(ctx, level+1, full.hash())
}

// finishTiles compares the partial tiles of the upper levels and looks for rows
// that are no tiles of this tree.
func (v *verification) finishTiles(ctx context.Context) error {
	for level := int64(1); level < tileLevels; level++ {
		if b := v.upper[level]; len(b) > 0 {
			if err := v.upperTile(ctx, place{level, v.end >> (tileHeight * level) / tileWidth}, b); err != nil {
				return err
			}
		}
	}
	var n int64
	if err := v.tx.QueryRowContext(ctx, `SELECT count(*) FROM audit_tiles`).Scan(&n); err != nil {
		return fmt.Errorf("count tiles: %w", err)
	}
	if n != v.tiles {
		v.report.add(Edited, "tiles", fmt.Sprintf("%d stored tiles do not belong to the log", n-v.tiles))
	}
	return nil
}

func (v *verification) upperTile(ctx context.Context, p place, want []byte) error {
	m, err := readTiles(ctx, v.tx, []place{p})
	if err != nil {
		return err
	}
	t := m[p]
	if t != nil {
		v.tiles++
	}
	if t == nil || !bytes.Equal(t.hashes, want) || len(t.events) > 0 {
		v.report.add(Edited, fmt.Sprintf("tile:%d/%d", p.level, p.n), "the tile is not that of the leaves below it")
	}
	return nil
}
