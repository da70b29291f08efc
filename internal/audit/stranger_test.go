package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// stranger is a client that knows nothing of this package: the C2SP documents,
// the log's prefix and its key are all it has.
type stranger struct {
	t      *testing.T
	prefix string
	key    note.Verifier
	tree   tlog.Tree // the checkpoint in use
	paths  []string  // asked for
}

func (s *stranger) get(path string) (body []byte, header http.Header, status int) {
	s.t.Helper()
	response, err := http.Get(s.prefix + "/" + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return body, response.Header, response.StatusCode
}

func (s *stranger) must(path string) []byte {
	s.t.Helper()
	body, header, status := s.get(path)
	if status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if path != "checkpoint" && !strings.Contains(header.Get("Cache-Control"), "immutable") {
		s.t.Errorf("GET %s may not be cached", path)
	}
	return body
}

// checkpoint fetches a checkpoint and checks its signature.
func (s *stranger) checkpoint() tlog.Tree {
	s.t.Helper()
	n, err := note.Open(s.must("checkpoint"), note.VerifierList(s.key))
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(n.Text, "\n")
	if lines[0] != s.key.Name() {
		s.t.Fatalf("the checkpoint is of %q", lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		s.t.Fatal(err)
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(hash)}
}

// Height, ReadTiles and SaveTiles make the stranger a tlog.TileReader.
func (s *stranger) Height() int { return 8 }

func (s *stranger) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		path := fmt.Sprintf("tile/%d/%s", t.L, number(t.N))
		if t.W < 256 {
			path += fmt.Sprintf(".p/%d", t.W)
		}
		s.paths = append(s.paths, path)
		data = append(data, s.must(path))
	}
	return data, nil
}

func (s *stranger) SaveTiles([]tlog.Tile, [][]byte) {}

// number writes 1234067 as x001/x234/067.
func number(n int64) string {
	out := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		out = fmt.Sprintf("x%03d/", n%1000) + out
	}
	return out
}

func (s *stranger) hashes() tlog.HashReader { return tlog.TileHashReader(s.tree, s) }

func serve(t *testing.T, l *audit.Log, key note.Verifier) *stranger {
	t.Helper()
	mux := http.NewServeMux()
	l.Mount(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &stranger{t: t, prefix: server.URL + "/log", key: key}
}

func TestStrangerChecksTheLog(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		l := newLog(t, d, signer)
		s := serve(t, l, key)
		der := []byte("\x30\x09certified")
		var id string
		err := d.Update(t.Context(), func(tx db.Tx) (err error) {
			id, err = audit.AppendCertificate(t.Context(), tx, der)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		appendEvents(t, d, some(700)...)
		seal(t, l)
		older := s.checkpoint()
		appendEvents(t, d, some(1500)...)
		seal(t, l)
		s.tree = s.checkpoint()
		if older.N != 701 || s.tree.N != 2201 {
			t.Fatalf("sizes %d and %d", older.N, s.tree.N)
		}

		consistency, err := tlog.ProveTree(s.tree.N, older.N, s.hashes())
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(consistency, s.tree.N, s.tree.Hash, older.N, older.Hash); err != nil {
			t.Errorf("consistency: %v", err)
		}
		p, err := l.Inclusion(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		inclusion, err := tlog.ProveRecord(s.tree.N, p.Index, s.hashes())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(der)
		if err := tlog.CheckRecord(inclusion, s.tree.N, s.tree.Hash, p.Index, tlog.RecordHash(sum[:])); err != nil {
			t.Errorf("inclusion: %v", err)
		}
		s.checkEntries()
	})
}

// checkEntries downloads every entry and computes the root from them.
func (s *stranger) checkEntries() {
	s.t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	leaves := int64(0)
	for n := int64(0); n*256 < s.tree.N; n++ {
		path := "tile/entries/" + number(n)
		if left := s.tree.N - n*256; left < 256 {
			path += fmt.Sprintf(".p/%d", left)
		}
		for b := s.must(path); len(b) > 0; leaves++ {
			size := binary.BigEndian.Uint16(b)
			hashes, err := tlog.StoredHashes(leaves, b[2:2+size], reader)
			if err != nil {
				s.t.Fatal(err)
			}
			stored = append(stored, hashes...)
			b = b[2+size:]
		}
	}
	root, err := tlog.TreeHash(leaves, reader)
	if err != nil || leaves != s.tree.N || root != s.tree.Hash {
		s.t.Errorf("the entries make a tree of %d, want %d: %v", leaves, s.tree.N, err)
	}
}

func TestOnlyWhatIsSignedIsServed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		l := newLog(t, d, signer)
		s := serve(t, l, key)
		absent := func(paths ...string) {
			t.Helper()
			for _, path := range paths {
				body, header, status := s.get(path)
				if status != http.StatusNotFound || header.Get("Cache-Control") != "no-store" {
					t.Errorf("GET %s: %d %s %s", path, status, header.Get("Cache-Control"), body)
				}
			}
		}
		absent("checkpoint", "tile/0/000", "tile/0/000.p/1", "tile/entries/000.p/1")
		appendEvents(t, d, some(300)...)
		seal(t, l)
		appendEvents(t, d, some(300)...)
		full := s.must("tile/0/000")
		if len(full) != 8192 || !bytes.Equal(full[:96], s.must("tile/0/000.p/3")) {
			t.Errorf("a tile of %d bytes that its part does not begin", len(full))
		}
		for path, size := range map[string]int{"tile/0/001.p/44": 44 * 32, "tile/1/000.p/1": 32, "tile/entries/000": 256 * 34,
			"tile/entries/001.p/44": 44 * 34} {
			if b := s.must(path); len(b) != size {
				t.Errorf("GET %s: %d bytes, want %d", path, len(b), size)
			}
		}
		absent("tile/0/001", "tile/0/001.p/45", "tile/0/002.p/1", "tile/1/000.p/2", "tile/1/000", "tile/2/000.p/1", "tile/8/000.p/1",
			"tile/63/000.p/1", "tile/entries/001", "tile/entries/001.p/45", "tile/entries/002.p/1", "tile/0/0", "tile/0/00%30", "tile/x/000",
			"tile/0/000.p/256", "tile/0/000.p/0", "tile/0/000.p/03", "tile/0/x000/000", "tile/00/000", "tile/data/000", "tile/", "tile/0/999999")
		response, err := http.Post(s.prefix+"/checkpoint", "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST: %d", response.StatusCode)
		}
	})
}

// TestDamageIsNotServed answers 500 rather than a tile that is not the signed one.
func TestDamageIsNotServed(t *testing.T) {
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	l := newLog(t, d, signer)
	s := serve(t, l, key)
	appendEvents(t, d, some(20)...)
	seal(t, l)
	meddle(t, d, "DELETE FROM audit_events WHERE seq = 7", "UPDATE audit_tiles SET hashes = substr(hashes, 1, 64)")
	for _, path := range []string{"tile/0/000.p/20", "tile/entries/000.p/20"} {
		if body, _, status := s.get(path); status != http.StatusInternalServerError || bytes.Contains(body, []byte("stored")) {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
}
