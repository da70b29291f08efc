package audit_test

import (
	"bytes"
	"encoding/json/v2"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// exported returns the lines of an honest export of 12 events: a certificate, ten
// of which the sixth is erased, and the erasing.
func exported(t testing.TB) (lines []string, key note.Verifier) {
	t.Helper()
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	l := newLog(t, d, signer)
	appendCertificate(t, d, []byte("\x30\x09certified"))
	seal(t, l)
	ids := appendEvents(t, d, some(10)...)
	seal(t, l)
	if err := erase(t, d, ids[5], erasing); err != nil {
		t.Fatal(err)
	}
	seal(t, l)
	x, err := l.Export(t.Context(), audit.ExportSpec{To: -1, Actor: "system"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := x.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n"), key
}

// edit changes one line as a program would.
func edit(t testing.TB, line string, change func(l *audit.ExportLine)) string {
	t.Helper()
	var l audit.ExportLine
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		t.Fatal(err)
	}
	change(&l)
	return string(must(json.Marshal(l))) + "\n"
}

func TestCheckExportRefuses(t *testing.T) {
	good, key := exported(t)
	_, stranger := newKey(t)
	with := func(n int, line string) []string {
		lines := slices.Clone(good)
		lines[n] = line
		return lines
	}
	event := func(n int, change func(l *audit.ExportLine)) []string { return with(n, edit(t, good[n], change)) }
	end := func(old, new string) []string {
		if !strings.Contains(good[12], old) {
			t.Fatalf("the end is %s", good[12])
		}
		return with(12, strings.Replace(good[12], old, new, 1))
	}
	other := edit(t, good[3], func(*audit.ExportLine) {})
	for name, lines := range map[string][]string{
		"empty":                        nil,
		"end alone":                    good[12:],
		"no end":                       good[:12],
		"end cut":                      with(12, good[12][:40]),
		"end twice":                    append(slices.Clone(good), "\n"+good[12]),
		"event behind the end":         append(slices.Clone(good), "\n"+good[11]),
		"event missing":                slices.Delete(slices.Clone(good), 4, 5),
		"first event missing":          good[1:],
		"last event missing":           slices.Delete(slices.Clone(good), 11, 12),
		"event twice":                  slices.Insert(slices.Clone(good), 4, good[4]),
		"events swapped":               with(4, good[5]),
		"no JSON":                      with(4, "hello\n"),
		"null":                         with(4, "null\n"),
		"a list":                       with(4, "[]\n"),
		"an empty line":                with(4, "\n"),
		"member unknown":               with(4, strings.Replace(good[4], `{"seq"`, `{"new":1,"seq"`, 1)),
		"member twice":                 with(4, strings.Replace(good[4], `{"seq"`, `{"seq":4,"seq"`, 1)),
		"end with a member unknown":    end(`{"checkpoint"`, `{"new":1,"checkpoint"`),
		"a line too long":              with(4, strings.Repeat("x", 1<<20)+"\n"),
		"sequence number negative":     {edit(t, good[0], func(l *audit.ExportLine) { l.Seq = -1 }), good[12]},
		"id":                           event(4, func(l *audit.ExportLine) { l.ID = "x" }),
		"time":                         event(4, func(l *audit.ExportLine) { l.At = l.At.Add(1e6) }),
		"kind":                         event(4, func(l *audit.ExportLine) { l.Kind = "x" }),
		"actor":                        event(4, func(l *audit.ExportLine) { l.Actor = "x" }),
		"object":                       event(4, func(l *audit.ExportLine) { l.Object = "x" }),
		"data":                         event(4, func(l *audit.ExportLine) { l.Data["number"] = "x" }),
		"data missing":                 event(4, func(l *audit.ExportLine) { l.Data = nil }),
		"salt":                         event(4, func(l *audit.ExportLine) { l.Salt[0]++ }),
		"salt missing":                 event(4, func(l *audit.ExportLine) { l.Salt = nil }),
		"content":                      event(4, func(l *audit.ExportLine) { l.Content[30]++ }),
		"content missing":              event(4, func(l *audit.ExportLine) { l.Content = nil }),
		"leaf":                         event(4, func(l *audit.ExportLine) { l.Leaf[0]++ }),
		"leaf missing":                 event(4, func(l *audit.ExportLine) { l.Leaf = nil }),
		"said to be erased":            event(4, func(l *audit.ExportLine) { l.Erased = true }),
		"erased without a word":        event(4, func(l *audit.ExportLine) { l.Salt, l.Content = nil, nil }),
		"erased, not said":             event(6, func(l *audit.ExportLine) { l.Erased = false }),
		"erased, leaf cut":             event(6, func(l *audit.ExportLine) { l.Leaf = l.Leaf[:31] }),
		"erased, another leaf":         event(6, func(l *audit.ExportLine) { l.Leaf[0]++ }),
		"event of another log":         with(4, edit(t, other, func(l *audit.ExportLine) { l.Seq = 4 })),
		"certificate's kind":           event(0, func(l *audit.ExportLine) { l.Kind = "x" }),
		"certificate's object":         event(0, func(l *audit.ExportLine) { l.Object = "x" }),
		"certificate with an actor":    event(0, func(l *audit.ExportLine) { l.Actor = "x" }),
		"certificate with data":        event(0, func(l *audit.ExportLine) { l.Data = map[string]any{"a": "b"} }),
		"certificate changed":          event(0, func(l *audit.ExportLine) { l.Content[5]++ }),
		"end of more events":           end(`"events":12`, `"events":13`),
		"end from another":             end(`"from":0`, `"from":1`),
		"end to another":               end(`"to":11`, `"to":12`),
		"checkpoint of another size":   end(`log\n12\n`, `log\n11\n`),
		"checkpoint that is none":      end(`log\n12\n`, `log\n`),
		"checkpoint without signature": end(`— `, `—`),
	} {
		got, err := audit.CheckExport(strings.NewReader(strings.Join(lines, "")), io.Discard, []note.Verifier{key}, nil)
		if err == nil || name != "a line too long" && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	honest := strings.Join(good, "")
	if _, err := audit.CheckExport(strings.NewReader(honest), io.Discard, []note.Verifier{stranger}, nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("signed by a stranger: %v", err)
	}
	for _, v := range [][]note.Verifier{nil, {key}} {
		if got, err := audit.CheckExport(strings.NewReader(honest), io.Discard, v, nil); err != nil || !got.Whole || got.Erased != 1 {
			t.Errorf("an honest export: %+v, %v", got, err)
		}
	}
	if _, err := audit.CheckExport(strings.NewReader(honest), failing{io.ErrShortWrite}, nil, nil); err == nil {
		t.Error("it was not copied, and nobody said so")
	}
}

func FuzzExport(f *testing.F) {
	lines, key := exported(f)
	honest := strings.Join(lines, "")
	f.Add([]byte(honest))
	f.Add([]byte(strings.Join(lines[3:], "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := audit.CheckExport(bytes.NewReader(b), io.Discard, []note.Verifier{key}, nil)
		if err == nil && (s.Events < 1 || s.To-s.From+1 != s.Events || s.To >= s.Size) {
			t.Errorf("%q was taken for %+v", b, s)
		}
	})
}
