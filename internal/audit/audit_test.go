package audit_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

const origin = "example.org/log"

func TestMain(m *testing.M) { testkit.Main(m) }

// newKey returns a log key.
func newKey(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

// newLog returns a log over d that signs with s.
func newLog(t testing.TB, d *db.DB, s note.Signer) *audit.Log {
	t.Helper()
	return audit.New(audit.Options{DB: d, Origin: origin, Logger: testkit.Logger(t),
		Signer: func(context.Context) (note.Signer, error) { return s, nil }})
}

func appendEvents(t testing.TB, d *db.DB, events ...audit.Event) (ids []string) {
	t.Helper()
	err := d.Update(t.Context(), func(tx db.Tx) (err error) {
		ids, err = audit.Append(t.Context(), tx, events...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// some returns n different events.
func some(n int) []audit.Event {
	events := make([]audit.Event, n)
	for i := range events {
		events[i] = audit.Event{Kind: "license.issue.intent", Actor: "client:desk", Object: fmt.Sprintf("license:%d", i),
			Data: map[string]any{"number": fmt.Sprintf("N-%06d", i), "index": int64(i), "new": i%2 == 0, "hash": []byte{1, 2, byte(i)}}}
	}
	return events
}

func seal(t testing.TB, l *audit.Log) audit.Checkpoint {
	t.Helper()
	c, err := l.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func find(t testing.TB, d *db.DB, f audit.EventFilter) (records []audit.Record) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) (err error) {
		records, err = audit.Find(t.Context(), tx, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestAppendIsFoundAgain(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		events := some(300)
		events[7].Data = nil
		events[8].Data = map[string]any{"empty": []byte(nil), "low": int64(-1 << 63), "name": "东湖区"}
		before := time.Now().Add(-time.Millisecond)
		ids := appendEvents(t, d, events...)
		got := find(t, d, audit.EventFilter{Kind: "license.issue.intent"})
		if len(got) != len(events) {
			t.Fatalf("found %d events, want %d", len(got), len(events))
		}
		events[7].Data = map[string]any{}
		events[8].Data["empty"] = []byte{}
		for i, r := range got {
			if r.At.Before(before) || r.At.After(time.Now()) {
				t.Fatalf("event %d is of %v", i, r.At)
			}
			want := audit.Record{ID: ids[i], At: got[0].At, Kind: events[i].Kind, Actor: events[i].Actor,
				Object: events[i].Object, Data: events[i].Data, Seq: -1}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Fatalf("event %d (-want +got):\n%s", i, diff)
			}
		}
		page := find(t, d, audit.EventFilter{After: ids[9], Limit: 5})
		if len(page) != 5 || page[0].ID != ids[10] {
			t.Errorf("page after %s: %v", ids[9], page)
		}
		if r := find(t, d, audit.EventFilter{Object: "license:42"}); len(r) != 1 || r[0].ID != ids[42] {
			t.Errorf("by object: %v", r)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	d := testkit.SQLite(t)
	good := audit.Event{Kind: "a.b", Actor: "system", Object: "x:1"}
	many := map[string]any{}
	for i := range 65 {
		many[fmt.Sprint(i)] = true
	}
	cases := []struct {
		name   string
		change func(*audit.Event)
		kind   fault.Kind
	}{
		{"no kind", func(e *audit.Event) { e.Kind = "" }, fault.Internal},
		{"kind with capitals", func(e *audit.Event) { e.Kind = "A" }, fault.Internal},
		{"kind of certificates", func(e *audit.Event) { e.Kind = audit.KindCertificate }, fault.Internal},
		{"long kind", func(e *audit.Event) { e.Kind = strings.Repeat("k", 65) }, fault.Internal},
		{"no actor", func(e *audit.Event) { e.Actor = "" }, fault.Internal},
		{"NUL in object", func(e *audit.Event) { e.Object = "a\x00" }, fault.Internal},
		{"object not UTF-8", func(e *audit.Event) { e.Object = "\xff" }, fault.Internal},
		{"long object", func(e *audit.Event) { e.Object = strings.Repeat("o", 201) }, fault.Internal},
		{"int", func(e *audit.Event) { e.Data = map[string]any{"n": 1} }, fault.Internal},
		{"nil", func(e *audit.Event) { e.Data = map[string]any{"n": nil} }, fault.Internal},
		{"float", func(e *audit.Event) { e.Data = map[string]any{"n": 1.5} }, fault.Internal},
		{"nested", func(e *audit.Event) { e.Data = map[string]any{"n": map[string]any{}} }, fault.Internal},
		{"empty key", func(e *audit.Event) { e.Data = map[string]any{"": true} }, fault.Internal},
		{"value not UTF-8", func(e *audit.Event) { e.Data = map[string]any{"n": "\xc0"} }, fault.Internal},
		{"many members", func(e *audit.Event) { e.Data = many }, fault.TooLarge},
		{"large", func(e *audit.Event) { e.Data = map[string]any{"n": make([]byte, audit.MaxContent)} }, fault.TooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bad := good
			c.change(&bad)
			err := d.Update(t.Context(), func(tx db.Tx) error {
				_, err := audit.Append(t.Context(), tx, good, bad)
				return err
			})
			if err == nil || fault.KindOf(err) != c.kind {
				t.Fatalf("Append returned %v of kind %v, want kind %v", err, fault.KindOf(err), c.kind)
			}
			if r := find(t, d, audit.EventFilter{}); len(r) != 0 {
				t.Fatalf("%d events remain", len(r))
			}
		})
	}
	if ids := appendEvents(t, d); ids != nil {
		t.Errorf("Append of nothing returned %v", ids)
	}
}

func TestEventIsGoneWithItsTransaction(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		wanted := errors.New("no")
		err := d.Update(t.Context(), func(tx db.Tx) error {
			if _, err := audit.Append(t.Context(), tx, some(3)...); err != nil {
				return err
			}
			return wanted
		})
		if !errors.Is(err, wanted) {
			t.Fatal(err)
		}
		if r := find(t, d, audit.EventFilter{}); len(r) != 0 {
			t.Errorf("%d events remain", len(r))
		}
	})
}

func TestCertificateEntryIsTheHashOfItsDER(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, verifier := newKey(t)
		l := newLog(t, d, signer)
		der := []byte{0x30, 3, 2, 1, 5}
		var id string
		err := d.Update(t.Context(), func(tx db.Tx) (err error) {
			for name, bad := range map[string][]byte{"empty": nil, "trailing": {0x30, 0, 0}, "set": {0x31, 0}, "large": make([]byte, audit.MaxCertificate+1)} {
				if _, err := audit.AppendCertificate(t.Context(), tx, bad); err == nil {
					t.Errorf("%s was accepted", name)
				}
			}
			if _, err := audit.AppendCertificate(t.Context(), tx, der, audit.Event{}); err == nil {
				t.Error("an event of nothing was accepted")
			}
			id, err = audit.AppendCertificate(t.Context(), tx, der, some(1)...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		appendEvents(t, d, some(2)...)
		seal(t, l)
		p, err := l.Inclusion(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if p.Index != 1 { // behind its event, before those that came later
			t.Errorf("it is entry %d", p.Index)
		}
		entry := sha256.Sum256(der)
		if err := tlog.CheckRecord(p.Path, p.Checkpoint.Size, p.Checkpoint.Hash, p.Index, tlog.RecordHash(entry[:])); err != nil {
			t.Error(err)
		}
		r := find(t, d, audit.EventFilter{Object: audit.CertificateObject(der)})
		if len(r) != 1 || r[0].ID != id || string(r[0].Certificate) != string(der) || r[0].Kind != audit.KindCertificate {
			t.Errorf("found %v", r)
		}
		clean(t, d, audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{verifier}}, 4)
	})
}

// TestEntryIsTheKeyedHashOfTheContent opens an event as an auditor would who is
// given its row.
func TestEntryIsTheKeyedHashOfTheContent(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		appendEvents(t, d, some(40)...)
		salts := map[string]bool{}
		err := d.Read(t.Context(), func(tx db.Tx) error {
			rows, err := tx.QueryContext(t.Context(), "SELECT salt, content, entry FROM audit_events")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var salt, content, entry []byte
				if err := rows.Scan(&salt, &content, &entry); err != nil {
					return err
				}
				mac := hmac.New(sha256.New, salt)
				mac.Write(content)
				if !hmac.Equal(mac.Sum(nil), entry) || len(salt) != 16 || salts[string(salt)] {
					t.Error("an entry is not the keyed hash of its content under a salt of its own")
				}
				salts[string(salt)] = true
			}
			return rows.Err()
		})
		if err != nil || len(salts) != 40 {
			t.Fatal(len(salts), err)
		}
	})
}

func TestSealOrdersByTimeThenID(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, verifier := newKey(t)
		l := newLog(t, d, signer)
		if c := seal(t, l); c.Size != 0 {
			t.Fatalf("the empty log has size %d", c.Size)
		}
		var want []string
		for range 3 {
			want = append(want, appendEvents(t, d, some(audit.Batch/2+7)...)...)
		}
		c := seal(t, l)
		if int(c.Size) != len(want) || c.Origin != origin {
			t.Fatalf("sealed %d of %d as %q", c.Size, len(want), c.Origin)
		}
		for i, r := range find(t, d, audit.EventFilter{}) {
			if r.ID != want[r.Seq] || want[i] != r.ID {
				t.Fatalf("event %d has seq %d", i, r.Seq)
			}
		}
		again := seal(t, l)
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("a seal of nothing made another checkpoint:\n%s", diff)
		}
		clean(t, d, audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{verifier}}, c.Size)
	})
}

