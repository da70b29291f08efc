package keys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

var nextKEK = []byte("another made-up key for wrapping")

func offer(kek []byte) func() ([]byte, error) { return func() ([]byte, error) { return kek, nil } }

// stock makes keys of every algorithm and state, and every secret.
func stock(t testing.TB, d *db.DB, o keys.Options) (*keys.Ring, []keys.Key) {
	t.Helper()
	o.DB = d
	r := open(t, o)
	var list []keys.Key
	for _, alg := range []string{keys.ES256, keys.ES384, keys.Ed25519} {
		s := spec(keys.PurposePermit, strings.ToLower(alg))
		s.Alg = alg
		list = append(list, created(t, r, s, keys.Active), created(t, r, s, keys.Published))
	}
	for _, state := range []keys.State{keys.Staged, keys.Retiring, keys.Retired, keys.Compromised} {
		list = append(list, created(t, r, spec(keys.PurposeToken, string(state)), state))
	}
	for _, name := range []string{keys.SecretData, keys.SecretLookup, "licenses.permutation"} {
		if err := r.MakeSecret(t.Context(), name, actor); err != nil {
			t.Fatal(err)
		}
	}
	return r, list
}

// whole fails unless a ring opens everything that stock made.
func whole(t testing.TB, r *keys.Ring, list []keys.Key) {
	t.Helper()
	for _, k := range list {
		signer, err := r.Signer(t.Context(), k.ID)
		if k.State == keys.Retired || k.State == keys.Compromised {
			wantKind(t, err, fault.Conflict)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		signs(t, signer, k.Public)
	}
	for _, name := range []string{keys.SecretData, keys.SecretLookup, "licenses.permutation"} {
		if b, err := r.Secret(t.Context(), name); err != nil || len(b) != 32 {
			t.Fatalf("secret %s: %d bytes, %v", name, len(b), err)
		}
	}
}

// columns returns the sealed bytes of a column, one row after the other.
func columns(t testing.TB, d *db.DB, query string) (all []string) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		rows, err := tx.QueryContext(t.Context(), query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			all = append(all, string(b))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const (
	wrappedColumn = `SELECT wrapped_key FROM keys WHERE wrapped_key IS NOT NULL ORDER BY id`
	privateColumn = `SELECT private_key FROM keys WHERE private_key IS NOT NULL ORDER BY id`
	secretColumn  = `SELECT sealed FROM key_secrets ORDER BY name`
	checkColumn   = `SELECT kek_check FROM keyring`
)

// TestRewrap rewraps while two replicas sign.
func TestRewrap(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r, list := stock(t, d, keys.Options{NextKEK: offer(nextKEK), Logger: log})
		replica := open(t, keys.Options{DB: d, NextKEK: offer(nextKEK)})
		sealed, err := r.Seal(t.Context(), []byte("a resident's name"), nil)
		if err != nil {
			t.Fatal(err)
		}
		before := map[string][]string{}
		for _, column := range []string{wrappedColumn, privateColumn, secretColumn, checkColumn} {
			before[column] = columns(t, d, column)
		}
		stop := sign(t, list[0], r, replica)
		if err := r.Rewrap(t.Context(), actor); err != nil {
			t.Fatal(err)
		}
		// The replica has not followed yet; what it makes is under the new key.
		made := create(t, replica, spec(keys.PurposeCA, "city"))
		if err := replica.MakeSecret(t.Context(), "made", actor); err != nil {
			t.Fatal(err)
		}
		stop()
		for _, ring := range []*keys.Ring{r, replica} {
			if err := ring.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			whole(t, ring, append(list, made))
			if plain, err := ring.Open(t.Context(), sealed, nil); err != nil || string(plain) != "a resident's name" {
				t.Errorf("opened %q, %v", plain, err)
			}
		}
		exec(t, d, `DELETE FROM keys WHERE id = $1`, made.ID)
		exec(t, d, `DELETE FROM key_secrets WHERE name = 'made'`)
		exec(t, d, `UPDATE keyring SET version = version + 1`)
		for column, old := range before {
			now := columns(t, d, column)
			for i := range old {
				if same := old[i] == now[i]; len(old) != len(now) || same != (column == privateColumn) {
					t.Errorf("%s: row %d: same %v", column, i, same)
				}
			}
		}
		_, err = keys.Open(t.Context(), keys.Options{DB: d, KEK: testKEK})
		wantKind(t, err, fault.Invalid)
		whole(t, open(t, keys.Options{DB: d, KEK: nextKEK}), list)
		whole(t, open(t, keys.Options{DB: d, KEK: testKEK, NextKEK: offer(nextKEK)}), list)

		e := events(t, d, "keyring")
		if len(e) != 1 || e[0].Kind != "keys.rewrap" || e[0].Actor != actor || e[0].Data["keys"] != int64(9) || e[0].Data["secrets"] != int64(3) {
			t.Errorf("events %+v", e)
		}
		dump(t, d, &out)
		for form, text := range forms(nextKEK) {
			if bytes.Contains(out.Bytes(), text) {
				t.Errorf("the next key stands there in %s", form)
			}
		}
	})
}

