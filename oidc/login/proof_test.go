package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// TestTOTPVectors are those of RFC 6238 appendix B for SHA-1, of which six digits
// are the last six of eight.
func TestTOTPVectors(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totpCode(secret, totpStep(time.Unix(at, 0))); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestMatchTOTP(t *testing.T) {
	secret, now := []byte("12345678901234567890"), time.Unix(1111111111, 0)
	step := totpStep(now)
	for offset := int64(-3); offset <= 3; offset++ {
		got, ok := matchTOTP(secret, totpCode(secret, step+offset), now)
		if ok != (offset >= -1 && offset <= 1) || ok && got != step+offset {
			t.Errorf("offset %d: %d, %v", offset, got-step, ok)
		}
	}
	for _, code := range []string{"", "0", "12345", "1234567", "abcdef", "-50471", " 050471", "050471\x00", "٠٥٠٤٧١"} {
		if _, ok := matchTOTP(secret, code, now); ok {
			t.Errorf("took %q", code)
		}
	}
}

func TestFoldCode(t *testing.T) {
	for in, want := range map[string]string{"050471": "050471", " 050 471\n": "050471", "０５０４７１": "050471", "": "", "05-04": "05-04"} {
		if got := foldCode(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

const goodPHC = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestParsePHC(t *testing.T) {
	p, err := parsePHC(goodPHC)
	if err != nil || p.String() != goodPHC || p.stale() {
		t.Fatalf("%v, %v", p, err)
	}
	for name, change := range map[string][2]string{
		"another algorithm":   {"argon2id", "argon2i"},
		"another version":     {"v=19", "v=16"},
		"too much memory":     {"m=19456", "m=4294967295"},
		"no memory":           {"m=19456", "m=0"},
		"memory with a zero":  {"m=19456", "m=019456"},
		"memory with a sign":  {"m=19456", "m=+19456"},
		"endless":             {"t=2", "t=4294967295"},
		"256 lanes":           {"p=1", "p=256"},
		"another order":       {"m=19456,t=2", "t=2,m=19456"},
		"one parameter more":  {"p=1", "p=1,keyid=a"},
		"short salt":          {"$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAA$"},
		"padding":             {"$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAAAAAAAAAAAAAAAAAAAA==$"},
		"bits that are not 0": {"$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAAAAAAAAAAAAAAAAAAAB$"},
		"line break":          {"$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAAAAAAAAA\nAAAAAAAAAAA$"},
		"no dollar":           {"$argon2id", "argon2id"},
		"more behind":         {"$argon2id", "$a$argon2id"},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := parsePHC(strings.Replace(goodPHC, change[0], change[1], 1)); err == nil {
				t.Errorf("took it as %v", p)
			}
		})
	}
}

func TestHasher(t *testing.T) {
	h, ctx := newHasher(), t.Context()
	stored, err := h.hash(ctx, "secret")
	if err != nil || !strings.HasPrefix(stored, NewHash()) {
		t.Fatal(stored, err)
	}
	if again, _ := h.hash(ctx, "secret"); again == stored {
		t.Error("no salt")
	}
	for password, want := range map[string]bool{"secret": true, "Secret": false, "": false, "secret ": false} {
		if ok, stale, err := h.verify(ctx, stored, password); ok != want || stale || err != nil {
			t.Errorf("%q: %v, %v, %v", password, ok, stale, err)
		}
		if ok, _, err := h.verify(ctx, h.nobody, password); ok || err != nil {
			t.Errorf("%q is nobody's password: %v", password, err)
		}
	}
	if ok, stale, err := h.verify(ctx, OldHash("secret"), "secret"); !ok || !stale || err != nil {
		t.Error(ok, stale, err)
	}
	if _, _, err := h.verify(ctx, "plain", "plain"); err == nil {
		t.Error("took a string that is no hash")
	}
}

// TestHasherWaits: nobody waits for a core longer than their request lives, nor
// behind too many.
func TestHasherWaits(t *testing.T) {
	h := newHasher()
	for range cap(h.turns) {
		if _, err := h.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := h.turn(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	h.waiting.Store(maxWaiting)
	if _, err := h.turn(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error %v", err)
	}
	if h.waiting.Load() != maxWaiting {
		t.Error("counted who did not wait")
	}
}

func TestLimiter(t *testing.T) {
	l, now := newLimiter(2, time.Minute), time.Unix(1e9, 0)
	a, b := [32]byte{1}, [32]byte{2}
	steps := []struct {
		name string
		key  [32]byte
		add  time.Duration
		wait time.Duration
	}{
		{"first", a, 0, 0}, {"second", a, 0, 0}, {"third", a, 0, time.Minute}, {"another", b, 0, 0},
		{"half a minute later", a, 30 * time.Second, 30 * time.Second}, {"a minute later", a, 30 * time.Second, 0},
		{"at once", a, 0, time.Minute}, {"clock goes back", a, -time.Hour, time.Minute},
		{"a day later", a, 24 * time.Hour, 0}, {"full, not more", a, 0, 0}, {"empty", a, 0, time.Minute},
	}
	for _, s := range steps {
		now = now.Add(s.add)
		if wait := l.take(s.key, now); wait != s.wait {
			t.Fatalf("%s: %v, want %v", s.name, wait, s.wait)
		}
	}
	l.give(a)
	if wait := l.take(a, now); wait != 0 {
		t.Errorf("given back, but %v", wait)
	}
	l.give([32]byte{3}) // nobody's
	for i := range 2 * maxBuckets {
		l.take(sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), now)
	}
	if len(l.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(l.buckets))
	}
}

// TestStranger: one address that tries an account until it is refused leaves tries
// to others.
func TestStranger(t *testing.T) {
	l, now := newLimits(), time.Unix(1e9, 0)
	refused := 0
	for range 600 { // ten minutes
		if _, wait := l.try(keyOf("wang"), "192.0.2.1", now); wait > 0 {
			refused++
		}
		now = now.Add(time.Second)
	}
	if refused < 580 {
		t.Errorf("refused %d of 600", refused)
	}
	if _, wait := l.try(keyOf("wang"), "198.51.100.7", now); wait > 0 {
		t.Error("the account is locked for its owner")
	}
}

func TestAddressOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1": "fe80::/64", "": "unknown", "pipe": "unknown", "192.0.2.1": "192.0.2.1",
	} {
		if got := addressOf(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add(goodPHC)
	f.Add("$argon2id$v=19$m=1,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err == nil && p.String() != s {
			t.Errorf("%q became %q", s, p)
		}
	})
}

