package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// meddle does what somebody can who has got hold of the database.
func meddle(t testing.TB, d *db.DB, statements ...string) {
	t.Helper()
	err := d.Update(t.Context(), func(tx db.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(t.Context(), s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, d *db.DB, o audit.VerifyOptions) audit.Report {
	t.Helper()
	report, err := audit.Verify(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// clean fails unless the log verifies.
func clean(t testing.TB, d *db.DB, o audit.VerifyOptions, size int64) {
	t.Helper()
	report := verify(t, d, o)
	if report.Size != size || len(report.Problems) > 0 || report.More > 0 {
		t.Fatalf("an honest log: size %d, want %d, problems %v", report.Size, size, report.Problems)
	}
}

// scene is a log of 600 events with checkpoints at 10, 300 and 600, whose
// event n has the id ids[n].
type scene struct {
	*db.DB
	log         *audit.Log
	ids         []string
	checkpoints []audit.Checkpoint
	verifier    note.Verifier
}

func newScene(t *testing.T, d *db.DB) *scene {
	t.Helper()
	signer, verifier := newKey(t)
	s := &scene{DB: d, log: newLog(t, d, signer), verifier: verifier}
	for _, n := range []int{10, 290, 300} {
		s.ids = append(s.ids, appendEvents(t, d, some(n)...)...)
		s.checkpoints = append(s.checkpoints, seal(t, s.log))
	}
	s.ids = append(s.ids, appendEvents(t, d, some(2)...)...) // pending
	return s
}

func (s *scene) options() audit.VerifyOptions {
	return audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{s.verifier}}
}

// cutTo300 makes the log one of 300 events everywhere but in its checkpoints.
func cutTo300(t *testing.T, s *scene) {
	t.Helper()
	meddle(t, s.DB, "DELETE FROM audit_events WHERE seq >= 300",
		"DELETE FROM audit_tiles WHERE (level = 0 AND n > 1) OR level > 0",
		"UPDATE audit_head SET size = 300, hash = (SELECT hash FROM audit_checkpoints WHERE size = 300)")
	err := s.Update(t.Context(), func(tx db.Tx) error {
		var hashes, first []byte
		if err := tx.QueryRowContext(t.Context(), "SELECT hashes FROM audit_tiles WHERE level = 0 AND n = 1").Scan(&hashes); err != nil {
			return err
		}
		if _, err := tx.ExecContext(t.Context(), "UPDATE audit_tiles SET hashes = $1, events = $2 WHERE level = 0 AND n = 1",
			hashes[:44*32], strings.Join(s.ids[256:300], "")); err != nil {
			return err
		}
		if err := tx.QueryRowContext(t.Context(), "SELECT hashes FROM audit_tiles WHERE level = 0 AND n = 0").Scan(&first); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), "INSERT INTO audit_tiles (level, n, hashes, events) VALUES (1, 0, $1, '')", fold(first))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyNamesWhatWasDone(t *testing.T) {
	cases := []struct {
		name   string
		tamper func(t *testing.T, s *scene)
		want   []string // problems; {N} stands for the id of event N
		given  bool     // the three checkpoints are given from outside too
	}{
		{name: "nothing", given: true},
		{name: "content edited", want: []string{"edited {17}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET content = (SELECT content FROM audit_events WHERE seq = 18) WHERE seq = 17")
		}},
		{name: "one byte of content edited", want: []string{"edited {599}"}, tamper: func(t *testing.T, s *scene) {
			flip(t, s, "content", 599, 60)
		}},
		{name: "salt edited", want: []string{"edited {0}"}, tamper: func(t *testing.T, s *scene) { flip(t, s, "salt", 0, 3) }},
		{name: "entry edited", want: []string{"edited {255}"}, tamper: func(t *testing.T, s *scene) { flip(t, s, "entry", 255, 31) }},
		{name: "content and entry edited together", want: []string{"edited {400}"}, tamper: func(t *testing.T, s *scene) {
			rewrite(t, s, 400)
		}},
		{name: "time edited", want: []string{"edited {5}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET at = at - 1000000 WHERE seq = 5")
		}},
		{name: "kind and object edited", want: []string{"edited {5}", "edited {6}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET kind = 'nothing' WHERE seq = 5", "UPDATE audit_events SET object = '' WHERE seq = 6")
		}},
		{name: "made a certificate", want: []string{"edited {5}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET kind = 'certificate', salt = substr(salt, 1, 0) WHERE seq = 5")
		}},
		{name: "row deleted", want: []string{"removed {300}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq = 300")
		}},
		{name: "row and every trace of its id deleted", want: []string{"edited tile:0/1", "removed seq:300"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq = 300", "UPDATE audit_tiles SET events = '' WHERE level = 0 AND n = 1")
		}},
		{name: "row deleted and the next ones moved up", want: []string{"removed {597}", "reordered {598}", "reordered {599}", "truncated {599}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq = 597", "UPDATE audit_events SET seq = 597 WHERE seq = 598",
				"UPDATE audit_events SET seq = 598 WHERE seq = 599")
		}},
		{name: "two events swapped", want: []string{"reordered {20}", "reordered {500}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET seq = -1 WHERE seq = 20", "UPDATE audit_events SET seq = 20 WHERE seq = 500",
				"UPDATE audit_events SET seq = 500 WHERE seq = -1")
		}},
		{name: "event taken back to pending", want: []string{"reordered {20}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET seq = NULL WHERE seq = 20")
		}},
		{name: "event moved behind the end", want: []string{"reordered {20}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET seq = 1000000000000 WHERE seq = 20")
		}},
		{name: "event replaced by another", want: []string{"removed {20}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq = 20", "UPDATE audit_events SET seq = 20 WHERE id = '"+s.ids[600]+"'")
		}},
		{name: "pending event edited", want: []string{"edited {601}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_events SET content = (SELECT content FROM audit_events WHERE seq = 18) WHERE id = '"+s.ids[601]+"'")
		}},
		{name: "tail deleted", want: []string{"removed {598}", "removed {599}", "truncated {598}"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events WHERE seq >= 598")
		}},
		{name: "tail deleted and the tree with it", want: []string{"truncated seq:300"}, tamper: cutTo300},
		{name: "tail, tree and checkpoint deleted", want: []string{"truncated seq:300"}, given: true, tamper: func(t *testing.T, s *scene) {
			cutTo300(t, s)
			meddle(t, s.DB, "DELETE FROM audit_checkpoints WHERE size > 300")
		}},
		{name: "everything deleted", want: []string{"edited head", "truncated seq:0"}, given: true, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_events", "DELETE FROM audit_tiles", "DELETE FROM audit_head", "DELETE FROM audit_checkpoints")
		}},
		{name: "history rewritten", want: []string{"forked checkpoint:600"}, tamper: func(t *testing.T, s *scene) {
			rewriteTree(t, s, 400)
		}},
		{name: "history rewritten, checkpoints given", given: true, tamper: func(t *testing.T, s *scene) { rewriteTree(t, s, 5) },
			want: []string{"forked checkpoint:10", "forked checkpoint:300", "forked checkpoint:600"}},
		{name: "history rewritten under a fresh key", want: []string{"forked checkpoint:602"}, tamper: freshKey},
		{name: "history rewritten under a fresh key, checkpoints given", given: true, tamper: freshKey,
			want: []string{"forked checkpoint:10", "forked checkpoint:300", "forked checkpoint:600", "forked checkpoint:602"}},
		{name: "checkpoint edited", want: []string{"edited checkpoint:300"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_checkpoints SET note = (SELECT content FROM audit_events WHERE seq = 1) WHERE size = 300")
		}},
		{name: "checkpoint of another size", want: []string{"edited checkpoint:300"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_checkpoints SET note = (SELECT note FROM audit_checkpoints WHERE size = 10) WHERE size = 300")
		}},
		{name: "newest checkpoint under a smaller size", want: []string{"edited checkpoint:299"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_checkpoints SET size = 299 WHERE size = 600")
		}},
		{name: "leaf tile edited", want: []string{"edited {3}", "edited tile:1/0"}, tamper: func(t *testing.T, s *scene) { flipTile(t, s, 0, 0, 3*32) }},
		{name: "upper tile edited", want: []string{"edited tile:1/0"}, tamper: func(t *testing.T, s *scene) { flipTile(t, s, 1, 0, 40) }},
		{name: "leaf tile missing", want: []string{"edited tile:0/1"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "DELETE FROM audit_tiles WHERE level = 0 AND n = 1")
		}},
		{name: "tile added", want: []string{"edited tiles"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "INSERT INTO audit_tiles (level, n, hashes, events) SELECT 2, 0, hashes, '' FROM audit_tiles WHERE level = 1")
		}},
		{name: "head shrunk", want: []string{"edited head"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_head SET size = 300")
		}},
		{name: "head grown", want: []string{"edited head"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_head SET size = 601")
		}},
		{name: "head hash edited", want: []string{"edited head"}, tamper: func(t *testing.T, s *scene) {
			meddle(t, s.DB, "UPDATE audit_head SET hash = (SELECT entry FROM audit_events WHERE seq = 0)")
		}},
	}
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		s := newScene(t, d)
		save(t, d)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				restore(t, d)
				o := s.options()
				if c.given {
					for _, c := range s.checkpoints {
						o.Checkpoints = append(o.Checkpoints, c.Note)
					}
				}
				clean(t, d, o, 600)
				if c.tamper != nil {
					c.tamper(t, s)
				}
				report := verify(t, d, o)
				var got, want []string
				for _, p := range report.Problems {
					got = append(got, p.String())
				}
				for _, w := range c.want {
					want = append(want, s.name(w))
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("problems %v\nwant %v", report.Problems, want)
				}
			})
		}
	})
}

