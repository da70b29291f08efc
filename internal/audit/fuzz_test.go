package audit_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

func TestTilePaths(t *testing.T) {
	good := map[string]int64{"0/000": 256, "entries/000": 256, "7/x001/x234/067": 256, "63/999.p/255": 255, "entries/x001/000.p/1": 1,
		"0/x018/x014/x398/x509/x481/984": 256}
	for s, width := range good {
		if canonical, w, ok := audit.ParseTilePath(s); !ok || w != width || canonical != s {
			t.Errorf("%s: %s, width %d, %v", s, canonical, w, ok)
		}
	}
	bad := []string{"", "0", "0/", "/000", "-1/000", "+1/000", "64/000", "00/000", "01/000", "a/000", "0/00", "0/0000", "0/x000", "0/x000/000",
		"0/001/000", "0/x001/0", "0/x01/000", "0/X001/000", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000.p", "0/000.p/1/2",
		"0/000/", "0/ 00", "0/-01", "0/000.p/+1", "entries/", "Entries/000", "data/000", "8/0/000", "0/٠٠٠",
		"0/x018/x014/x398/x509/x481/985", "0/x999/x999/x999/x999/x999/x999/x999/x999/x999/999", "0/x000/x000/x000/000"}
	for _, s := range bad {
		if canonical, _, ok := audit.ParseTilePath(s); ok {
			t.Errorf("%q was taken for %s", s, canonical)
		}
	}
	for s, size := range map[string]int64{"7/000.p/1": 1<<56 - 1, "8/000.p/1": 1<<63 - 1, "0/000": 255, "0/001.p/1": 256} {
		if audit.Within(s, size) {
			t.Errorf("a log of %d has %s", size, s)
		}
	}
	if !audit.Within("7/000.p/127", 1<<63-1) || !audit.Within("0/000", 256) {
		t.Error("a tile is missing")
	}
}

func TestCheckpointText(t *testing.T) {
	const hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	const signature = "\n— example.org/log AAAA\n"
	good := []string{"o\n0\n" + hash + "\n", "o\n9223372036854775807\n" + hash + "\nextension\n", "o p\n5\n" + hash + "\n"}
	for _, text := range good {
		if _, err := audit.ParseCheckpoint([]byte(text + signature)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	bad := []string{"", "o\n", "o\n1\n", "\n1\n" + hash + "\n", "o\n01\n" + hash + "\n", "o\n-1\n" + hash + "\n", "o\n+1\n" + hash + "\n",
		"o\n 1\n" + hash + "\n", "o\n9223372036854775808\n" + hash + "\n", "o\n1\n" + hash[:43] + "\n", "o\n1\n" + hash[:42] + "V=\n",
		"o\n1\n" + strings.Repeat("A", 40) + "\n", "o\n1\n" + hash + "\r\n", "o\n1\n" + hash[:20] + "\r" + hash[20:] + "\n", "o\n1\n" + hash}
	for _, text := range bad {
		if c, err := audit.ParseCheckpoint([]byte(text + signature)); err == nil {
			t.Errorf("%q was taken for size %d", text, c.Size)
		}
	}
}

func FuzzTilePath(f *testing.F) {
	for _, s := range []string{"0/000", "entries/x001/234.p/7", "63/x001/x234/067", "0/000.p/256", "0/x000/000"} {
		f.Add(s, int64(70000))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		canonical, width, ok := audit.ParseTilePath(s)
		if ok && (canonical != s || width < 1 || width > 256) {
			t.Errorf("%q is %q of width %d", s, canonical, width)
		}
		if size >= 0 && audit.Within(s, size) && !ok {
			t.Errorf("%q is no tile, and in a log of %d", s, size)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	signer, verifier := newKey(f)
	signed, err := note.Sign(&note.Note{Text: origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"}, signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte("o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nx\n\n— o AAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := audit.ParseCheckpoint(b); err == nil && (c.Size < 0 || c.Origin == "" || !bytes.HasPrefix(b, []byte(c.Origin+"\n"))) {
			t.Errorf("parsed %q as %v", b, c)
		}
		if c, err := audit.OpenCheckpoint(b, verifier); err == nil && !bytes.HasPrefix(signed, []byte(c.Origin+"\n0\n")) {
			t.Errorf("a forgery was accepted: %q", b)
		}
	})
}

// FuzzContent holds the decoder of events to the encoder's form: what it accepts
// it would have written itself, byte for byte.
func FuzzContent(f *testing.F) {
	for _, b := range contents(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := audit.Decode(b)
		if err != nil {
			return
		}
		if again, err := audit.EncodeContent(c); err != nil || !bytes.Equal(b, again) {
			t.Errorf("%x is %x when encoded again: %v", b, again, err)
		}
	})
}

// contents returns the stored contents of a few events.
func contents(t testing.TB) (list [][]byte) {
	t.Helper()
	d := testkit.SQLite(t)
	appendEvents(t, d, some(3)...)
	err := d.Read(t.Context(), func(tx db.Tx) error {
		rows, err := tx.QueryContext(t.Context(), "SELECT content FROM audit_events")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			list = append(list, b)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
