package keys_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func TestReopen(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		if err := r.MakeSecret(t.Context(), "list.1", actor); err != nil {
			t.Fatal(err)
		}
		secret, err := r.Secret(t.Context(), "list.1")
		if err != nil {
			t.Fatal(err)
		}
		for _, purpose := range []string{keys.PurposeCA, keys.PurposeLog, keys.PurposePermit} {
			created(t, r, spec(purpose, "city"), keys.Active)
		}
		before, err := r.List(t.Context(), keys.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		again := open(t, keys.Options{DB: d})
		after, err := again.List(t.Context(), keys.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
		for _, k := range after {
			active, signer, err := again.Active(t.Context(), k.Purpose, k.Owner)
			if err != nil || active.ID != k.ID {
				t.Fatalf("active %+v, %v", active, err)
			}
			signs(t, signer, k.Public)
		}
		same, err := again.Secret(t.Context(), "list.1")
		if err != nil || !bytes.Equal(secret, same) {
			t.Errorf("another secret: %v", err)
		}
	})
}

// TestReplica shows that a replica follows by itself.
func TestReplica(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r, replica := open(t, keys.Options{DB: d}), open(t, keys.Options{DB: d})
		run(t, replica)
		for range 2 {
			created(t, r, spec(keys.PurposePermit, "donghu-amr"), keys.Published)
			want, _, err := r.Promote(t.Context(), keys.PurposePermit, "donghu-amr", actor)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, 3*time.Second, "the replica signs with the new key", func() bool {
				k, signer, err := replica.Active(t.Context(), keys.PurposePermit, "donghu-amr")
				if err != nil || k.ID != want.ID {
					return false
				}
				signs(t, signer, want.Public)
				return true
			})
		}
	})
}

// TestFresh asks a replica for what another has just made.
func TestFresh(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r, replica := open(t, keys.Options{DB: d}), open(t, keys.Options{DB: d})
		k := create(t, r, spec(keys.PurposeCA, "city"))
		signer, err := replica.Signer(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		signs(t, signer, k.Public)
		_, err = replica.Signer(t.Context(), db.NewID())
		wantKind(t, err, fault.NotFound)
		if err := r.MakeSecret(t.Context(), "new", actor); err != nil {
			t.Fatal(err)
		}
		if _, err := replica.Secret(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		_, err = replica.Secret(t.Context(), "none")
		wantKind(t, err, fault.NotFound)
	})
}

// TestRefreshLosesNothing refreshes a replica while another changes the ring:
// after each change one more Refresh sees it.
func TestRefreshLosesNothing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r, replica := open(t, keys.Options{DB: d}), open(t, keys.Options{DB: d})
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				for ctx.Err() == nil {
					if err := replica.Refresh(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 25 {
			created(t, r, spec(keys.PurposeToken, "city"), keys.Published)
			want, _, err := r.Promote(t.Context(), keys.PurposeToken, "city", actor)
			if err != nil {
				t.Fatal(err)
			}
			if err := replica.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, _, err := replica.Active(t.Context(), keys.PurposeToken, "city"); err != nil || got.ID != want.ID {
				t.Fatalf("the replica has %s, want %s (%v)", got.ID, want.ID, err)
			}
		}
		stop()
		group.Wait()
	})
}

