package audit_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
)

var tables = []string{"audit_events", "audit_tiles", "audit_head", "audit_checkpoints", "audit_cosignatures", "audit_erasures"}

// save keeps a copy of the log in the same database.
func save(t *testing.T, d *db.DB) {
	t.Helper()
	for _, table := range tables {
		meddle(t, d, "CREATE TABLE saved_"+table+" AS SELECT * FROM "+table)
	}
}

// restore brings back what save kept.
func restore(t *testing.T, d *db.DB) {
	t.Helper()
	for _, table := range tables {
		meddle(t, d, "DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM saved_"+table)
	}
}

// flip changes one byte of a column of the event at seq.
func flip(t *testing.T, s *scene, column string, seq, at int) {
	t.Helper()
	change(t, s, "SELECT "+column+" FROM audit_events WHERE seq = $1", "UPDATE audit_events SET "+column+" = $2 WHERE seq = $1", at, seq)
}

// flipTile changes one byte of a tile.
func flipTile(t *testing.T, s *scene, level, n, at int) {
	t.Helper()
	change(t, s, "SELECT hashes FROM audit_tiles WHERE level = $1 AND n = $2",
		"UPDATE audit_tiles SET hashes = $3 WHERE level = $1 AND n = $2", at, level, n)
}

func change(t *testing.T, s *scene, query, update string, at int, where ...any) {
	t.Helper()
	err := s.Update(t.Context(), func(tx db.Tx) error {
		var b []byte
		if err := tx.QueryRowContext(t.Context(), query, where...).Scan(&b); err != nil {
			return err
		}
		b[at] ^= 1
		_, err := tx.ExecContext(t.Context(), update, append(where[:len(where):len(where)], b)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rewrite gives the event at seq another actor, and the entry that belongs to it.
func rewrite(t *testing.T, s *scene, seq int) (entry []byte) {
	t.Helper()
	encoding, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx db.Tx) error {
		var salt, content []byte
		if err := tx.QueryRowContext(t.Context(), "SELECT salt, content FROM audit_events WHERE seq = $1", seq).Scan(&salt, &content); err != nil {
			return err
		}
		var m map[string]any
		if err := cbor.Unmarshal(content, &m); err != nil {
			return err
		}
		m["actor"] = "client:innocent"
		if content, err = encoding.Marshal(m); err != nil {
			return err
		}
		mac := hmac.New(sha256.New, salt)
		mac.Write(content)
		entry = mac.Sum(nil)
		_, err := tx.ExecContext(t.Context(), "UPDATE audit_events SET content = $1, entry = $2 WHERE seq = $3", content, entry, seq)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// rewriteTree rewrites the event at seq, every hash above it and the head: only
// the checkpoints remain.
func rewriteTree(t *testing.T, s *scene, seq int) {
	t.Helper()
	leaf := tlog.RecordHash(rewrite(t, s, seq))
	err := s.Update(t.Context(), func(tx db.Tx) error {
		var level0 [][]byte
		var all, level1 []byte
		for n := range 3 {
			var b []byte
			if err := tx.QueryRowContext(t.Context(), "SELECT hashes FROM audit_tiles WHERE level = 0 AND n = $1", n).Scan(&b); err != nil {
				return err
			}
			if seq/256 == n {
				copy(b[seq%256*32:], leaf[:])
			}
			level0 = append(level0, b)
			if n < 2 {
				level1 = append(level1, fold(b)...)
			}
			all = append(all, b...)
		}
		for n, b := range level0 {
			if _, err := tx.ExecContext(t.Context(), "UPDATE audit_tiles SET hashes = $1 WHERE level = 0 AND n = $2", b, n); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(t.Context(), "UPDATE audit_tiles SET hashes = $1 WHERE level = 1", level1); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), "UPDATE audit_head SET hash = $1", fold(all))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fold is the definition of the Merkle tree hash in RFC 6962 §2.1, over leaf hashes.
func fold(b []byte) []byte {
	n := len(b) / 32
	if n == 1 {
		return b
	}
	k := 1
	for k*2 < n {
		k *= 2
	}
	h := tlog.NodeHash(tlog.Hash(fold(b[:k*32])), tlog.Hash(fold(b[k*32:])))
	return h[:]
}

// freshKey rewrites the log from its first event on and signs it with a key that
// nobody knows.
func freshKey(t *testing.T, s *scene) {
	t.Helper()
	rewrite(t, s, 0)
	meddle(t, s.DB, "DELETE FROM audit_checkpoints", "DELETE FROM audit_tiles", "UPDATE audit_events SET seq = NULL")
	empty := sha256.Sum256(nil)
	err := s.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE audit_head SET size = 0, hash = $1", empty[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := newKey(t)
	seal(t, newLog(t, s.DB, signer))
}
