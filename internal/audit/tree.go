package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileLevels = 8 // 2^63 leaves need no more
)

// place is where a tile stands in the tree.
type place struct{ level, n int64 }

// tile is a row of audit_tiles: up to 256 hashes, and on level 0 the ids of the
// events behind them.
type tile struct {
	hashes []byte
	events []byte
}

func (t *tile) width() int64 { return int64(len(t.hashes) / tlog.HashSize) }

// hash returns the hash of the subtree that stands on a full tile.
func (t *tile) hash() tlog.Hash {
	var f frontier
	for h := range hashesOf(t.hashes) {
		f.push(h)
	}
	return f.root()
}

// hashesOf yields the hashes that b consists of.
func hashesOf(b []byte) func(yield func(tlog.Hash) bool) {
	return func(yield func(tlog.Hash) bool) {
		for ; len(b) >= tlog.HashSize; b = b[tlog.HashSize:] {
			if !yield(tlog.Hash(b[:tlog.HashSize])) {
				return
			}
		}
	}
}

// frontier computes root hashes while leaves are pushed (RFC 6962 §2.1): it keeps
// one hash for each full subtree on the right edge.
type frontier struct {
	size  int64
	stack []tlog.Hash
}

func (f *frontier) push(h tlog.Hash) {
	for n := f.size; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(f.stack[len(f.stack)-1], h)
		f.stack = f.stack[:len(f.stack)-1]
	}
	f.stack = append(f.stack, h)
	f.size++
}

func (f *frontier) root() tlog.Hash {
	if f.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // of the empty tree; cannot fail
		return h
	}
	h := f.stack[len(f.stack)-1]
	for i := len(f.stack) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.stack[i], h)
	}
	return h
}

// edge is the right edge of the tree of size leaves: the one tile of each level
// that may still grow, and the tiles that were completed on the way.
type edge struct {
	size  int64
	tiles map[place]*tile
}

// rightmost returns the places of the partial tiles of a tree of size leaves.
func rightmost(size int64) []place {
	var places []place
	for level := range int64(tileLevels) {
		if size%tileWidth != 0 {
			places = append(places, place{level, size / tileWidth})
		}
		size /= tileWidth
	}
	return places
}

// add appends one leaf.
func (e *edge) add(leaf tlog.Hash, id string) {
	h, n := leaf, e.size
	for level := int64(0); ; level++ {
		p := place{level, n / tileWidth}
		t := e.tiles[p]
		if t == nil {
			t = &tile{}
			e.tiles[p] = t
		}
		t.hashes = append(t.hashes, h[:]...)
		if level == 0 {
			t.events = append(t.events, id...)
		}
		if t.width() < tileWidth {
			break
		}
		h, n = t.hash(), n/tileWidth
	}
	e.size++
}

// root returns the hash of the tree. The tiles of the edge are all it needs.
func (e *edge) root() (tlog.Hash, error) { return tlog.TreeHash(e.size, tiles(e.tiles)) }

// tiles reads hashes out of tiles that are in memory.
type tiles map[place]*tile

// ReadHashes implements tlog.HashReader.
func (m tiles) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		at := tlog.TileForIndex(tileHeight, index)
		t := m[place{int64(at.L), at.N}]
		if t == nil {
			return nil, fmt.Errorf("tile %d/%d is missing", at.L, at.N)
		}
		h, err := tlog.HashFromTile(at, t.hashes, index)
		if err != nil {
			return nil, err
		}
		hashes[i] = h
	}
	return hashes, nil
}

// stored reads hashes out of tiles in the database, the tiles of one call with
// one query.
type stored struct {
	ctx context.Context // of the one operation that the reader is made for
	tx  db.Tx
}

// ReadHashes implements tlog.HashReader.
func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var places []place
	seen := map[place]bool{}
	for _, index := range indexes {
		at := tlog.TileForIndex(tileHeight, index)
		if p := (place{int64(at.L), at.N}); !seen[p] {
			seen[p] = true
			places = append(places, p)
		}
	}
	m, err := readTiles(s.ctx, s.tx, places)
	if err != nil {
		return nil, err
	}
	return tiles(m).ReadHashes(indexes)
}

// readTiles returns the tiles at places that exist.
func readTiles(ctx context.Context, tx db.Tx, places []place) (map[place]*tile, error) {
	found := make(map[place]*tile, len(places))
	if len(places) == 0 {
		return found, nil
	}
	args := make([]any, 0, 2*len(places))
	conditions := make([]string, 0, len(places))
	for _, p := range places {
		conditions = append(conditions, fmt.Sprintf("(level = $%d AND n = $%d)", len(args)+1, len(args)+2))
		args = append(args, p.level, p.n)
	}
	rows, err := tx.QueryContext(ctx, `SELECT level, n, hashes, events FROM audit_tiles WHERE `+strings.Join(conditions, " OR "), args...)
	if err != nil {
		return nil, fmt.Errorf("read tiles: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p place
		t := &tile{}
		if err := rows.Scan(&p.level, &p.n, &t.hashes, &t.events); err != nil {
			return nil, fmt.Errorf("read tiles: %w", err)
		}
		found[p] = t
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read tiles: %w", err)
	}
	return found, nil
}

// writeTiles stores tiles, over narrower ones that may be there.
func writeTiles(ctx context.Context, tx db.Tx, m map[place]*tile) error {
	args := make([]any, 0, 4*len(m))
	for p, t := range m {
		args = append(args, p.level, p.n, t.hashes, string(t.events))
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO audit_tiles (level, n, hashes, events) VALUES `+db.Values(len(m), 4)+
		` ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes, events = excluded.events`, args...)
	if err != nil {
		return fmt.Errorf("write tiles: %w", err)
	}
	return nil
}

// head is the row of audit_head: the tree as it was last committed.
type head struct {
	size int64
	hash tlog.Hash
}

func readHead(ctx context.Context, tx db.Tx) (h head, err error) {
	var hash []byte
	err = tx.QueryRowContext(ctx, `SELECT size, hash FROM audit_head WHERE one = 1`).Scan(&h.size, &hash)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (len(hash) != tlog.HashSize || h.size < 0) {
		return head{}, errHead
	}
	if err != nil {
		return head{}, fmt.Errorf("read head: %w", err)
	}
	h.hash = tlog.Hash(hash)
	return h, nil
}

// errHead means that somebody meddled with audit_head.
var errHead = errors.New("the head of the log is missing or malformed")

// checkEdge fails unless the tiles read from the database are those of h. A log
// that somebody meddled with is not continued: Verify says what was done.
func checkEdge(e *edge, h head) error {
	for _, p := range rightmost(h.size) {
		t, width := e.tiles[p], (h.size>>(tileHeight*p.level))%tileWidth
		if t == nil || t.width() != width || p.level == 0 && int64(len(t.events)) != width*idSize {
			return fmt.Errorf("tile %d/%d is missing or not of width %d", p.level, p.n, width)
		}
	}
	root, err := e.root()
	if err != nil {
		return err
	}
	if !bytes.Equal(root[:], h.hash[:]) {
		return errors.New("the tiles of the log do not lead to its head")
	}
	return nil
}
