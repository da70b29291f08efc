package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// TestScan reads a log from outside, and then with one thing wrong in what is served.
func TestScan(t *testing.T) {
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	l := newLog(t, d, signer)
	s := serve(t, l, key)
	der := []byte("\x30\x09certified")
	appendEvents(t, d, some(300)...)
	err := d.Update(t.Context(), func(tx db.Tx) error {
		_, err := audit.AppendCertificate(t.Context(), tx, der)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, l)
	_, stranger := newKey(t)
	gone := errors.New("gone")
	change := func(path string, f func([]byte) []byte) func(string, []byte) ([]byte, error) {
		return func(at string, b []byte) ([]byte, error) {
			if at == path {
				return f(slices.Clone(b)), nil
			}
			return b, nil
		}
	}
	const first, last = "tile/entries/000", "tile/entries/001.p/45"
	for _, c := range []struct {
		name   string
		key    note.Verifier
		served func(path string, b []byte) ([]byte, error)
		want   string // what the error says, "" for none
	}{
		{"as it is", key, nil, ""},
		{"another's key", stranger, nil, "not signed by a known key"},
		{"a bit of an entry", key, change(first, func(b []byte) []byte { b[100] ^= 1; return b }), "not those"},
		{"a bit of the last entry", key, change(last, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), "not those"},
		{"two entries that changed places", key, change(first, func(b []byte) []byte { return append(append(slices.Clone(b[34:68]), b[:34]...), b[68:]...) }), "not those"},
		{"a length", key, change(first, func(b []byte) []byte { b[1]++; return b }), "malformed"},
		{"an entry less", key, change(last, func(b []byte) []byte { return b[:len(b)-34] }), "malformed"},
		{"an entry more", key, change(last, func(b []byte) []byte { return append(b, b[:34]...) }), "malformed"},
		{"a byte more", key, change(last, func(b []byte) []byte { return append(b, 0) }), "malformed"},
		{"nothing", key, change(first, func([]byte) []byte { return nil }), "malformed"},
		{"a size", key, change("checkpoint", func(b []byte) []byte { return bytes.Replace(b, []byte("\n301\n"), []byte("\n300\n"), 1) }), "signature is wrong"},
		{"another name", key, change("checkpoint", func(b []byte) []byte { return append([]byte("x"), b...) }), "signature is wrong"},
		{"no checkpoint", key, change("checkpoint", func([]byte) []byte { return []byte("hello") }), "no checkpoint"},
		{"what is not there", key, func(path string, b []byte) ([]byte, error) {
			if path == last {
				return nil, gone
			}
			return b, nil
		}, "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var found, entries int64 = -1, 0
			r := audit.Remote{
				Verifiers: func(string) ([]note.Verifier, error) { return []note.Verifier{c.key}, nil },
				Fetch: func(_ context.Context, path string) ([]byte, error) {
					b, _, _ := s.get(path)
					if c.served != nil {
						return c.served(path, b)
					}
					return b, nil
				},
			}
			checkpoint, err := r.Scan(t.Context(), func(index int64, entry [32]byte) {
				if entries++; entry == sha256.Sum256(der) {
					found = index
				}
			})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || c.want != "gone" && fault.KindOf(err) != fault.Invalid {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil || entries != 301 || found < 0 || checkpoint.Hash != sealed.Hash || checkpoint.Size != 301 {
				t.Errorf("%d entries, the certificate at %d, %+v, %v", entries, found, checkpoint, err)
			}
		})
	}
}

// TestScanOfAnotherLog: a key that signs several logs speaks for the one it is named after.
func TestScanOfAnotherLog(t *testing.T) {
	signer, key := newKey(t)
	b, err := note.Sign(&note.Note{Text: "elsewhere/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	r := audit.Remote{Verifiers: func(string) ([]note.Verifier, error) { return []note.Verifier{key}, nil },
		Fetch: func(context.Context, string) ([]byte, error) { return b, nil }}
	if _, err := r.Scan(t.Context(), func(int64, [32]byte) {}); fault.KindOf(err) != fault.Invalid || err == nil {
		t.Errorf("%v", err)
	}
}
