package keys_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// BenchmarkSign compares a bare P-256 signature with one by the ring's active key.
func BenchmarkSign(b *testing.B) {
	r := open(b, keys.Options{DB: testkit.SQLite(b)})
	k := created(b, r, spec(keys.PurposePermit, "donghu-amr"), keys.Active)
	_, signer, err := r.Active(b.Context(), k.Purpose, k.Owner)
	if err != nil {
		b.Fatal(err)
	}
	bare := keys.PrivateHalf(signer)
	hash := sha256.Sum256([]byte("what is signed"))
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if _, err := bare.Sign(rand.Reader, hash[:], crypto.SHA256); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("active", func(b *testing.B) {
		for b.Loop() {
			_, signer, err := r.Active(b.Context(), k.Purpose, k.Owner)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := signer.Sign(rand.Reader, hash[:], crypto.SHA256); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkActive is the cost of finding the active key, alone and from all
// cores at once.
func BenchmarkActive(b *testing.B) {
	r := open(b, keys.Options{DB: testkit.SQLite(b)})
	k := created(b, r, spec(keys.PurposePermit, "donghu-amr"), keys.Active)
	find := func(b *testing.B) {
		if _, _, err := r.Active(b.Context(), k.Purpose, k.Owner); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			find(b)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				find(b)
			}
		})
	})
}