func TestLatestWithoutCheckpoint(t *testing.T) {
	d := testkit.SQLite(t)
	signer, _ := newKey(t)
	l := newLog(t, d, signer)
	if _, err := l.Latest(t.Context()); !errors.Is(err, audit.ErrNoCheckpoint) {
		t.Errorf("Latest returned %v", err)
	}
	id := appendEvents(t, d, some(1)...)[0]
	if _, err := l.Inclusion(t.Context(), id); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Inclusion of a pending event returned %v", err)
	}
	if _, err := l.Inclusion(t.Context(), "nobody"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Inclusion of an unknown event returned %v", err)
	}
}

// TestSequencersRace lets four sequencers seal what four writers append.
func TestSequencersRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, verifier := newKey(t)
		var writers, sequencers sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			l := newLog(t, d, signer)
			sequencers.Go(func() {
				for {
					if _, err := l.Seal(t.Context()); err != nil {
						t.Error(err)
						return
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		for range 4 {
			writers.Go(func() {
				for i := range 30 {
					err := d.Update(t.Context(), func(tx db.Tx) error {
						_, err := audit.Append(t.Context(), tx, some(1+i%9)...)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		close(done)
		sequencers.Wait()
		c := seal(t, newLog(t, d, signer))
		records := find(t, d, audit.EventFilter{})
		if int(c.Size) != len(records) || len(records) != 4*141 {
			t.Fatalf("sealed %d of %d, want %d", c.Size, len(records), 4*141)
		}
		seen := map[int64]bool{}
		for _, r := range records {
			if r.Seq < 0 || r.Seq >= c.Size || seen[r.Seq] {
				t.Errorf("event %s has seq %d", r.ID, r.Seq)
			}
			seen[r.Seq] = true
		}
		clean(t, d, audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{verifier}}, c.Size)
	})
}

// TestCrashBeforeTheSignature leaves a committed head without a checkpoint.
func TestCrashBeforeTheSignature(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, verifier := newKey(t)
		first := seal(t, newLog(t, d, signer))
		id := appendEvents(t, d, some(20)...)[3]
		wanted := errors.New("the key is away")
		broken := audit.New(audit.Options{DB: d, Origin: origin, Signer: func(context.Context) (note.Signer, error) { return nil, wanted }})
		if _, err := broken.Seal(t.Context()); !errors.Is(err, wanted) {
			t.Fatalf("Seal returned %v", err)
		}
		if r := find(t, d, audit.EventFilter{Object: "license:3"}); r[0].Seq != 3 {
			t.Fatalf("event has seq %d", r[0].Seq)
		}
		l := newLog(t, d, signer)
		if c, err := l.Latest(t.Context()); err != nil || c.Size != first.Size {
			t.Fatalf("Latest returned size %d, %v", c.Size, err)
		}
		if _, err := l.Inclusion(t.Context(), id); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("Inclusion beyond the checkpoint returned %v", err)
		}
		o := audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{verifier}}
		clean(t, d, o, 20)
		if c := seal(t, l); c.Size != 20 {
			t.Fatalf("Seal returned size %d", c.Size)
		}
		clean(t, d, o, 20)
	})
}

// TestSealRefusesATamperedTree keeps the log from signing what was meddled with.
func TestSealRefusesATamperedTree(t *testing.T) {
	cases := map[string]string{
		"tile changed":       "UPDATE audit_tiles SET hashes = (SELECT hash FROM audit_head)",
		"tile gone":          "DELETE FROM audit_tiles",
		"head hash changed":  "UPDATE audit_head SET hash = (SELECT entry FROM audit_events WHERE seq = 0)",
		"head size changed":  "UPDATE audit_head SET size = 7",
		"head gone":          "DELETE FROM audit_head",
		"event unsealed":     "UPDATE audit_events SET seq = NULL WHERE seq = 9; UPDATE audit_events SET seq = 10 WHERE seq = 8",
		"seq taken":          "UPDATE audit_events SET seq = 10 WHERE seq = 9",
		"checkpoint rewound": "UPDATE audit_head SET size = 0, hash = (SELECT hash FROM audit_checkpoints WHERE size = 0); DELETE FROM audit_tiles; UPDATE audit_events SET seq = NULL",
	}
	for name, tamper := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.Each(t, func(t *testing.T, d *db.DB) {
				signer, _ := newKey(t)
				l := newLog(t, d, signer)
				seal(t, l)
				appendEvents(t, d, some(10)...)
				before := seal(t, l)
				meddle(t, d, strings.Split(tamper, ";")...)
				if name != "checkpoint rewound" {
					appendEvents(t, d, some(3)...)
				} else {
					meddle(t, d, "DELETE FROM audit_events WHERE object = 'license:0'")
				}
				if c, err := l.Seal(t.Context()); err == nil {
					t.Errorf("Seal went on to size %d", c.Size)
				}
				if c, err := l.Latest(t.Context()); err != nil || c.Size != before.Size {
					t.Errorf("Latest is of size %d, %v", c.Size, err)
				}
			})
		})
	}
}