// name puts the ids of events in the place of {N}.
func (s *scene) name(want string) string {
	var n int
	kind, event, _ := strings.Cut(want, " ")
	if _, err := fmt.Sscanf(event, "{%d}", &n); err == nil {
		return kind + " " + s.ids[n]
	}
	return want
}

func TestVerifyBoundsItsReport(t *testing.T) {
	d := testkit.SQLite(t)
	signer, verifier := newKey(t)
	l := newLog(t, d, signer)
	appendEvents(t, d, some(12000)...)
	seal(t, l)
	meddle(t, d, "UPDATE audit_events SET entry = salt")
	report := verify(t, d, audit.VerifyOptions{Verifiers: []note.Verifier{verifier}})
	if len(report.Problems) != 10000 || report.More != 2000 {
		t.Errorf("%d problems and %d more", len(report.Problems), report.More)
	}
}

func TestVerifyQuotesWhatSomebodyWroteAsAnID(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		s := newScene(t, d)
		meddle(t, d, "UPDATE audit_events SET id = 'x"+"\x1b[2J"+"' WHERE seq = 4")
		for _, p := range verify(t, d, s.options()).Problems {
			if strings.ContainsRune(p.Event, 0x1b) {
				t.Errorf("a control character is printed: %q", p.Event)
			}
		}
	})
}

