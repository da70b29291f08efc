package trust_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	testvector "github.com/signet-city/signet/internal/testkit/vector"
	"github.com/signet-city/signet/verify/trust"
)

func TestRoundTrip(t *testing.T) {
	want := bundle(t)
	file := bundleFile(t, want, bundleKey)
	got, root, err := trust.OpenBundle(file, rootKey.Public(), time.Unix(now, 0))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(want.Agencies) // they come back in order
	slices.SortFunc(want.Keys, func(a, b trust.Key) int { return bytes.Compare(a.KID[:], b.KID[:]) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bundle (-want +got):\n%s", diff)
	}
	if parsed, err := trust.ParseBundle(file); err != nil || !cmp.Equal(parsed, got) {
		t.Errorf("parsed another bundle than was opened: %v", err)
	}
	statement := rootStatement()
	slices.SortFunc(statement.Bundle, func(a, b trust.Signer) int { return bytes.Compare(a.KID[:], b.KID[:]) })
	if diff := cmp.Diff(statement, root); diff != "" {
		t.Errorf("root statement (-want +got):\n%s", diff)
	}
	h, err := trust.OpenHead(headFile(t, head(), statusKey), root, time.Unix(now, 0))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(head(), h); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
}

func TestSignBundleLeavesItsArgument(t *testing.T) {
	b, again := bundle(t), bundle(t)
	bundleFile(t, b, bundleKey)
	if diff := cmp.Diff(again, b); diff != "" {
		t.Errorf("the caller's bundle was changed:\n%s", diff)
	}
}

func TestSignRefuses(t *testing.T) {
	good := func(k crypto.Signer) trust.KeySigner { return signerOf(k) }
	twice := bundle(t)
	twice.Keys = append(twice.Keys, twice.Keys[0])
	oneKID := bundle(t)
	oneKID.Keys[1].KID = oneKID.Keys[0].KID
	copy(oneKID.Keys[1].CertHash[:], oneKID.Keys[0].KID[:])
	long := bundle(t)
	long.Expires = long.IssuedAt + trust.MaxBundleLife + 1
	unsigned := bundle(t)
	unsigned.Root = nil
	nameless := bundle(t)
	for i := range nameless.Types[0].Lists[0].Codes {
		nameless.Types[0].Lists[0].Codes[i].Names.EN = ""
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	otherKID := good(bundleKey)
	otherKID.KID[0] ^= 1
	otherAlg := good(bundleKey)
	otherAlg.Alg = es384
	for _, c := range []struct {
		name   string
		bundle trust.Bundle
		signer trust.KeySigner
		want   error
	}{
		{"one key twice", twice, good(bundleKey), trust.ErrMalformed},
		{"one kid for two keys", oneKID, good(bundleKey), trust.ErrMalformed},
		{"too long a life", long, good(bundleKey), trust.ErrMalformed},
		{"no root statement", unsigned, good(bundleKey), trust.ErrMalformed},
		{"a name missing", nameless, good(bundleKey), trust.ErrMalformed},
		{"a stranger", bundle(t), good(strangerKey), trust.ErrSigner},
		{"a status signer", bundle(t), good(statusKey), trust.ErrSigner},
		{"a signer of later", bundle(t), good(laterKey), trust.ErrSigner},
		{"another kid", bundle(t), otherKID, trust.ErrSigner},
		{"another algorithm", bundle(t), otherAlg, trust.ErrMalformed},
		{"no key", bundle(t), trust.KeySigner{KID: good(bundleKey).KID, Alg: es256}, trust.ErrMalformed},
		{"an RSA key", bundle(t), trust.KeySigner{KID: good(bundleKey).KID, Alg: es256, Key: rsaKey}, trust.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := trust.SignBundle(c.bundle, c.signer); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, err := trust.SignBundle(bundle(t)); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("signed by nobody: %v", err)
	}
	if _, err := trust.SignHead(trust.Head{}, good(statusKey)); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("an empty head: %v", err)
	}
	if _, err := trust.SignRoot(trust.RootStatement{}, good(rootKey)); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("an empty root statement: %v", err)
	}
}

func TestTooLargeBundle(t *testing.T) {
	if _, err := trust.ParseBundle(make([]byte, trust.MaxBundle+1)); !errors.Is(err, trust.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// A change of root: the pinned root must have signed what names the next, and
// only then does the next one's signature count for who moved.
func TestNextRoot(t *testing.T) {
	s := rootStatement()
	s.Version, s.Next = 4, spki(nextRootKey)
	both := rootFile(t, s, rootKey, nextRootKey)
	at := time.Unix(now, 0)
	opened, err := trust.OpenRoot(both, rootKey.Public(), at)
	if err != nil {
		t.Fatal(err)
	}
	next, err := opened.NextRoot()
	if err != nil {
		t.Fatal(err)
	}
	if !nextRootKey.PublicKey.Equal(next) {
		t.Error("another next root")
	}
	after := rootStatement()
	after.Version = 5
	alone := rootFile(t, after, nextRootKey)
	if _, err := trust.OpenRoot(alone, rootKey.Public(), at); !errors.Is(err, trust.ErrSigner) {
		t.Errorf("the next root alone, to one who has not moved: %v", err)
	}
	if _, err := trust.OpenRoot(alone, next, at); err != nil {
		t.Errorf("the next root, to one who has moved: %v", err)
	}
	none, err := rootStatement().NextRoot()
	if none != nil || err != nil {
		t.Errorf("no next root: got %v, %v", none, err)
	}
}

func TestAccept(t *testing.T) {
	mark := func(n uint64, label string) trust.Mark {
		return trust.Mark{Number: n, Hash: sha256.Sum256([]byte(label))}
	}
	after := func(m, previous trust.Mark) trust.Mark {
		m.Previous = previous.Hash
		return m
	}
	old := trust.State{Root: mark(3, "r3"), Bundle: after(mark(41, "b41"), mark(40, "b40")), Snapshot: mark(900, "s900")}
	with := func(edit func(s *trust.State)) trust.State {
		s := old
		edit(&s)
		return s
	}
	for _, c := range []struct {
		name string
		next trust.State
		want trust.State
		err  error
	}{
		{"the same again", old, old, nil},
		{"nothing", trust.State{}, old, nil},
		{"a newer root", trust.State{Root: mark(4, "r4")}, with(func(s *trust.State) { s.Root = mark(4, "r4") }), nil},
		{"an older root", trust.State{Root: mark(2, "r2")}, old, trust.ErrRollback},
		{"another root of the version", trust.State{Root: mark(3, "r3 again")}, old, trust.ErrFork},
		{"the next bundle", trust.State{Bundle: after(mark(42, "b42"), old.Bundle)}, with(func(s *trust.State) { s.Bundle = after(mark(42, "b42"), old.Bundle) }), nil},
		{"a bundle far ahead", trust.State{Bundle: after(mark(60, "b60"), mark(59, "b59"))}, with(func(s *trust.State) { s.Bundle = after(mark(60, "b60"), mark(59, "b59")) }), nil},
		{"the next bundle after another", trust.State{Bundle: after(mark(42, "b42"), mark(41, "b41 again"))}, old, trust.ErrFork},
		{"an older bundle", trust.State{Bundle: after(mark(40, "b40"), mark(39, "b39"))}, old, trust.ErrRollback},
		{"another bundle of the seq", trust.State{Bundle: after(mark(41, "b41 again"), mark(40, "b40"))}, old, trust.ErrFork},
		{"a head that agrees", trust.HeadState(trust.Head{BundleSeq: 41, BundleHash: old.Bundle.Hash, SnapshotSeq: 900, SnapshotHash: old.Snapshot.Hash}), old, nil},
		{"a head with another bundle", trust.HeadState(trust.Head{BundleSeq: 41, BundleHash: old.Root.Hash, SnapshotSeq: 900, SnapshotHash: old.Snapshot.Hash}), old, trust.ErrFork},
		{"an older snapshot", trust.State{Snapshot: mark(899, "s899")}, old, trust.ErrRollback},
		{"another snapshot of the seq", trust.State{Snapshot: mark(900, "s900 again")}, old, trust.ErrFork},
		{"a new bundle with an older snapshot", trust.State{Bundle: after(mark(42, "b42"), old.Bundle), Snapshot: mark(1, "s1")}, old, trust.ErrRollback},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := trust.Accept(old, c.next)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("got error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
	if got, err := trust.Accept(trust.State{}, old); err != nil || got != old {
		t.Errorf("the first: got %v, %v", got, err)
	}
}

func TestBundleState(t *testing.T) {
	b := bundle(t)
	file := bundleFile(t, b, bundleKey)
	opened, root, err := trust.OpenBundle(file, rootKey.Public(), time.Unix(now, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := trust.State{
		Root:   trust.Mark{Number: 3, Hash: sha256.Sum256(b.Root)},
		Bundle: trust.Mark{Number: 41, Hash: sha256.Sum256(file), Previous: [32]byte(b.Previous)},
	}
	if got := trust.BundleState(file, opened, root); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestGenuine(t *testing.T) {
	a, b, c := [16]byte{1}, [16]byte{2, 3}, [16]byte{0xff}
	file, err := trust.EncodeGenuine([][16]byte{c, a, a})
	if err != nil {
		t.Fatal(err)
	}
	if len(file) != 32 {
		t.Errorf("%d bytes, want each once", len(file))
	}
	g, err := trust.ParseGenuine(file)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Contains(a) || g.Contains(b) || !g.Contains(c) {
		t.Error("contains the wrong ones")
	}
	if g.Hash() != sha256.Sum256(file) {
		t.Error("another hash than the file's")
	}
	if g, err := trust.ParseGenuine(nil); err != nil || g.Contains(a) {
		t.Errorf("an empty file: %v", err)
	}
	for _, bad := range []struct {
		name string
		file []byte
		want error
	}{
		{"a byte short", file[:31], trust.ErrMalformed},
		{"not in order", concat(file[16:], file[:16]), trust.ErrMalformed},
		{"one twice", concat(file[:16], file[:16]), trust.ErrMalformed},
		{"too large", make([]byte, trust.MaxGenuine+16), trust.ErrTooLarge},
	} {
		t.Run(bad.name, func(t *testing.T) {
			if _, err := trust.ParseGenuine(bad.file); !errors.Is(err, bad.want) {
				t.Errorf("got %v, want %v", err, bad.want)
			}
		})
	}
}

// seeds adds the files of the vectors of a kind.
func seeds(f *testing.F, kind string) {
	for _, path := range testvector.Paths(f, vectorDir) {
		if v := readVector(f, path); v.kind == kind && len(v.file) < 1<<15 {
			f.Add(v.file)
		}
	}
}

func FuzzRoot(f *testing.F) {
	seeds(f, kindRoot)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := trust.ParseRoot(b)
		if err != nil {
			outcome(t, err)
			return
		}
		// Whatever is read can be signed, and is read again as the same.
		again, err := trust.ParseRoot(rootFile(t, s, rootKey))
		if err != nil || !cmp.Equal(s, again) {
			t.Errorf("another statement after signing: %v", err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	seeds(f, kindBundle)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := trust.OpenBundle(b, rootKey.Public(), time.Unix(now, 0)); err != nil {
			outcome(t, err)
		}
		v, err := trust.ParseBundle(b)
		if err != nil {
			outcome(t, err)
			return
		}
		v.IssuedAt, v.Expires = made, made+day // any time that the signer may sign at
		v.Root = rootFile(t, rootStatement(), rootKey)
		again, err := trust.ParseBundle(bundleFile(t, v, bundleKey))
		if err != nil || !cmp.Equal(v, again) {
			t.Errorf("another bundle after signing: %v", err)
		}
	})
}

func FuzzHead(f *testing.F) {
	seeds(f, kindHead)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := trust.ParseHead(b)
		if err != nil {
			outcome(t, err)
			return
		}
		again, err := trust.ParseHead(headFile(t, h, statusKey))
		if err != nil || !cmp.Equal(h, again) {
			t.Errorf("another head after signing: %v", err)
		}
	})
}

func FuzzGenuine(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 16))
	f.Add(concat(make([]byte, 16), bytes.Repeat([]byte{1}, 16)))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := trust.ParseGenuine(b)
		if err != nil {
			outcome(t, err)
			return
		}
		var all [][16]byte
		for entry := range slices.Chunk(b, 16) {
			if !g.Contains([16]byte(entry)) {
				t.Fatal("an entry is not found")
			}
			all = append(all, [16]byte(entry))
		}
		if again, err := trust.EncodeGenuine(all); err != nil || !bytes.Equal(again, b) {
			t.Errorf("another file after encoding: %v", err)
		}
	})
}
