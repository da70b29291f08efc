package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Mount adds the log to mux as C2SP tlog-tiles lays it out under /log:
//
//	/log/checkpoint
//	/log/tile/<L>/<N>[.p/<W>]
//	/log/tile/entries/<N>[.p/<W>]
//
// Only what the newest checkpoint covers is served. The checkpoint carries the
// cosignatures that witnesses have given to it so far.
func (l *Log) Mount(mux *http.ServeMux) {
	mux.Handle("GET /log/checkpoint", web.Handler(l.serveCheckpoint, l.log))
	mux.Handle("GET /log/tile/{path...}", web.Handler(l.serveTile, l.log))
}

func (l *Log) serveCheckpoint(w http.ResponseWriter, r *http.Request) error {
	c, err := l.Cosigned(r.Context())
	if err != nil {
		return err
	}
	return send(w, "text/plain; charset=utf-8", "no-cache", c.Note)
}

func (l *Log) serveTile(w http.ResponseWriter, r *http.Request) error {
	t, ok := parseTilePath(r.PathValue("path"))
	if !ok || r.URL.RawPath != "" {
		return errTile
	}
	var body []byte
	err := l.db.Read(r.Context(), func(tx db.Tx) error {
		c, err := latest(r.Context(), tx)
		if err != nil {
			return err
		}
		if !t.within(c.Size) {
			return errTile
		}
		if t.entries {
			body, err = readEntries(r.Context(), tx, t)
		} else {
			body, err = readHashes(r.Context(), tx, t)
		}
		return err
	})
	if err != nil {
		return err
	}
	return send(w, "application/octet-stream", "public, max-age=31536000, immutable", body)
}

func send(w http.ResponseWriter, contentType, cache string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", cache)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// The client may be gone: there is nobody left to tell.
	_, _ = w.Write(body)
	return nil
}

var errTile = fault.New(fault.NotFound, "the log has no such tile")

// tilePath names a tile of hashes, or with entries a bundle of entries.
type tilePath struct {
	entries bool
	level   int64
	n       int64
	width   int64 // 1 to 256
}

// within reports whether a log of size leaves has the tile.
func (t tilePath) within(size int64) bool {
	if t.level >= tileLevels {
		return false
	}
	return t.n*tileWidth+t.width <= size>>(tileHeight*t.level)
}

const (
	maxTilePath = 64
	maxTileN    = 1 << 54 // of a tile of 2^62 leaves
)

// parseTilePath reads what follows /tile/ in a tile's address. There is one
// spelling for each tile, so that caches hold it once.
func parseTilePath(s string) (t tilePath, ok bool) {
	if len(s) > maxTilePath {
		return t, false
	}
	level, rest, _ := strings.Cut(s, "/")
	if level == "entries" {
		t.entries = true
	} else if t.level, ok = decimal(level, 63); !ok {
		return t, false
	}
	rest, width, partial := strings.Cut(rest, ".p/")
	t.width = tileWidth
	if partial {
		if t.width, ok = decimal(width, tileWidth-1); !ok || t.width == 0 {
			return t, false
		}
	}
	t.n, ok = parseTileN(rest)
	return t, ok
}

// decimal reads a number up to most that has no sign and no leading zero.
func decimal(s string, most int64) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n <= most && strconv.FormatInt(n, 10) == s
}

// parseTileN reads 1234067 out of "x001/x234/067".
func parseTileN(s string) (n int64, ok bool) {
	elements := strings.Split(s, "/")
	for i, e := range elements {
		if i < len(elements)-1 {
			if !strings.HasPrefix(e, "x") {
				return 0, false
			}
			e = e[1:]
		}
		if len(e) != 3 || strings.Trim(e, "0123456789") != "" {
			return 0, false
		}
		if i == 0 && e == "000" && len(elements) > 1 {
			return 0, false
		}
		digits, err := strconv.ParseInt(e, 10, 64)
		if err != nil {
			return 0, false
		}
		if n = n*1000 + digits; n > maxTileN {
			return 0, false
		}
	}
	return n, true
}

// String returns the tile's address below /tile/.
func (t tilePath) String() string {
	level := "entries"
	if !t.entries {
		level = strconv.FormatInt(t.level, 10)
	}
	n := fmt.Sprintf("%03d", t.n%1000)
	for rest := t.n / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	if t.width < tileWidth {
		n += ".p/" + strconv.FormatInt(t.width, 10)
	}
	return level + "/" + n
}

func readHashes(ctx context.Context, tx db.Tx, t tilePath) ([]byte, error) {
	p := place{t.level, t.n}
	m, err := readTiles(ctx, tx, []place{p})
	if err != nil {
		return nil, err
	}
	if m[p] == nil || m[p].width() < t.width {
		return nil, fmt.Errorf("serve tile %s: the stored tile is missing or too narrow", t)
	}
	return m[p].hashes[:t.width*tlog.HashSize], nil
}

// readEntries returns a bundle: each entry after its length in two bytes.
func readEntries(ctx context.Context, tx db.Tx, t tilePath) ([]byte, error) {
	first := t.n * tileWidth
	rows, err := tx.QueryContext(ctx, `SELECT entry FROM audit_events WHERE seq >= $1 AND seq < $2 ORDER BY seq`, first, first+t.width)
	if err != nil {
		return nil, fmt.Errorf("serve entries: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var bundle []byte
	n := int64(0)
	for ; rows.Next(); n++ {
		var entry []byte
		if err := rows.Scan(&entry); err != nil {
			return nil, fmt.Errorf("serve entries: %w", err)
		}
		if len(entry) != tlog.HashSize {
			return nil, errors.New("serve entries: a stored entry is malformed")
		}
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
		bundle = append(bundle, entry...)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("serve entries: %w", err)
	}
	if n != t.width {
		return nil, fmt.Errorf("serve entries %s: only %d events are stored", t, n)
	}
	return bundle, nil
}
