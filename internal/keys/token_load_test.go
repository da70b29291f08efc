//go:build cgo

package keys_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// TestTokenRewrap: the bindings of token keys are rewrapped, and still refuse
// what belongs elsewhere.
func TestTokenRewrap(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		config := softHSM(t)
		r := open(t, keys.Options{DB: d, PKCS11: config, NextKEK: offer(nextKEK)})
		k := created(t, r, tokenSpec(keys.ES256), keys.Active)
		signer := activeSigner(t, r, k)
		if err := r.Rewrap(t.Context(), actor); err != nil {
			t.Fatal(err)
		}
		signs(t, signer, k.Public)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, keys.Options{DB: d, PKCS11: config, KEK: nextKEK})
		signs(t, activeSigner(t, again, k), k.Public)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		exec(t, d, `UPDATE keys SET owner = 'thief'`)
		stolen := open(t, keys.Options{DB: d, PKCS11: config, KEK: nextKEK})
		if _, err := stolen.Signer(t.Context(), k.ID); err == nil {
			t.Error("a row of another owner signs")
		}
	})
}

// TestTokenAwayUnderLoad takes the token away under many callers and brings it
// back: every one either signs or learns that it is to come again, and a pause
// reaches a token's key as it does any other.
func TestTokenAwayUnderLoad(t *testing.T) {
	config := softHSM(t)
	r := open(t, keys.Options{DB: testkit.SQLite(t), PKCS11: config, Concurrent: 2})
	k := created(t, r, tokenSpec(keys.ES256), keys.Active)
	signer := activeSigner(t, r, k)
	signs(t, signer, k.Public)
	var stop atomic.Bool
	var signed, refused atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for !stop.Load() {
				switch err := trySign(signer); {
				case err == nil:
					signed.Add(1)
				case fault.KindOf(err) == fault.Unavailable:
					refused.Add(1)
					time.Sleep(10 * time.Millisecond)
				default:
					t.Error(err)
				}
			}
		})
	}
	time.Sleep(1100 * time.Millisecond) // the connection is older than the shortest time between two
	back := away(t, config)
	eventually(t, 5*time.Second, "the token is missed", func() bool { return refused.Load() > 0 })
	back()
	before := signed.Load()
	eventually(t, 10*time.Second, "the token is used again", func() bool { return signed.Load() > before+20 })
	pause(t, r, k.ID)
	wantKind(t, trySign(signer), fault.Unavailable)
	stop.Store(true)
	group.Wait()
}