func FuzzTOTP(f *testing.F) {
	f.Add([]byte("12345678901234567890"), "050471", int64(1111111111))
	f.Add([]byte{}, "０５０ ４７１", int64(-1))
	f.Fuzz(func(t *testing.T, secret []byte, code string, at int64) {
		step, ok := matchTOTP(secret, foldCode(code), time.Unix(at, 0))
		if ok && (totpCode(secret, step) != foldCode(code) || len(foldCode(code)) != totpDigits) {
			t.Errorf("took %q for step %d", code, step)
		}
	})
}

// FuzzUsername: folding is done once, and what passes the check is plain.
func FuzzUsername(f *testing.F) {
	for _, s := range []string{"wang", " ＷＡＮＧ ", "İ", "ß", "\xff", "wang@jiangcheng"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if folded := foldUsername(s); checkUsername(folded) == nil && foldUsername(folded) != folded {
			t.Errorf("%q folds twice", s)
		}
	})
}

// FuzzAssertion gives the script's answer, and what is in it, to all that reads it
// before a signature is checked.
func FuzzAssertion(f *testing.F) {
	clientData := base64.RawURLEncoding.EncodeToString([]byte(`{"type":"webauthn.get","challenge":"AAAA","origin":"http://localhost:8080"}`))
	data := base64.RawURLEncoding.EncodeToString(make([]byte, 37))
	f.Add([]byte(`{"id":"AAAAAAAAAAAAAAAAAAAAAA","client_data":"` + clientData + `","authenticator_data":"` + data + `","signature":"AAAA","user_handle":"AAAA","next":"/"}`))
	f.Add([]byte(`{"id":null}`))
	party, err := newRelyingParty("http://localhost:8080")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a assertion
		if web.UnmarshalJSON(b, &a) != nil {
			return
		}
		parsed, err := a.parse()
		if err != nil {
			return
		}
		if _, err := party.ValidateLogin(owner{handle: []byte("x")}, ceremony("AAAA", []byte("x")), parsed); err == nil {
			t.Error("took it")
		}
	})
}

// FuzzEnrolment does so for a new passkey: whatever is accepted can be stored.
func FuzzEnrolment(f *testing.F) {
	seed, err := json.Marshal(enrolment{ID: []byte("0123456789abcdef"), ClientData: []byte(`{"type":"webauthn.create","challenge":"AAAA","origin":"http://localhost:8080"}`),
		Attestation: append([]byte("\xa3cfmtdnonegattStmt\xa0hauthDataX\x25"), make([]byte, 37)...)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	party, err := newRelyingParty("http://localhost:8080")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e enrolment
		if web.UnmarshalJSON(b, &e) != nil {
			return
		}
		parsed, err := e.parse()
		if err != nil {
			return
		}
		made, err := party.CreateCredential(owner{handle: []byte("x")}, ceremony("AAAA", []byte("x")), parsed)
		if err == nil && (len(made.ID) > maxCredentialID || len(made.Authenticator.AAGUID) != 16) {
			t.Errorf("took %v", made)
		}
	})
}
