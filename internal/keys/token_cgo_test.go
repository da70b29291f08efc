//go:build cgo

package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func softHSM(t testing.TB) *keys.PKCS11Config {
	t.Helper()
	module, token, pinFile := testkit.SoftHSM(t)
	return &keys.PKCS11Config{Module: module, Token: token, PINFile: pinFile}
}

// tokenDir is where SoftHSM keeps a token.
func tokenDir(c *keys.PKCS11Config) string { return filepath.Join(filepath.Dir(c.PINFile), "tokens") }

// objects counts what is on the token.
func objects(t *testing.T, c *keys.PKCS11Config) (n int) {
	t.Helper()
	err := filepath.WalkDir(tokenDir(c), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".object") && filepath.Base(path) != "token.object" {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func tokenSpec(alg string) keys.Spec {
	return keys.Spec{Purpose: keys.PurposeCA, Owner: "city", Alg: alg, Backend: keys.BackendPKCS11, Actor: actor}
}

// away takes the token away and returns what brings it back.
func away(t *testing.T, c *keys.PKCS11Config) (back func()) {
	t.Helper()
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	rename(tokenDir(c), tokenDir(c)+".away")
	return func() { rename(tokenDir(c)+".away", tokenDir(c)) }
}

func TestTokenLife(t *testing.T) {
	for _, alg := range []string{keys.ES256, keys.ES384} {
		t.Run(alg, func(t *testing.T) {
			testkit.Each(t, func(t *testing.T, d *db.DB) { tokenLife(t, d, alg) })
		})
	}
}

func tokenLife(t *testing.T, d *db.DB, alg string) {
	config := softHSM(t)
	r := open(t, keys.Options{DB: d, PKCS11: config})
	if _, err := r.Create(t.Context(), func() keys.Spec { s := tokenSpec(alg); s.Alg = keys.Ed25519; return s }()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Ed25519 on a token: %v", err)
	}
	k := create(t, r, tokenSpec(alg))
	standby := create(t, r, tokenSpec(alg))
	if n := objects(t, config); n != 4 {
		t.Fatalf("%d objects on the token, want 4", n)
	}
	signer, err := r.Signer(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Certify(t.Context(), k.ID, selfSigned(t, signer), actor); err != nil {
		t.Fatal(err)
	}
	for _, to := range path[keys.Active] {
		move(t, r, k.ID, to)
	}
	move(t, r, standby.ID, keys.Published)
	active, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil || active.ID != k.ID {
		t.Fatalf("active %+v, %v", active, err)
	}
	signs(t, signer, k.Public)
	digests(t, signer)

	if _, _, err := r.Promote(t.Context(), k.Purpose, k.Owner, actor); err != nil {
		t.Fatal(err)
	}
	move(t, r, k.ID, keys.Retired)
	wantKind(t, trySign(signer), fault.Conflict)
	if n := objects(t, config); n != 2 {
		t.Errorf("%d objects on the token after one key retired, want 2", n)
	}
	var destroyed int64
	scan(t, d, `SELECT destroyed FROM keys WHERE id = '`+k.ID+`'`, &destroyed)
	if destroyed == 0 {
		t.Error("the row does not know that its key is destroyed")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, keys.Options{DB: d, PKCS11: config})
	_, signer, err = again.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, signer, standby.Public)
}

// digests signs digests of other lengths than the curve's.
func digests(t *testing.T, signer crypto.Signer) {
	t.Helper()
	message := []byte("what is signed")
	long, short := sha512.Sum512(message), sha512.Sum384(message)
	for hash, digest := range map[crypto.Hash][]byte{crypto.SHA512: long[:], crypto.SHA384: short[:]} {
		signature, err := signer.Sign(rand.Reader, digest, hash)
		if err != nil {
			t.Fatalf("%v: %v", hash, err)
		}
		if !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest, signature) {
			t.Errorf("%v: the signature is not the key's", hash)
		}
		if _, err := signer.Sign(rand.Reader, digest[1:], hash); err == nil {
			t.Errorf("%v: signed a digest of another length", hash)
		}
	}
	if _, err := signer.Sign(rand.Reader, message, crypto.Hash(0)); err == nil {
		t.Error("signed a message that is not hashed")
	}
}

// TestTokenAway takes the token away under a signer and brings it back.
func TestTokenAway(t *testing.T) {
	config := softHSM(t)
	d := testkit.SQLite(t)
	r := open(t, keys.Options{DB: d, PKCS11: config})
	k := created(t, r, tokenSpec(keys.ES256), keys.Active)
	file := created(t, r, spec(keys.PurposeToken, "city"), keys.Active)
	_, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, signer, k.Public)
	time.Sleep(1100 * time.Millisecond) // the connection is older than the shortest time between two
	back := away(t, config)
	var errs [8]error
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = errors.Join(trySign(signer), trySign(signer)) })
	}
	group.Wait()
	for _, err := range errs {
		wantKind(t, err, fault.Unavailable)
	}
	_, err = r.Create(t.Context(), tokenSpec(keys.ES256))
	wantKind(t, err, fault.Unavailable)
	_, other, err := r.Active(t.Context(), file.Purpose, file.Owner)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, other, file.Public) // others go on
	back()
	eventually(t, 5*time.Second, "the token is used again", func() bool { return trySign(signer) == nil })
	for range 8 {
		group.Go(func() { signs(t, signer, k.Public) })
	}
	group.Wait()
}

// TestTokenAwayAtOpen starts while the token is away.
func TestTokenAwayAtOpen(t *testing.T) {
	config := softHSM(t)
	d := testkit.SQLite(t)
	first := open(t, keys.Options{DB: d, PKCS11: config})
	k := created(t, first, tokenSpec(keys.ES384), keys.Active)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	back := away(t, config)
	r := open(t, keys.Options{DB: d, PKCS11: config})
	_, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, trySign(signer), fault.Unavailable)
	back()
	eventually(t, 5*time.Second, "the token is used", func() bool { return trySign(signer) == nil })
}

