package audit_test

import (
	"bytes"
	"context"
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

const erasing = "the court of Donghu, file 12"

func erase(t testing.TB, d *db.DB, event, reason string) error {
	t.Helper()
	return d.Update(t.Context(), func(tx db.Tx) error {
		return audit.Erase(t.Context(), tx, event, "person:officer", reason)
	})
}

// left counts the rows that still hold a text.
func left(t testing.TB, d *db.DB, text string) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		rows, err := tx.QueryContext(t.Context(), "SELECT id, object, salt, content FROM audit_events")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, object string
			var salt, content []byte
			if err := rows.Scan(&id, &object, &salt, &content); err != nil {
				return err
			}
			if strings.Contains(object, text) || bytes.Contains(salt, []byte(text)) || bytes.Contains(content, []byte(text)) {
				n++
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestErase(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		l := newLog(t, d, signer)
		s := serve(t, l, key)
		ids := appendEvents(t, d, some(300)...)
		seal(t, l)
		o := audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{key}, Checkpoints: [][]byte{s.must("checkpoint")}}
		before := s.must("tile/entries/000")
		for _, n := range []int{7, 8, 299} {
			if err := erase(t, d, ids[n], erasing); err != nil {
				t.Fatal(err)
			}
		}
		clean(t, d, o, 300) // ordered, and not done
		if n := left(t, d, "N-000007"); n != 1 {
			t.Errorf("before its erasing is sealed, %d rows hold it", n)
		}
		seal(t, l)
		for _, n := range []int{7, 8, 299} {
			if rows := left(t, d, fmt.Sprintf("N-%06d", n)) + left(t, d, fmt.Sprintf("license:%d\x00", n)); rows != 0 {
				t.Errorf("%d rows still hold event %d", rows, n)
			}
			if found := find(t, d, audit.EventFilter{Object: fmt.Sprintf("license:%d", n)}); len(found) != 0 {
				t.Errorf("it is still found: %v", found)
			}
			if _, err := audit.Prove(t.Context(), d, ids[n]); fault.KindOf(err) != fault.NotFound {
				t.Errorf("proof of an erased event: %v", err)
			}
		}
		clean(t, d, o, 303)
		if !bytes.Equal(before, s.must("tile/entries/000")) {
			t.Error("the entries changed")
		}
		r := find(t, d, audit.EventFilter{After: ids[6], Limit: 1})[0]
		if !r.Erased || r.ID != ids[7] || r.Seq != 7 || r.Kind != "license.issue.intent" || r.Actor != "" || r.Object != "" || r.Data != nil || r.Certificate != nil {
			t.Errorf("what is left: %+v", r)
		}
		said := find(t, d, audit.EventFilter{Object: "event:" + ids[7]})
		if len(said) != 1 || said[0].Kind != audit.KindErase || said[0].Actor != "person:officer" || said[0].Data["reason"] != erasing {
			t.Errorf("the event of the erasing: %v", said)
		}
		appendEvents(t, d, some(300)...)
		seal(t, l)
		clean(t, d, o, 603)
	})
}

// TestEraseAfterACrash seals the order with a sequencer that dies before it empties
// the event.
func TestEraseAfterACrash(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		ids := appendEvents(t, d, some(5)...)
		seal(t, newLog(t, d, signer))
		if err := erase(t, d, ids[2], erasing); err != nil {
			t.Fatal(err)
		}
		ctx, crash := context.WithCancel(t.Context())
		dying := audit.New(audit.Options{DB: d, Origin: origin, Signer: func(context.Context) (note.Signer, error) {
			crash()
			return signer, nil
		}})
		if _, err := dying.Seal(ctx); err == nil {
			t.Fatal("it did not die")
		}
		o := audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{key}}
		clean(t, d, o, 6)
		if left(t, d, "N-000002") != 1 {
			t.Error("the content went before a checkpoint covered its erasing")
		}
		seal(t, newLog(t, d, signer))
		clean(t, d, o, 6)
		if left(t, d, "N-000002") != 0 {
			t.Error("the content is still there")
		}
	})
}

func TestEraseRefuses(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		l := newLog(t, d, signer)
		certificate := appendCertificate(t, d, []byte("\x30\x09certified"))
		ids := appendEvents(t, d, some(5)...)
		seal(t, l)
		if err := erase(t, d, ids[0], erasing); err != nil {
			t.Fatal(err)
		}
		seal(t, l)
		if err := erase(t, d, ids[1], erasing); err != nil {
			t.Fatal(err)
		}
		pending := appendEvents(t, d, some(1)...)[0]
		order := find(t, d, audit.EventFilter{Object: "event:" + ids[0]})[0].ID
		for _, c := range []struct {
			name, event, reason string
			kind                fault.Kind
		}{
			{"unknown", "nobody", erasing, fault.NotFound},
			{"empty", "", erasing, fault.NotFound},
			{"pending", pending, erasing, fault.Unavailable},
			{"certificate", certificate, erasing, fault.Invalid},
			{"erasure", order, erasing, fault.Invalid},
			{"erased", ids[0], erasing, fault.Conflict},
			{"about to be", ids[1], erasing, fault.Conflict},
			{"no reason", ids[2], "", fault.Invalid},
			{"long reason", ids[2], strings.Repeat("r", 501), fault.Invalid},
			{"reason that is no text", ids[2], "\xff", fault.Invalid},
			{"reason with NUL", ids[2], "a\x00b", fault.Invalid},
		} {
			if err := erase(t, d, c.event, c.reason); fault.KindOf(err) != c.kind {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		err := d.Update(t.Context(), func(tx db.Tx) error {
			if err := audit.Erase(t.Context(), tx, ids[3], "system", erasing); err != nil {
				return err
			}
			return context.Canceled
		})
		if err == nil || len(find(t, d, audit.EventFilter{Kind: audit.KindErase})) != 2 {
			t.Errorf("an erasing that was rolled back, or refused, left an event: %v", err)
		}
		seal(t, l)
		clean(t, d, audit.VerifyOptions{Verifiers: []note.Verifier{key}}, 9)
	})
}