// sign signs with a key on every ring, following all the time, until stop, which
// fails the test if one signature was refused.
func sign(t testing.TB, k keys.Key, rings ...*keys.Ring) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var signed atomic.Int64
	for _, r := range rings {
		group.Go(func() {
			for ctx.Err() == nil {
				_, signer, err := r.Active(ctx, k.Purpose, k.Owner)
				if err == nil {
					err = trySign(signer)
				}
				if err != nil {
					t.Errorf("signature lost: %v", err)
				}
				signed.Add(1)
			}
		})
		group.Go(func() {
			for ctx.Err() == nil {
				if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("refresh: %v", err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	return func() {
		time.Sleep(50 * time.Millisecond)
		cancel()
		group.Wait()
		if signed.Load() == 0 {
			t.Error("nothing was signed")
		}
	}
}

// TestRewrapThereAndBack: each replica follows again and again, and the former
// key is welcome once it is the next.
func TestRewrapThereAndBack(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		var next atomic.Pointer[[]byte]
		get := func() ([]byte, error) { return *next.Load(), nil }
		next.Store(&nextKEK)
		r, list := stock(t, d, keys.Options{NextKEK: get})
		replica := open(t, keys.Options{DB: d, NextKEK: get})
		for range 3 {
			for _, kek := range [][]byte{nextKEK, testKEK} {
				next.Store(&kek)
				if err := r.Rewrap(t.Context(), actor); err != nil {
					t.Fatal(err)
				}
				if err := replica.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				r, replica = replica, r
			}
		}
		whole(t, open(t, keys.Options{DB: d}), list)
	})
}

func TestRewrapRefused(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		_, list := stock(t, d, keys.Options{})
		state := func() string {
			return fmt.Sprint(columns(t, d, wrappedColumn), columns(t, d, secretColumn), columns(t, d, checkColumn), len(events(t, d, "keyring")))
		}
		exec(t, d, `UPDATE keys SET wrapped_key = private_key WHERE id = $1`, list[9].ID) // compromised: no matter
		broken := func(table, where string, arg any) func() func() {
			return func() func() {
				column := map[string]string{"keys": "wrapped_key", "key_secrets": "sealed"}[table]
				var b []byte
				scan(t, d, fmt.Sprintf(`SELECT %s FROM %s WHERE %s = '%v'`, column, table, where, arg), &b)
				put := func(b []byte) {
					exec(t, d, fmt.Sprintf(`UPDATE %s SET %s = $1 WHERE %s = $2`, table, column, where), b, arg)
				}
				bad := bytes.Clone(b)
				bad[len(bad)-1] ^= 1
				put(bad)
				return func() { put(b) }
			}
		}
		nothing := func() func() { return func() {} }
		for _, c := range []struct {
			name, actor string
			next        func() ([]byte, error)
			spoil       func() (repair func())
			kind        fault.Kind
		}{
			{"no next key", actor, nil, nothing, fault.Conflict},
			{"none yet", actor, offer(nil), nothing, fault.Conflict},
			{"the one in use", actor, offer(testKEK), nothing, fault.Conflict},
			{"too short", actor, offer(nextKEK[:31]), nothing, fault.Invalid},
			{"unreadable", actor, func() ([]byte, error) { return nil, errors.New("no") }, nothing, fault.Internal},
			{"no actor", "", offer(nextKEK), nothing, fault.Invalid},
			{"a broken key", actor, offer(nextKEK), broken("keys", "id", list[2].ID), fault.Conflict},
			{"a broken retiring key", actor, offer(nextKEK), broken("keys", "id", list[7].ID), fault.Conflict},
			{"a broken secret", actor, offer(nextKEK), broken("key_secrets", "name", keys.SecretLookup), fault.Conflict},
		} {
			t.Run(c.name, func(t *testing.T) {
				repair := c.spoil()
				r := open(t, keys.Options{DB: d, NextKEK: c.next})
				before := state()
				wantKind(t, r.Rewrap(t.Context(), c.actor), c.kind)
				if state() != before {
					t.Error("a refusal left something")
				}
				repair()
				exec(t, d, `UPDATE keyring SET version = version + 1`)
				whole(t, open(t, keys.Options{DB: d}), list)
			})
		}
		r := open(t, keys.Options{DB: d, NextKEK: offer(nextKEK)})
		if err := r.Rewrap(t.Context(), actor); err != nil {
			t.Fatal(err)
		}
		whole(t, open(t, keys.Options{DB: d, KEK: nextKEK}), list)
	})
}

