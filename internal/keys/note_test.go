package keys_test

import (
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func TestNote(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		const name = "signet.example/log"
		r := open(t, keys.Options{DB: d})
		_, err := r.NoteSigner(t.Context(), name)
		wantKind(t, err, fault.Unavailable)
		created(t, r, spec(keys.PurposeLog, "city"), keys.Active)
		text := "signet.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
		first, firstKey := signNote(t, r, name, text)

		created(t, r, spec(keys.PurposeLog, "city"), keys.Published)
		if _, _, err := r.Promote(t.Context(), keys.PurposeLog, "city", actor); err != nil {
			t.Fatal(err)
		}
		second, secondKey := signNote(t, r, name, text)
		if firstKey == secondKey {
			t.Fatal("the rotated key is the same")
		}
		for _, c := range []struct {
			name, key string
			signed    []byte
			ok        bool
		}{
			{"first by first", firstKey, first, true},
			{"second by second", secondKey, second, true},
			{"first by second", secondKey, first, false},
			{"second by first", firstKey, second, false},
		} {
			v, err := note.NewVerifier(c.key)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := note.Open(c.signed, note.VerifierList(v)); (err == nil) != c.ok || c.ok && n.Text != text {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		for _, bad := range []string{"", "a b", "a+b", "\xff"} {
			_, err := r.NoteSigner(t.Context(), bad)
			wantKind(t, err, fault.Invalid)
			_, err = r.NoteVerifier(t.Context(), bad)
			wantKind(t, err, fault.Invalid)
		}
		created(t, r, spec(keys.PurposeLog, "other"), keys.Active)
		_, err = r.NoteSigner(t.Context(), name)
		wantKind(t, err, fault.Conflict)
	})
}

func signNote(t *testing.T, r *keys.Ring, name, text string) (signed []byte, verifier string) {
	t.Helper()
	s, err := r.NoteSigner(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if signed, err = note.Sign(&note.Note{Text: text}, s); err != nil {
		t.Fatal(err)
	}
	if verifier, err = r.NoteVerifier(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return signed, verifier
}