// TestTampered changes rows behind the ring's back: the key concerned fails, a
// neighbour does not.
func TestTampered(t *testing.T) {
	swap := func(column string) string {
		return `UPDATE keys SET ` + column + ` = (SELECT o.` + column + ` FROM keys AS o WHERE o.owner = 'other') WHERE owner = 'victim'`
	}
	cases := []struct{ name, change string }{
		{"wrapped bytes of another row", swap("wrapped_key")},
		{"private bytes of another row", swap("private_key")},
		{"both of another row", `UPDATE keys SET wrapped_key = o.wrapped_key, private_key = o.private_key FROM (SELECT * FROM keys WHERE owner = 'other') AS o WHERE keys.owner = 'victim'`},
		{"none", `UPDATE keys SET wrapped_key = NULL, private_key = NULL WHERE owner = 'victim'`},
		{"other owner", `UPDATE keys SET owner = 'thief' WHERE owner = 'victim'`},
		{"other purpose", `UPDATE keys SET purpose = 'ca' WHERE owner = 'victim'`},
		{"other id", `UPDATE keys SET id = '0' || SUBSTR(id, 2, 24) || 'z' WHERE owner = 'victim'`},
		{"other algorithm", `UPDATE keys SET alg = 'ES384' WHERE owner = 'victim'`},
	}
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) { tampered(t, d, func(keys.Key) { exec(t, d, c.change) }) })
		}
		for _, column := range []string{"wrapped_key", "private_key", "public_key"} {
			t.Run("one bit of "+column, func(t *testing.T) {
				tampered(t, d, func(k keys.Key) {
					var b []byte
					scan(t, d, `SELECT `+column+` FROM keys WHERE id = '`+k.ID+`'`, &b)
					b[len(b)-1] ^= 1
					exec(t, d, `UPDATE keys SET `+column+` = $1 WHERE id = $2`, b, k.ID)
				})
			})
		}
		t.Run("another key as public half", func(t *testing.T) {
			tampered(t, d, func(k keys.Key) {
				signer, err := open(t, keys.Options{DB: testkit.SQLite(t)}).Create(t.Context(), spec(keys.PurposeTLS, "x"))
				if err != nil {
					t.Fatal(err)
				}
				der, err := x509.MarshalPKIXPublicKey(signer.Public)
				if err != nil {
					t.Fatal(err)
				}
				exec(t, d, `UPDATE keys SET public_key = $1 WHERE id = $2`, der, k.ID)
			})
		})
	})
}

func tampered(t *testing.T, d *db.DB, change func(keys.Key)) {
	exec(t, d, `DELETE FROM keys`)
	exec(t, d, `UPDATE keyring SET version = version + 1`)
	live := open(t, keys.Options{DB: d}) // has the key decrypted when it is changed
	victim := created(t, live, spec(keys.PurposePermit, "victim"), keys.Active)
	other := created(t, live, spec(keys.PurposePermit, "other"), keys.Active)
	_, held, err := live.Active(t.Context(), victim.Purpose, victim.Owner)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, held, victim.Public)
	change(victim)
	exec(t, d, `UPDATE keyring SET version = version + 1`)

	fresh := open(t, keys.Options{DB: d})
	var ids, purposes, owners [3]string
	scan(t, d, `SELECT id, purpose, owner FROM keys WHERE owner <> 'other'`, &ids[0], &purposes[0], &owners[0])
	if _, err := fresh.Signer(t.Context(), ids[0]); err == nil {
		t.Error("a fresh ring signs with the changed row")
	}
	if _, _, err := fresh.Active(t.Context(), purposes[0], owners[0]); err == nil {
		t.Error("a fresh ring has the changed row active")
	}
	if err := live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k, s, err := live.Active(t.Context(), purposes[0], owners[0]); err == nil {
		// What it decrypted before may serve on, but only as what it is.
		if k.ID != victim.ID || k.Owner != victim.Owner || k.Purpose != victim.Purpose || k.Alg != victim.Alg {
			t.Error("a ring signs with the changed row in another role")
		}
		signs(t, s, victim.Public)
	}
	for _, r := range []*keys.Ring{fresh, live} {
		_, signer, err := r.Active(t.Context(), other.Purpose, other.Owner)
		if err != nil {
			t.Fatalf("the neighbour: %v", err)
		}
		signs(t, signer, other.Public)
	}
}

// TestRowLost removes a row: its signer ends with it.
func TestRowLost(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		r := open(t, keys.Options{DB: d})
		k := created(t, r, spec(keys.PurposeToken, "city"), keys.Active)
		_, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, d, `DELETE FROM keys`)
		exec(t, d, `UPDATE keyring SET version = version + 1`)
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantKind(t, trySign(signer), fault.NotFound)
	})
}