func TestProofs(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, _ := newKey(t)
		l := newLog(t, d, signer)
		var checkpoints []audit.Checkpoint
		var ids []string
		for _, n := range []int{1, 2, 252, 1, 1, 300, 1000} {
			ids = append(ids, appendEvents(t, d, some(n)...)...)
			checkpoints = append(checkpoints, seal(t, l))
		}
		newest := checkpoints[len(checkpoints)-1]
		for _, older := range checkpoints {
			proof, err := l.Consistency(t.Context(), older.Size, newest.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(proof, newest.Size, newest.Hash, older.Size, older.Hash); err != nil {
				t.Errorf("from %d to %d: %v", older.Size, newest.Size, err)
			}
		}
		for _, i := range []int{0, 1, 255, 256, 511, 555, len(ids) - 1} {
			p, err := l.Inclusion(t.Context(), ids[i])
			if err != nil {
				t.Fatal(err)
			}
			if p.Index != int64(i) {
				t.Errorf("event %d is at %d", i, p.Index)
			}
			if err := tlog.CheckRecord(p.Path, newest.Size, newest.Hash, p.Index, tlog.RecordHash(p.Entry)); err != nil {
				t.Errorf("event %d: %v", i, err)
			}
		}
		for _, sizes := range [][2]int64{{0, 1}, {2, 1}, {-1, 5}, {1, newest.Size + 1}} {
			if _, err := l.Consistency(t.Context(), sizes[0], sizes[1]); fault.KindOf(err) != fault.Invalid {
				t.Errorf("Consistency%v returned %v", sizes, err)
			}
		}
	})
}

func TestRunSealsAndOutlivesFailures(t *testing.T) {
	d := testkit.SQLite(t)
	signer, _ := newKey(t)
	registry := prometheus.NewRegistry()
	calls := 0
	l := audit.New(audit.Options{DB: d, Origin: origin, Every: time.Millisecond, Registerer: registry, Logger: testkit.Logger(t),
		Signer: func(context.Context) (note.Signer, error) {
			if calls++; calls < 3 {
				return nil, errors.New("the key is away")
			}
			return signer, nil
		}})
	appendEvents(t, d, some(5)...)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for {
		if c, err := l.Latest(t.Context()); err == nil && c.Size == 5 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	if got["signet_audit_size"] != 5 || got["signet_audit_seal_failures_total"] < 2 || got["signet_audit_seal_seconds"] < 1 {
		t.Errorf("metrics: %v", got)
	}
}

func TestOptionsAreRequired(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New accepted no database")
		}
	}()
	audit.New(audit.Options{Origin: origin})
}