func TestVerifyAfterARotation(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		s := newScene(t, d)
		signer, verifier := newKey(t)
		seal(t, newLog(t, d, signer))
		o := s.options()
		report := verify(t, d, o)
		if len(report.Problems) != 1 || report.Problems[0].String() != "forked checkpoint:602" {
			t.Errorf("with the old key alone: %v", report.Problems)
		}
		o.Verifiers = append(o.Verifiers, verifier)
		clean(t, d, o, 602)
	})
}

func TestVerifyRefusesUnusableCheckpoints(t *testing.T) {
	d := testkit.SQLite(t)
	s := newScene(t, d)
	good := s.checkpoints[1].Note
	otherSigner, _ := newKey(t)
	foreign, err := note.Sign(&note.Note{Text: "example.net/log\n3\n" + strings.Split(string(good), "\n")[2] + "\n"}, otherSigner)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":           nil,
		"text":            []byte("hello"),
		"broken":          slices.Concat(good[:len(good)-9], []byte("AAAAAAAA\n")),
		"of another log":  foreign,
		"too large":       make([]byte, audit.MaxCheckpoint+1),
		"cut":             good[:len(good)-1],
		"without its key": []byte(strings.Split(string(good), "—")[0]),
	} {
		t.Run(name, func(t *testing.T) {
			o := s.options()
			o.Checkpoints = [][]byte{b}
			_, err := audit.Verify(t.Context(), d, o)
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("Verify returned %v", err)
			}
		})
	}
}

func TestVerifyWithoutKeysTrustsNoCheckpoint(t *testing.T) {
	d := testkit.SQLite(t)
	newScene(t, d)
	if report := verify(t, d, audit.VerifyOptions{}); len(report.Problems) != 3 {
		t.Errorf("problems %v, want one for each checkpoint", report.Problems)
	}
}
