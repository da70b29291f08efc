package city_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-city/signet/cmd/city"
)

func TestLedgerSurvivesATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	for round := range 3 {
		l, err := city.OpenLedger(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Write(city.ActLicense, "id", "proof"); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"n":9,"act":"cut o`); err != nil { // a crash in the middle of a line
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		entries, err := city.ReadLedger(path)
		if err != nil || len(entries) != round+1 || entries[round].N != round+1 {
			t.Fatalf("round %d: %v %v", round, entries, err)
		}
	}
}

func TestReadLedgerRefuses(t *testing.T) {
	cases := []struct{ name, text string }{
		{"a line that is gone", `{"n":1,"at":"2026-01-01T00:00:00Z","act":"a","object":"","proof":""}` + "\n" + `{"n":3,"at":"2026-01-01T00:00:00Z","act":"a","object":"","proof":""}` + "\n"},
		{"unknown member", `{"n":1,"at":"2026-01-01T00:00:00Z","act":"a","object":"","proof":"","more":1}` + "\n"},
		{"no JSON", "n=1\n"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.jsonl")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if entries, err := city.ReadLedger(path); err == nil {
				t.Errorf("accepted as %v", entries)
			}
		})
	}
	if _, err := city.ReadLedger(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a ledger that is not there was read")
	}
}

func FuzzReadLedger(f *testing.F) {
	f.Add([]byte(`{"n":1,"at":"2026-01-01T00:00:00Z","act":"a","object":"","proof":""}` + "\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "ledger.jsonl")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		entries, err := city.ReadLedger(path)
		if err != nil {
			return
		}
		for i, e := range entries {
			if e.N != i+1 {
				t.Errorf("line %d has the number %d", i+1, e.N)
			}
		}
	})
}