// TestRetiredWhileAway retires a key whose token is away: Run destroys it later.
func TestRetiredWhileAway(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		config := softHSM(t)
		first := open(t, keys.Options{DB: d, PKCS11: config})
		k := created(t, first, tokenSpec(keys.ES256), keys.Retiring)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		back := away(t, config)
		r := open(t, keys.Options{DB: d, PKCS11: config})
		wantKind(t, r.Move(t.Context(), k.ID, keys.Retired, actor, "over"), fault.Unavailable)
		if got := find(t, r, k.ID).State; got != keys.Retired {
			t.Fatalf("state %s", got)
		}
		back()
		if n := objects(t, config); n != 2 {
			t.Fatalf("%d objects", n)
		}
		run(t, r)
		eventually(t, 6*time.Second, "the key is destroyed", func() bool { return objects(t, config) == 0 })
	})
}

// TestTokenTampered changes the rows of token keys.
func TestTokenTampered(t *testing.T) {
	cases := []struct{ name, change string }{
		{"rows swapped", `UPDATE keys SET owner = CASE owner WHEN 'city' THEN 'donghu' ELSE 'city' END`},
		{"other purpose", `UPDATE keys SET purpose = 'permit'`},
		{"binding of another row", `UPDATE keys SET wrapped_key = (SELECT o.wrapped_key FROM keys AS o WHERE o.owner = 'donghu') WHERE owner = 'city'`},
		{"no binding", `UPDATE keys SET wrapped_key = NULL`},
	}
	config := softHSM(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := testkit.SQLite(t)
			r := open(t, keys.Options{DB: d, PKCS11: config})
			k := create(t, r, tokenSpec(keys.ES256))
			other := tokenSpec(keys.ES256)
			other.Owner = "donghu"
			create(t, r, other)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			exec(t, d, c.change)
			again := open(t, keys.Options{DB: d, PKCS11: config})
			if _, err := again.Signer(t.Context(), k.ID); err == nil {
				t.Error("the changed row signs")
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTokenRefused shows what Open says, and that it says nothing of the PIN.
func TestTokenRefused(t *testing.T) {
	config := softHSM(t)
	d := testkit.SQLite(t)
	write := func(text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "pin")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := []struct {
		name   string
		change func(*keys.PKCS11Config)
	}{
		{"wrong PIN", func(c *keys.PKCS11Config) { c.PINFile = write("888888881", 0o600) }},
		{"empty PIN", func(c *keys.PKCS11Config) { c.PINFile = write("\n", 0o600) }},
		{"two lines", func(c *keys.PKCS11Config) { c.PINFile = write("888888881\n888888881\n", 0o600) }},
		{"long PIN", func(c *keys.PKCS11Config) { c.PINFile = write(strings.Repeat("8", 300), 0o600) }},
		{"readable PIN file", func(c *keys.PKCS11Config) { c.PINFile = write("739152", 0o644) }},
		{"no PIN file", func(c *keys.PKCS11Config) { c.PINFile += ".absent" }},
		{"no module", func(c *keys.PKCS11Config) { c.Module = "/nowhere/lib.so" }},
		{"nothing", func(c *keys.PKCS11Config) { *c = keys.PKCS11Config{} }},
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			changed := *config
			c.change(&changed)
			r, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: testKEK, PKCS11: &changed, Logger: log})
			if err == nil {
				_ = r.Close()
				t.Fatal("opened")
			}
			fmt.Fprintln(&out, err, fault.Public(err))
		})
	}
	changed := *config
	changed.Token = "absent"
	r := open(t, keys.Options{DB: d, PKCS11: &changed, Logger: log})
	_, err := r.Create(t.Context(), tokenSpec(keys.ES256))
	wantKind(t, err, fault.Unavailable)
	fmt.Fprintf(&out, "%v\n%+v\n", err, r)
	for _, pin := range []string{"739152", "888888881"} {
		if strings.Contains(out.String(), pin) {
			t.Errorf("a PIN stands in:\n%s", out.String())
		}
	}
}

// TestTokenPINNotRepeated changes the PIN file of a running ring: the wrong PIN
// is tried once, not until the token locks.
func TestTokenPINNotRepeated(t *testing.T) {
	config := softHSM(t)
	r := open(t, keys.Options{DB: testkit.SQLite(t), PKCS11: config})
	k := created(t, r, tokenSpec(keys.ES256), keys.Active)
	_, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(config.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	back := away(t, config)
	wantKind(t, trySign(signer), fault.Unavailable)
	if err := os.WriteFile(config.PINFile, []byte("00000000"), 0o600); err != nil {
		t.Fatal(err)
	}
	back()
	time.Sleep(1100 * time.Millisecond)
	wantKind(t, trySign(signer), fault.Unavailable)
	if err := os.WriteFile(config.PINFile, right, 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	wantKind(t, trySign(signer), fault.Unavailable) // until somebody starts it again
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTokenNotConfigured opens a keyring with token keys without a token.
func TestTokenNotConfigured(t *testing.T) {
	config := softHSM(t)
	d := testkit.SQLite(t)
	first := open(t, keys.Options{DB: d, PKCS11: config})
	k := created(t, first, tokenSpec(keys.ES256), keys.Active)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	r := open(t, keys.Options{DB: d})
	_, _, err := r.Active(t.Context(), k.Purpose, k.Owner)
	wantKind(t, err, fault.Unavailable)
	if diff := cmp.Diff("this key is on a token: configure pkcs11", fault.Public(err)); diff != "" {
		t.Error(diff)
	}
}
