package keys_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func TestLoadKEK(t *testing.T) {
	digits := hex.EncodeToString(testKEK)
	cases := []struct {
		name    string
		content string
		mode    os.FileMode
		ok      bool
		kind    fault.Kind
	}{
		{"raw", string(testKEK), 0o600, true, 0},
		{"hexadecimal", digits, 0o600, true, 0},
		{"upper case", strings.ToUpper(digits), 0o400, true, 0},
		{"line feed", digits + "\n", 0o600, true, 0},
		{"empty", "", 0o600, false, fault.Invalid},
		{"31 bytes", string(testKEK[1:]), 0o600, false, fault.Invalid},
		{"33 bytes", string(testKEK) + "\n", 0o600, false, fault.Invalid},
		{"63 digits", digits[1:], 0o600, false, fault.Invalid},
		{"no digit", "g" + digits[1:], 0o600, false, fault.Invalid},
		{"blank before", " " + digits, 0o600, false, fault.Invalid},
		{"two line feeds", digits + "\n\n", 0o600, false, fault.TooLarge},
		{"large", strings.Repeat("0", 1<<20), 0o600, false, fault.TooLarge},
		{"group may read", digits, 0o640, false, fault.Invalid},
		{"others may read", digits, 0o604, false, fault.Invalid},
		{"group may write", digits, 0o620, false, fault.Invalid},
		{"executable", digits, 0o700, false, fault.Invalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kek")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			kek, err := keys.LoadKEK(path)
			if !c.ok {
				wantKind(t, err, c.kind)
				if len(c.content) > 8 && strings.Contains(err.Error(), c.content[:8]) {
					t.Errorf("the error quotes the file: %v", err)
				}
				return
			}
			if err != nil || !bytes.Equal(kek, testKEK) {
				t.Fatalf("got %d bytes, %v", len(kek), err)
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		_, err := keys.LoadKEK(t.TempDir())
		wantKind(t, err, fault.Invalid)
	})
	t.Run("fifo", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kek")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := keys.LoadKEK(path)
		wantKind(t, err, fault.Invalid)
	})
	t.Run("absent", func(t *testing.T) {
		if _, err := keys.LoadKEK(filepath.Join(t.TempDir(), "kek")); !os.IsNotExist(unwrapAll(err)) {
			t.Fatalf("got %v", err)
		}
	})
}

func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if _, path := err.(*os.PathError); path || !ok {
			return err
		}
		err = inner.Unwrap()
	}
}

func TestLoadKEKCredential(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		t.Setenv("CREDENTIALS_DIRECTORY", "")
		_, err := keys.LoadKEK("")
		wantKind(t, err, fault.Invalid)
	})
	t.Run("as systemd leaves it", func(t *testing.T) {
		dir := t.TempDir()
		t.Setenv("CREDENTIALS_DIRECTORY", dir)
		path := filepath.Join(dir, "kek")
		if err := os.WriteFile(path, testKEK, 0o440); err != nil {
			t.Fatal(err)
		}
		kek, err := keys.LoadKEK("")
		if err != nil || !bytes.Equal(kek, testKEK) {
			t.Fatalf("got %d bytes, %v", len(kek), err)
		}
		if err := os.Chmod(path, 0o444); err != nil {
			t.Fatal(err)
		}
		_, err = keys.LoadKEK("")
		wantKind(t, err, fault.Invalid)
	})
}

func TestNewKEK(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	made, err := keys.NewKEK(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := keys.LoadKEK(path)
	if err != nil || !bytes.Equal(made, loaded) || len(made) != 32 || bytes.Equal(made, make([]byte, 32)) {
		t.Fatalf("made %d bytes, loaded %d, %v", len(made), len(loaded), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := keys.NewKEK(path); err == nil {
		t.Error("a second key took the first one's place")
	}
	again, err := keys.LoadKEK(path)
	if err != nil || !bytes.Equal(made, again) {
		t.Errorf("the first key is gone: %v", err)
	}
	other, err := keys.NewKEK(filepath.Join(t.TempDir(), "kek"))
	if err != nil || bytes.Equal(made, other) {
		t.Errorf("two keys are one: %v", err)
	}
}

func TestWrongKEK(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		wrong := bytes.Repeat([]byte{7}, 32)
		early := open(t, keys.Options{DB: d, KEK: wrong}) // nothing is wrapped yet
		r := open(t, keys.Options{DB: d})
		k := created(t, r, spec(keys.PurposeToken, "city"), keys.Active)

		_, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: wrong})
		wantKind(t, err, fault.Invalid)
		if want := "this key-encryption key is not the one that this keyring was made with"; fault.Public(err) != want {
			t.Errorf("got %q", fault.Public(err))
		}
		wantKind(t, early.Refresh(t.Context()), fault.Invalid)
		_, err = early.Create(t.Context(), spec(keys.PurposeToken, "city"))
		wantKind(t, err, fault.Invalid)
		wantKind(t, early.MakeSecret(t.Context(), "x", actor), fault.Invalid)
		var n int
		scan(t, d, `SELECT COUNT(*) FROM keys`, &n)
		if n != 1 {
			t.Errorf("%d keys", n)
		}
		_, signer, err := open(t, keys.Options{DB: d}).Active(t.Context(), k.Purpose, k.Owner)
		if err != nil {
			t.Fatal(err)
		}
		signs(t, signer, k.Public)
	})
	for _, kek := range [][]byte{nil, testKEK[1:], append([]byte{0}, testKEK...)} {
		_, err := keys.Open(t.Context(), keys.Options{DB: testkit.SQLite(t), KEK: kek})
		wantKind(t, err, fault.Invalid)
	}
}