// TestVerifyTellsErasedFromRemoved empties events as somebody with the database can.
func TestVerifyTellsErasedFromRemoved(t *testing.T) {
	const empty = "object = '', salt = substr(salt, 1, 0), content = substr(content, 1, 0)"
	cases := []struct {
		name   string
		tamper []string
		want   []string // {N} stands for the id of event N
	}{
		{name: "erased", want: nil},
		{name: "emptied without a word", tamper: []string{"UPDATE audit_events SET " + empty + " WHERE seq = 3"}, want: []string{"removed {3}"}},
		{name: "emptied, its object kept", tamper: []string{"UPDATE audit_events SET salt = substr(salt, 1, 0), content = substr(content, 1, 0) WHERE seq = 3"},
			want: []string{"removed {3}"}},
		{name: "ordered in the table alone", tamper: []string{"UPDATE audit_events SET " + empty + " WHERE seq = 3",
			"INSERT INTO audit_erasures (event, ordered) SELECT a.id, b.id FROM audit_events a, audit_events b WHERE a.seq = 3 AND b.seq = 4"}, want: []string{"removed {3}"}},
		{name: "emptied by the order for another", tamper: []string{"UPDATE audit_events SET " + empty + " WHERE seq = 3",
			"UPDATE audit_events SET object = 'event:' || (SELECT id FROM audit_events WHERE seq = 3) WHERE kind = 'audit.erase'"},
			want: []string{"edited {order}", "removed {3}", "removed {5}"}},
		{name: "the order taken back", tamper: []string{"UPDATE audit_events SET seq = NULL WHERE kind = 'audit.erase'"},
			want: []string{"removed {5}", "reordered {order}"}},
		{name: "the order moved before its event", tamper: []string{"UPDATE audit_events SET seq = -1 WHERE seq = 2", "UPDATE audit_events SET seq = 2 WHERE kind = 'audit.erase'",
			"UPDATE audit_events SET seq = 10 WHERE seq = -1"}, want: []string{"removed {5}", "reordered {2}", "reordered {order}"}},
		{name: "the order moved behind the end", tamper: []string{"UPDATE audit_events SET seq = 1000 WHERE kind = 'audit.erase'"},
			want: []string{"removed {5}", "reordered {order}"}},
		{name: "the order deleted", tamper: []string{"DELETE FROM audit_events WHERE kind = 'audit.erase'"}, want: []string{"removed {5}", "removed {order}"}},
		{name: "the order emptied too", tamper: []string{"UPDATE audit_events SET salt = substr(salt, 1, 0), content = substr(content, 1, 0) WHERE kind = 'audit.erase'"},
			want: []string{"removed {5}", "removed {order}"}},
		{name: "another kind on what is left", tamper: []string{"UPDATE audit_events SET kind = 'nothing' WHERE seq = 5"}, want: []string{"edited {5}"}},
		{name: "another time on what is left", tamper: []string{"UPDATE audit_events SET at = at + 1 WHERE seq = 5"}, want: []string{"edited {5}"}},
		{name: "an object on what is left", tamper: []string{"UPDATE audit_events SET object = 'license:9' WHERE seq = 5"}, want: []string{"edited {5}"}},
		{name: "another entry on what is left", tamper: []string{"UPDATE audit_events SET entry = (SELECT entry FROM audit_events WHERE seq = 1) WHERE seq = 5"},
			want: []string{"edited {5}"}},
		{name: "an entry of no length on what is left", tamper: []string{"UPDATE audit_events SET entry = substr(entry, 1, 9) WHERE seq = 5"}, want: []string{"edited {5}"}},
		{name: "a certificate emptied", tamper: []string{"UPDATE audit_events SET object = '', content = salt WHERE kind = 'certificate'"}, want: []string{"removed {0}"}},
		{name: "a pending event emptied", tamper: []string{"UPDATE audit_events SET " + empty + " WHERE seq IS NULL"}, want: []string{"removed {pending}"}},
		{name: "the row left deleted", tamper: []string{"DELETE FROM audit_events WHERE seq = 5"}, want: []string{"removed {5}"}},
		{name: "other content put in", tamper: []string{"UPDATE audit_events SET content = (SELECT content FROM audit_events WHERE seq = 1) WHERE seq = 5"},
			want: []string{"edited {5}"}},
	}
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		l := newLog(t, d, signer)
		names := map[string]string{"{0}": appendCertificate(t, d, []byte("\x30\x09certified"))}
		seal(t, l)
		for n, id := range appendEvents(t, d, some(9)...) {
			names[fmt.Sprintf("{%d}", n+1)] = id
		}
		seal(t, l)
		if err := erase(t, d, names["{5}"], erasing); err != nil {
			t.Fatal(err)
		}
		seal(t, l)
		appendEvents(t, d, some(1)...)
		seal(t, l)
		names["{order}"] = find(t, d, audit.EventFilter{Kind: audit.KindErase})[0].ID
		names["{pending}"] = appendEvents(t, d, some(1)...)[0]
		save(t, d)
		o := audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{key}}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				restore(t, d)
				clean(t, d, o, 12)
				meddle(t, d, c.tamper...)
				var got, want []string
				for _, p := range verify(t, d, o).Problems {
					got = append(got, p.String())
				}
				for _, w := range c.want {
					kind, name, _ := strings.Cut(w, " ")
					want = append(want, kind+" "+names[name])
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
