package audit_test

import (
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// TestVerifyAgainstCosignedCheckpoints does to a log what its owner could, with the
// database and the log's key in hand, and holds it against files that somebody
// else fetched from /log/checkpoint before.
func TestVerifyAgainstCosignedCheckpoints(t *testing.T) {
	cases := []struct {
		name   string
		tamper func(t *testing.T, s *scene)
		want   []string // {N} stands for the id of event N
	}{
		{name: "nothing"},
		{name: "restored old backup", want: []string{"truncated seq:300"}, tamper: oldBackup},
		{name: "restored old backup, and the log went on", want: []string{"forked checkpoint:600"}, tamper: func(t *testing.T, s *scene) {
			oldBackup(t, s)
			appendEvents(t, s.DB, some(500)...)
			seal(t, s.log)
		}},
		{name: "restored old backup, and the log went on to the same size", want: []string{"forked checkpoint:600"}, tamper: func(t *testing.T, s *scene) {
			oldBackup(t, s)
			appendEvents(t, s.DB, some(300)...)
			seal(t, s.log)
		}},
		{name: "truncated tail", want: []string{"truncated seq:300"}, tamper: func(t *testing.T, s *scene) {
			cutTo300(t, s)
			meddle(t, s.DB, "DELETE FROM audit_checkpoints WHERE size > 300", "DELETE FROM audit_cosignatures WHERE size > 300")
		}},
		{name: "truncated tail, tree kept", want: []string{"removed {599}", "truncated {599}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq >= 599")
		}},
		{name: "forked log", want: []string{"forked checkpoint:600"}, tamper: func(t *testing.T, s *scene) {
			rewriteTree(t, s, 400)
			meddle(t, s.DB, "DELETE FROM audit_checkpoints WHERE size > 300")
			seal(t, s.log) // with the log's own key
		}},
		{name: "forked from the first event on", want: []string{"forked checkpoint:10", "forked checkpoint:300", "forked checkpoint:600"}, tamper: func(t *testing.T, s *scene) {
			rewriteTree(t, s, 0)
			meddle(t, s.DB, "DELETE FROM audit_checkpoints")
			seal(t, s.log)
		}},
		{name: "edited row", want: []string{"edited {400}"}, tamper: func(t *testing.T, s *scene) { rewrite(t, s, 400) }},
		{name: "gap", want: []string{"removed {400}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq = 400")
		}},
		{name: "gap closed up", want: []string{"removed {597}", "reordered {598}", "reordered {599}", "truncated {599}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq = 597", "UPDATE audit_events SET seq = 597 WHERE seq = 598",
				"UPDATE audit_events SET seq = 598 WHERE seq = 599")
		}},
	}
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		s, kept := cosignedScene(t, d)
		save(t, d)
		o := s.options()
		o.Checkpoints = kept
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				restore(t, d)
				clean(t, d, o, 600)
				if c.tamper != nil {
					c.tamper(t, s)
				}
				var got, want []string
				for _, p := range verify(t, d, o).Problems {
					got = append(got, p.String())
				}
				for _, w := range c.want {
					want = append(want, s.name(w))
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("problems %v\nwant %v", got, want)
				}
			})
		}
	})
}

// cosignedScene is a scene whose three checkpoints a witness has cosigned; kept are
// their files. A copy of the database at size 300 is kept as well.
func cosignedScene(t *testing.T, d *db.DB) (s *scene, kept [][]byte) {
	t.Helper()
	signer, verifier := newKey(t)
	w := newWitness(t, "witness.example/w1")
	s = &scene{DB: d, log: watched(t, d, signer, w.watch(t, verifier)), verifier: verifier}
	for _, n := range []int{10, 290, 300} {
		s.ids = append(s.ids, appendEvents(t, d, some(n)...)...)
		seal(t, s.log)
		c := cosigned(t, s.log)
		if len(signatures(t, c.Note, verifier, w)) != 2 {
			t.Fatal("the witness did not cosign")
		}
		kept = append(kept, c.Note)
		if c.Size == 300 {
			for _, table := range tables {
				meddle(t, d, "CREATE TABLE backup_"+table+" AS SELECT * FROM "+table)
			}
		}
	}
	return s, kept
}

// oldBackup puts back the copy of size 300.
func oldBackup(t *testing.T, s *scene) {
	t.Helper()
	for _, table := range tables {
		meddle(t, s.DB, "DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM backup_"+table)
	}
}

// TestCosignedByAStrangerAlone gives a checkpoint that only a witness has signed: a
// witness vouches for a log, it cannot make one.
func TestCosignedByAStrangerAlone(t *testing.T) {
	d := testkit.SQLite(t)
	s, kept := cosignedScene(t, d)
	w := newWitness(t, "witness.example/w2")
	text := string(kept[2][:slices.Index(kept[2], '\xe2')-1])
	o := s.options()
	o.Checkpoints = [][]byte{append([]byte(text+"\n"), w.cosign(text, 1)...)}
	report := verify(t, d, o)
	if len(report.Problems) != 1 || report.Problems[0].String() != "forked checkpoint:600" {
		t.Errorf("problems %v", report.Problems)
	}
	o.Verifiers = []note.Verifier{w}
	o.Checkpoints = nil
	if report := verify(t, d, audit.VerifyOptions{Origin: origin, Verifiers: o.Verifiers}); len(report.Problems) != 3 {
		t.Errorf("with the witness's key as the log's: %v", report.Problems)
	}
}
