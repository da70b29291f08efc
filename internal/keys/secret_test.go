package keys_test

import (
	"bytes"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func withSecrets(t testing.TB, d *db.DB) *keys.Ring {
	t.Helper()
	r := open(t, keys.Options{DB: d})
	for _, name := range []string{keys.SecretData, keys.SecretLookup} {
		if err := r.MakeSecret(t.Context(), name, actor); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestSecret(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		_, err := r.Secret(t.Context(), "permutation")
		wantKind(t, err, fault.NotFound)
		if err := r.MakeSecret(t.Context(), "permutation", actor); err != nil {
			t.Fatal(err)
		}
		first, err := r.Secret(t.Context(), "permutation")
		if err != nil || len(first) != 32 || bytes.Equal(first, make([]byte, 32)) {
			t.Fatalf("%d bytes, %v", len(first), err)
		}
		wantKind(t, r.MakeSecret(t.Context(), "permutation", actor), fault.Conflict)
		if list := events(t, d, "secret:permutation"); len(list) != 1 || list[0].Kind != "keys.secret" || list[0].Actor != actor {
			t.Errorf("events %+v", list)
		}
		copied := bytes.Clone(first)
		clear(first) // the caller's copy
		again, err := r.Secret(t.Context(), "permutation")
		if err != nil || !bytes.Equal(again, copied) {
			t.Errorf("the secret changed: %v", err)
		}
		wantKind(t, r.MakeSecret(t.Context(), "", actor), fault.Invalid)
		wantKind(t, r.MakeSecret(t.Context(), "a|b", actor), fault.Invalid)
		wantKind(t, r.MakeSecret(t.Context(), "other", ""), fault.Invalid)

		// A secret's bytes do not serve under another name.
		if err := r.MakeSecret(t.Context(), "other", actor); err != nil {
			t.Fatal(err)
		}
		exec(t, d, `UPDATE key_secrets SET sealed = (SELECT o.sealed FROM key_secrets AS o WHERE o.name = 'other') WHERE name = 'permutation'`)
		fresh := open(t, keys.Options{DB: d})
		_, err = fresh.Secret(t.Context(), "permutation")
		wantKind(t, err, fault.NotFound)
		if _, err := fresh.Secret(t.Context(), "other"); err != nil {
			t.Error(err)
		}
	})
}

func TestSeal(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		bare := open(t, keys.Options{DB: d})
		_, err := bare.Seal(t.Context(), nil, nil)
		wantKind(t, err, fault.Unavailable)
		_, err = bare.Open(t.Context(), nil, nil)
		wantKind(t, err, fault.Unavailable)
		_, err = bare.Lookup(t.Context(), "person", nil)
		wantKind(t, err, fault.Unavailable)

		r := withSecrets(t, d)
		aad := []byte("person:1")
		for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("y"), 64<<10)} {
			one, err := r.Seal(t.Context(), plain, aad)
			if err != nil {
				t.Fatal(err)
			}
			two, err := r.Seal(t.Context(), plain, aad)
			if err != nil || bytes.Equal(one, two) {
				t.Fatalf("two sealings are equal, or %v", err)
			}
			got, err := open(t, keys.Options{DB: d}).Open(t.Context(), one, aad)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("opened %d bytes, want %d: %v", len(got), len(plain), err)
			}
		}
		_, err = r.Seal(t.Context(), make([]byte, 64<<10+1), aad)
		wantKind(t, err, fault.TooLarge)
		_, err = r.Open(t.Context(), make([]byte, 1<<20), aad)
		wantKind(t, err, fault.TooLarge)
	})
}

func TestOpenChanged(t *testing.T) {
	r := withSecrets(t, testkit.SQLite(t))
	sealed, err := r.Seal(t.Context(), []byte("a resident's name"), []byte("person:1"))
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, sealed []byte, aad string) {
		t.Run(name, func(t *testing.T) {
			if got, err := r.Open(t.Context(), sealed, []byte(aad)); err == nil {
				t.Fatalf("opened %q", got)
			}
		})
	}
	refuse("other aad", sealed, "person:2")
	refuse("no aad", sealed, "")
	refuse("trailing byte", append(bytes.Clone(sealed), 0), "person:1")
	refuse("version", append([]byte{2}, sealed[1:]...), "person:1")
	for n := range sealed {
		if got, err := r.Open(t.Context(), sealed[:n], []byte("person:1")); err == nil {
			t.Fatalf("cut to %d bytes: opened %q", n, got)
		}
		bad := bytes.Clone(sealed)
		bad[n] ^= 0x10
		if got, err := r.Open(t.Context(), bad, []byte("person:1")); err == nil {
			t.Fatalf("byte %d changed: opened %q", n, got)
		}
	}
}

func TestLookup(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := withSecrets(t, d)
		lookup := func(r *keys.Ring, label, value string) string {
			t.Helper()
			b, err := r.Lookup(t.Context(), label, []byte(value))
			if err != nil || len(b) != 32 {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			return string(b)
		}
		base := lookup(r, "person", "1")
		if lookup(r, "person", "1") != base || lookup(open(t, keys.Options{DB: d}), "person", "1") != base {
			t.Error("equal values differ")
		}
		elsewhere := withSecrets(t, testkit.SQLite(t))
		others := []string{lookup(r, "person", "2"), lookup(r, "firm", "1"), lookup(r, "perso", "n1"), lookup(elsewhere, "person", "1")}
		for i, other := range others {
			if other == base {
				t.Errorf("case %d is equal", i)
			}
		}
		_, err := r.Lookup(t.Context(), "", nil)
		wantKind(t, err, fault.Invalid)
	})
}