func TestClose(t *testing.T) {
	r := open(t, keys.Options{DB: testkit.SQLite(t)})
	k := created(t, r, spec(keys.PurposeToken, "city"), keys.Active)
	_, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wantKind(t, trySign(signer), fault.Unavailable)
	wantKind(t, r.Refresh(t.Context()), fault.Unavailable)
	_, _, err = r.Active(t.Context(), k.Purpose, k.Owner)
	wantKind(t, err, fault.Unavailable)
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	d := testkit.SQLite(t)
	r := open(t, keys.Options{DB: d, Registerer: reg})
	open(t, keys.Options{DB: d, Registerer: reg}) // shares the collectors
	k := created(t, r, spec(keys.PurposeToken, "city"), keys.Active)
	next := created(t, r, spec(keys.PurposeToken, "city"), keys.Published)
	pause(t, r, next.ID)
	_, signer, err := r.Active(t.Context(), k.Purpose, k.Owner)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		signs(t, signer, k.Public)
	}
	move(t, r, k.ID, keys.Compromised)
	wantKind(t, trySign(signer), fault.Conflict)
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); v != 0 {
				got[name] = v
			}
		}
	}
	want := map[string]float64{
		"signet_keys token compromised": 1, "signet_keys token published": 1, "signet_keys_paused token": 1,
		"signet_keys_signatures_total token ok": 3, "signet_keys_signatures_total token error": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNothingLeaks looks for every secret byte in logs, errors, events and the
// database.
func TestNothingLeaks(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r := open(t, keys.Options{DB: d, Logger: log})
		secrets := map[string][]byte{"kek": testKEK}
		for _, alg := range []string{keys.ES256, keys.ES384, keys.Ed25519} {
			s := spec(keys.PurposePermit, "owner-"+string(alg[len(alg)-3:]))
			s.Alg = alg
			k := created(t, r, s, keys.Active)
			signer, err := r.Signer(t.Context(), k.ID)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKCS8PrivateKey(keys.PrivateHalf(signer))
			if err != nil {
				t.Fatal(err)
			}
			secrets[alg] = der[len(der)-32:] // Ed25519's seed; of ECDSA the end of the public point
			if alg != keys.Ed25519 {
				secrets[alg] = der[36:60] // amid the private scalar
			}
		}
		for _, name := range []string{keys.SecretData, keys.SecretLookup} {
			if err := r.MakeSecret(t.Context(), name, actor); err != nil {
				t.Fatal(err)
			}
			value, err := r.Secret(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			secrets[name] = value
		}
		// Every complaint that we know of.
		exec(t, d, `UPDATE keys SET wrapped_key = private_key WHERE owner = 'owner-256'`)
		exec(t, d, `UPDATE key_secrets SET sealed = $1 WHERE name = 'registry.data'`, []byte("short"))
		broken := open(t, keys.Options{DB: d, Logger: log})
		_, _, err := broken.Active(t.Context(), keys.PurposePermit, "owner-256")
		fmt.Fprintln(&out, err)
		_, err = broken.Secret(t.Context(), keys.SecretData)
		fmt.Fprintln(&out, err)
		_, err = keys.Open(t.Context(), keys.Options{DB: d, KEK: bytes.Repeat([]byte{1}, 32), Logger: log})
		fmt.Fprintln(&out, err)
		fmt.Fprintf(&out, "%+v %v", r, r.MakeSecret(t.Context(), keys.SecretData, actor))
		if !bytes.Contains(out.Bytes(), []byte("key unusable")) || !bytes.Contains(out.Bytes(), []byte("secret unusable")) {
			t.Fatalf("the complaints are missing:\n%s", out.Bytes())
		}
		dump(t, d, &out)
		for name, secret := range secrets {
			for form, text := range forms(secret) {
				if bytes.Contains(out.Bytes(), text) {
					t.Errorf("%s stands there in %s", name, form)
				}
			}
		}
	})
}

// forms returns how bytes get printed.
func forms(b []byte) map[string][]byte {
	list := fmt.Appendf(nil, "%v", b)
	return map[string][]byte{
		"raw": b, "hexadecimal": []byte(hex.EncodeToString(b)), "HEXADECIMAL": fmt.Appendf(nil, "%X", b),
		"base64": []byte(base64.RawStdEncoding.EncodeToString(b)[:len(b)]), "list": list[1 : len(list)-1],
	}
}

// dump appends every byte of the keyring's tables and of the audit events.
func dump(t *testing.T, d *db.DB, out *bytes.Buffer) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		list, err := audit.Find(t.Context(), tx, audit.EventFilter{})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v", list)
		for _, query := range []string{`SELECT wrapped_key FROM keys`, `SELECT private_key FROM keys`, `SELECT sealed FROM key_secrets`, `SELECT kek_check FROM keyring`} {
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
				out.Write(b)
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