// TestRewrapWithoutNext: a replica that is not given the next key goes on with
// what it has, learns of pauses, makes nothing new, and recovers.
func TestRewrapWithoutNext(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r, list := stock(t, d, keys.Options{NextKEK: offer(nextKEK)})
		var next atomic.Pointer[[]byte]
		wrong := bytes.Repeat([]byte{7}, 32)
		replica := open(t, keys.Options{DB: d, NextKEK: func() ([]byte, error) {
			if b := next.Load(); b != nil {
				return *b, nil
			}
			return nil, nil
		}})
		held := activeSigner(t, replica, list[0])
		if err := r.Rewrap(t.Context(), actor); err != nil {
			t.Fatal(err)
		}
		made := create(t, r, spec(keys.PurposeCA, "city"))
		n := len(columns(t, d, wrappedColumn))
		for _, kek := range []*[]byte{nil, &wrong} {
			next.Store(kek)
			wantKind(t, replica.Refresh(t.Context()), fault.Invalid)
			whole(t, replica, list)
			signs(t, held, list[0].Public)
			_, err := replica.Signer(t.Context(), made.ID)
			wantKind(t, err, fault.Invalid)
			_, err = replica.Create(t.Context(), spec(keys.PurposeCA, "city"))
			wantKind(t, err, fault.Invalid)
			wantKind(t, replica.MakeSecret(t.Context(), "other", actor), fault.Invalid)
			wantKind(t, replica.Move(t.Context(), made.ID, keys.Published, actor, ""), fault.Invalid)
			if len(columns(t, d, wrappedColumn)) != n {
				t.Fatal("something was stored under the former key")
			}
		}
		pause(t, r, list[0].ID)
		move(t, r, list[2].ID, keys.Compromised)
		wantKind(t, replica.Refresh(t.Context()), fault.Invalid)
		wantKind(t, trySign(held), fault.Unavailable)
		_, err := replica.Signer(t.Context(), list[2].ID)
		wantKind(t, err, fault.Conflict)

		next.Store(&nextKEK)
		if err := replica.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		signer, err := replica.Signer(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		signs(t, signer, made.Public)
		if err := replica.Resume(t.Context(), list[0].ID, actor, ""); err != nil {
			t.Fatal(err)
		}
		signs(t, held, list[0].Public)
	})
}

// TestRewrapRace lets two replicas rewrap at once, beside others who make keys.
func TestRewrapRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		first, list := stock(t, d, keys.Options{NextKEK: offer(nextKEK)})
		rings := []*keys.Ring{first, open(t, keys.Options{DB: d, NextKEK: offer(nextKEK)})}
		var errs [2]error
		var group sync.WaitGroup
		for i, r := range rings {
			group.Go(func() { errs[i] = r.Rewrap(t.Context(), actor) })
			group.Go(func() {
				for range 10 {
					if _, err := r.Create(t.Context(), spec(keys.PurposeTLS, "city")); err != nil {
						t.Errorf("create: %v", err)
					}
				}
			})
		}
		group.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("want one winner, got %v and %v", errs[0], errs[1])
		}
		wantKind(t, errors.Join(errs[:]...), fault.Conflict)
		made, err := first.List(t.Context(), keys.Filter{Purpose: keys.PurposeTLS})
		if err != nil || len(made) != 20 {
			t.Fatalf("%d keys, %v", len(made), err)
		}
		whole(t, open(t, keys.Options{DB: d, KEK: nextKEK}), append(list, made...))
	})
}
