package trust_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	. "github.com/signet-city/signet/internal/trust"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

type hookedSigner struct {
	crypto.Signer
	ring hooked
}

func (h hookedSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return h.ring.sign(h.Signer, digest, opts)
}

func TestPublish(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key := c.permitKey(t, "jiangcheng-amr")
		c.move(t, key, keys.Published)
		from := c.clock.Now()
		if _, err := c.registry.Authorize(t.Context(), actor, registry.Authority{Agency: "jiangcheng-amr", Type: "food-business",
			Area: "990100", From: from, Until: from.AddDate(10, 0, 0)}); err != nil {
			t.Fatal(err)
		}
		c.statuses.revoke(0, 77)
		p := c.publisher(t)
		publish(t, p)
		v := c.look(t, p)
		if v.bundle.Seq != 1 || len(v.bundle.Previous) != 0 || len(v.bundle.Agencies) != 1 || len(v.bundle.Keys) != 1 ||
			len(v.bundle.Authority) != 1 || len(v.bundle.Types) != 1 || !bytes.Equal(v.bundle.Root, c.root) {
			t.Errorf("bundle: %+v", v.bundle)
		}
		if l := v.bundle.Lists; len(l) != 1 || l[0].URI != "http://localhost:8080/status/snapshot" {
			t.Errorf("lists: %+v", l)
		}
		if state, ok := v.snapshot.Lookup(0, 77); state != status.Revoked || !ok {
			t.Errorf("index 77: %v, %t", state, ok)
		}
		if !strings.HasPrefix(string(v.head.Checkpoint), "example.org/log\n") {
			t.Errorf("checkpoint %q", v.head.Checkpoint)
		}
		if got := fetch(t, p, "/trust/root"); !bytes.Equal(got, c.root) {
			t.Error("another root statement is served")
		}
		for _, kind := range []string{"bundle", "snapshot", "head"} {
			intents, outcomes := c.events(t, "trust."+kind+".intent"), c.events(t, "trust."+kind+".outcome")
			if len(intents) != 1 || len(outcomes) != 1 || outcomes[0].Data["published"] != true ||
				intents[0].Object != kind+":1" || outcomes[0].Object != kind+":1" || intents[0].ID > outcomes[0].ID {
				t.Errorf("%s: intents %+v, outcomes %+v", kind, intents, outcomes)
			}
		}
		if err := p.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// numbers are the three sequence numbers, the head's by its events.
func (c *city) numbers(t *testing.T, p *Publisher) [3]int {
	t.Helper()
	v := c.look(t, p)
	return [3]int{int(v.bundle.Seq), int(v.snapshot.Seq), len(c.events(t, "trust.head.outcome"))}
}

// TestPublishOnlyOnChange takes a city through changes and time, and counts what
// was signed.
func TestPublishOnlyOnChange(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		p := c.publisher(t)
		var key keys.Key
		steps := []struct {
			name string
			do   func()
			want [3]int // bundle, snapshot, head
		}{
			{"first", func() {}, [3]int{1, 1, 1}},
			{"nothing", func() {}, [3]int{1, 1, 1}},
			{"a revocation", func() { c.statuses.revoke(0, 5) }, [3]int{1, 2, 2}},
			{"a revocation on a new list", func() { c.statuses.revoke(1, 5) }, [3]int{2, 3, 3}},
			{"a staged key", func() { key = c.permitKey(t, "jiangcheng-amr") }, [3]int{2, 3, 3}},
			{"published", func() { c.move(t, key, keys.Published) }, [3]int{3, 3, 4}},
			{"promoted", func() { c.move(t, key, keys.Active) }, [3]int{4, 3, 5}},
			{"another agency", func() { c.addAgency(t, "donghu-amr", "11990101MB0000002", registry.District, "990101") }, [3]int{5, 3, 6}},
			{"a key of nobody", func() { c.move(t, c.permitKey(t, "nobody"), keys.Published) }, [3]int{5, 3, 6}},
			{"19 minutes later", func() { c.clock.add(19 * time.Minute) }, [3]int{5, 3, 6}},
			{"a third of the head's life", func() { c.clock.add(time.Minute) }, [3]int{5, 3, 7}},
			{"a third of the snapshot's life", func() { c.clock.add(7*time.Hour + 40*time.Minute) }, [3]int{5, 4, 8}},
			{"just under two thirds of the bundle's life", func() { c.clock.add(19*24*time.Hour + 15*time.Hour) }, [3]int{5, 5, 9}},
			{"two thirds of the bundle's life", func() { c.clock.add(time.Hour) }, [3]int{6, 5, 10}},
			{"retired", func() { c.move(t, key, keys.Retiring, keys.Retired) }, [3]int{7, 5, 11}},
		}
		before := trust.State{}
		for _, s := range steps {
			s.do()
			publish(t, p)
			if got := c.numbers(t, p); got != s.want {
				t.Fatalf("%s: got %v, want %v", s.name, got, s.want)
			}
			after, err := trust.Accept(before, c.look(t, p).state)
			if err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			before = after
		}
		// Another process finds everything done.
		again := c.publisher(t)
		if w := get(again, "/trust/bundle", ""); w.Code != http.StatusOK {
			t.Errorf("before its first Publish: status %d", w.Code)
		}
		publish(t, again)
		if got, want := c.numbers(t, again), steps[len(steps)-1].want; got != want {
			t.Errorf("another process: got %v, want %v", got, want)
		}
	})
}

// TestKeys follows permit keys through their lives and compares their windows.
func TestKeys(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	start := c.clock.Now()
	end := start.AddDate(2, 0, 0).Unix() // of the certificates
	const life = 3660 * 86400
	staged, one, two := c.permitKey(t, "jiangcheng-amr"), c.permitKey(t, "jiangcheng-amr"), c.permitKey(t, "jiangcheng-amr")
	find := func(k keys.Key) *trust.Key {
		publish(t, p)
		for _, found := range c.look(t, p).bundle.Keys {
			if found.CertHash == trust.Hash(k.Certificate) {
				return &found
			}
		}
		return nil
	}
	want := func(k keys.Key, state string, from, signUntil, compromised int64) {
		t.Helper()
		got := find(k)
		if got == nil {
			t.Fatalf("no key that is %s", state)
		}
		if got.State != state || got.SignFrom != from || got.SignUntil != signUntil || got.VerifyUntil != signUntil+life ||
			got.CompromisedAt != compromised || got.Agency != "jiangcheng-amr" || got.KID != [8]byte(got.CertHash[:8]) || got.Alg != -7 {
			t.Errorf("%s: %+v, want from %d until %d", state, got, from, signUntil)
		}
	}
	c.clock.add(time.Hour)
	c.move(t, one, keys.Published)
	published := c.clock.Now().Unix()
	want(one, trust.KeyPublished, published, end, 0)
	c.clock.add(time.Hour)
	c.move(t, one, keys.Active)
	want(one, trust.KeyActive, published, end, 0)
	c.move(t, two, keys.Published)
	twoPublished := c.clock.Now().Unix()
	if _, _, err := c.ring.Promote(t.Context(), keys.PurposePermit, "jiangcheng-amr", actor); err != nil {
		t.Fatal(err)
	}
	want(one, trust.KeyRetiring, published, end, 0)
	c.clock.add(time.Hour)
	c.move(t, one, keys.Retired)
	retired := c.clock.Now().Unix()
	want(one, trust.KeyRetired, published, retired+1+trust.Skew, 0)
	c.clock.add(time.Hour)
	c.move(t, two, keys.Compromised)
	want(two, trust.KeyCompromised, twoPublished, end, c.clock.Now().Unix())
	if find(staged) != nil {
		t.Error("a staged key is in the bundle")
	}
	c.move(t, staged, keys.Compromised)
	if find(staged) != nil {
		t.Error("a key that was never published is in the bundle")
	}
	c.clock.add(time.Duration(retired+trust.Skew+life-c.clock.Now().Unix()) * time.Second)
	if find(one) == nil {
		t.Error("a retired key left before its permits end")
	}
	c.clock.add(time.Second)
	if find(one) != nil {
		t.Error("a retired key stays after its permits have ended")
	}
	if find(two) == nil {
		t.Error("a compromised key left before its permits end")
	}
}

// TestRace lets publishers publish a changing city at once.
func TestRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		publishers := []*Publisher{c.publisher(t), c.publisher(t), c.publisher(t)}
		var wait sync.WaitGroup
		for n, p := range publishers {
			wait.Go(func() {
				for i := range 6 {
					c.statuses.revoke(i, uint32(1000*n+i)) // a new list changes the bundle too
					if err := p.Publish(context.Background()); err != nil && !strings.Contains(err.Error(), "another replica was first") {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		for _, p := range publishers {
			publish(t, p)
		}
		for _, p := range publishers {
			publish(t, p)
			if got := c.look(t, p); len(got.snapshot.Lists) != 6 || len(got.bundle.Lists) != 6 {
				t.Errorf("%d and %d lists", len(got.snapshot.Lists), len(got.bundle.Lists))
			}
			if !bytes.Equal(fetch(t, p, "/trust/head"), fetch(t, publishers[0], "/trust/head")) {
				t.Error("two publishers serve different heads")
			}
		}
		c.checkChain(t)
		for _, kind := range []string{"bundle", "snapshot", "head"} {
			intents, outcomes := c.events(t, "trust."+kind+".intent"), c.events(t, "trust."+kind+".outcome")
			if len(intents) != len(outcomes) {
				t.Errorf("%s: %d intents, %d outcomes", kind, len(intents), len(outcomes))
			}
			seen := map[string]bool{}
			for _, e := range outcomes {
				if seen[e.Object] {
					t.Errorf("%s was made twice", e.Object)
				}
				seen[e.Object] = true
			}
		}
	})
}

// checkChain holds that each stored bundle names the one before it.
func (c *city) checkChain(t *testing.T) {
	t.Helper()
	var bodies [][]byte
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		rows, err := tx.QueryContext(t.Context(), "SELECT body FROM trust_objects WHERE kind = 'bundle' ORDER BY seq")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			bodies = append(bodies, b)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := trust.State{}
	for i, body := range bodies {
		b, root, err := trust.OpenBundle(body, c.rootKey.Public(), c.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if before := trust.Hash(bodies[i-1]); !bytes.Equal(b.Previous, before[:]) {
				t.Errorf("bundle %d does not name the one before it", b.Seq)
			}
		}
		if seen, err = trust.Accept(seen, trust.BundleState(body, b, root)); err != nil {
			t.Error(err)
		}
	}
	if len(bodies) < 2 {
		t.Errorf("%d bundles: nothing was shown", len(bodies))
	}
}

// TestLost lets another publisher come first between the intent and the outcome.
func TestLost(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		other := c.publisher(t)
		publish(t, other)
		first := true
		slow := c.publisher(t, func(o *Options) {
			o.Ring = hooked{c.ring, func(key crypto.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				if first {
					first = false
					publish(t, other)
				}
				return key.Sign(rand.Reader, digest, opts)
			}}
		})
		c.statuses.revoke(0, 9)
		publish(t, slow)
		v := c.look(t, slow)
		if v.snapshot.Seq != 3 || v.bundle.Seq != 1 { // 2 is the one that came too late
			t.Errorf("snapshot %d, bundle %d", v.snapshot.Seq, v.bundle.Seq)
		}
		outcomes := c.events(t, "trust.snapshot.outcome")
		if len(outcomes) != 3 {
			t.Fatalf("%d outcomes", len(outcomes))
		}
		for _, e := range outcomes {
			if published := e.Data["published"]; published != (e.Object != "snapshot:2") {
				t.Errorf("%s: published %v", e.Object, published)
			}
		}
	})
}

// meddling calls a function each time the version is asked for, which is after
// the publisher has looked at what is current.
type meddling struct {
	*statuses
	do func()
}

func (m meddling) StatusVersion(ctx context.Context) (int64, error) {
	m.do()
	return m.statuses.StatusVersion(ctx)
}

// TestPromisesNothingLate lets another publisher come first before the intent:
// there must then be none.
func TestPromisesNothingLate(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		other := c.publisher(t)
		c.statuses.revoke(0, 1)
		first := true
		late := c.publisher(t, func(o *Options) {
			o.Statuses = meddling{c.statuses, func() {
				if first {
					first = false
					publish(t, other)
				}
			}}
		})
		publish(t, late)
		if v := c.look(t, late); v.snapshot.Seq != 1 || v.bundle.Seq != 1 {
			t.Errorf("snapshot %d, bundle %d", v.snapshot.Seq, v.bundle.Seq)
		}
		if n := len(c.events(t, "trust.snapshot.intent")); n != 1 {
			t.Errorf("%d intents, want 1", n)
		}
	})
}

// TestCrash leaves intents without an outcome, as a crash in between does.
func TestCrash(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for _, fails := range []int{1, 2, 3} { // the snapshot, the bundle, the head
			signed := 0
			p := c.publisher(t, func(o *Options) {
				o.Ring = hooked{c.ring, func(key crypto.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
					if signed++; signed == 1 {
						return nil, errors.New("the power went off")
					}
					return key.Sign(rand.Reader, digest, opts)
				}}
			})
			if err := p.Publish(t.Context()); err == nil {
				t.Fatalf("crash %d: no error", fails)
			}
			if err := p.Ready(t.Context()); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("crash %d: ready: %v", fails, err)
			}
			// What did not crash is there after a restart; one object more each time.
			signed = -1
			p2 := c.publisher(t, func(o *Options) {
				o.Ring = hooked{c.ring, func(key crypto.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
					if signed++; signed > 0 {
						return nil, errors.New("the power went off")
					}
					return key.Sign(rand.Reader, digest, opts)
				}}
			})
			_ = p2.Publish(t.Context())
		}
		p := c.publisher(t)
		publish(t, p)
		v := c.look(t, p)
		if v.snapshot.Seq < 2 || v.bundle.Seq < 2 {
			t.Errorf("snapshot %d, bundle %d: a number was used again", v.snapshot.Seq, v.bundle.Seq)
		}
		if _, err := trust.Accept(trust.State{}, v.state); err != nil {
			t.Error(err)
		}
		c.statuses.revoke(3, 3)
		publish(t, p)
		c.checkChain(t)
	})
}

// TestRefusesToPublish holds that what must not be published is not.
func TestRefusesToPublish(t *testing.T) {
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		spoil   func(c *city, o *Options)
		intents int // of the snapshot
	}{
		{"signatures by another key", func(c *city, o *Options) {
			o.Ring = hooked{c.ring, func(_ crypto.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				return foreign.Sign(rand.Reader, digest, opts)
			}}
		}, 1},
		{"signer not in the root statement", func(c *city, o *Options) { file := c.signRoot(t, nil, nil); o.Root = fixed(file, c.rootKey.Public()) }, 0},
		{"no signer", func(_ *city, o *Options) { o.Owner = "somebody-else" }, 0},
		{"lists out of order", func(c *city, o *Options) {
			o.Statuses = &statuses{lists: []status.List{{No: 2}, {No: 1}}}
		}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCity(t, testkit.SQLite(t))
			p := c.publisher(t, func(o *Options) { test.spoil(c, o) })
			if err := p.Publish(t.Context()); err == nil {
				t.Error("no error")
			}
			for _, path := range []string{"/trust/bundle", "/trust/head", "/status/snapshot"} {
				if w := get(p, path, ""); w.Code != http.StatusServiceUnavailable {
					t.Errorf("%s: status %d", path, w.Code)
				}
			}
			if got := len(c.events(t, "trust.snapshot.intent")); got != test.intents {
				t.Errorf("%d intents, want %d", got, test.intents)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"another pin":       func(o *Options) { o.Root = fixed(c.root, other.Public()) },
		"no pin":            func(o *Options) { o.Root = fixed(c.root, nil) },
		"no root statement": func(o *Options) { o.Root = fixed(nil, c.rootKey.Public()) },
		"an expired one":    func(o *Options) { o.Now = func() time.Time { return time.Now().AddDate(30, 0, 0) } },
		"no database":       func(o *Options) { o.DB = nil },
		"no ring":           func(o *Options) { o.Ring = nil },
		"no registry":       func(o *Options) { o.Registry = nil },
		"no statuses":       func(o *Options) { o.Statuses = nil },
	} {
		o := c.options(t)
		change(&o)
		if p, err := New(o); err == nil || p != nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStoredBytesChanged(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	publish(t, c.publisher(t))
	err := c.db.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE trust_objects SET body = $1 WHERE kind = 'bundle'", []byte("other"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p := c.publisher(t)
	if err := p.Publish(t.Context()); err == nil {
		t.Error("no error")
	}
	if w := get(p, "/trust/bundle", ""); w.Code != http.StatusInternalServerError {
		t.Errorf("status %d", w.Code)
	}
}

func TestServe(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	if w := get(p, "/trust/root", ""); w.Code != http.StatusOK {
		t.Errorf("root before the first publication: status %d", w.Code)
	}
	publish(t, p)
	etags := map[string]string{}
	for _, path := range []string{"/trust/root", "/trust/bundle", "/trust/head", "/status/snapshot"} {
		w := get(p, path, "")
		hash := trust.Hash(w.Body.Bytes())
		etags[path] = fmt.Sprintf(`"%x"`, hash)
		for name, want := range map[string]string{
			"Etag": etags[path], "Content-Type": "application/cbor", "Cache-Control": "public, no-cache", "X-Content-Type-Options": "nosniff",
			"Content-Length": fmt.Sprint(w.Body.Len()),
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, got, want)
			}
		}
		if w := get(p, path, etags[path]); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
			t.Errorf("%s: asked again: status %d, %d bytes", path, w.Code, w.Body.Len())
		}
		if w := get(p, path, `"old"`); w.Code != http.StatusOK {
			t.Errorf("%s: asked with an old ETag: status %d", path, w.Code)
		}
	}
	c.statuses.revoke(0, 1)
	publish(t, p)
	if w := get(p, "/status/snapshot", etags["/status/snapshot"]); w.Code != http.StatusOK {
		t.Errorf("snapshot after a change: status %d", w.Code)
	}
	if w := get(p, "/trust/bundle", etags["/trust/bundle"]); w.Code != http.StatusNotModified {
		t.Errorf("bundle after a change of status: status %d", w.Code)
	}
	mux := http.NewServeMux()
	p.Mount(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/trust/bundle", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", w.Code)
	}
}

func TestFiles(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	dir := filepath.Join(t.TempDir(), "trust")
	p := c.publisher(t, func(o *Options) { o.Dir = dir })
	check := func() {
		t.Helper()
		for name, path := range map[string]string{
			"root.cbor": "/trust/root", "bundle.cbor": "/trust/bundle", "head.cbor": "/trust/head", "snapshot.elr1": "/status/snapshot",
		} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, fetch(t, p, path)) {
				t.Errorf("%s is not what is served", name)
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 4 {
			t.Errorf("%d files in the directory, error %v", len(entries), err)
		}
	}
	publish(t, p)
	check()
	c.statuses.revoke(0, 1)
	publish(t, p)
	check()
	// A file that cannot be written is an error, and is written later.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c.statuses.revoke(1, 1)
	if err := p.Publish(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the directory: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	publish(t, p)
	for _, name := range []string{"bundle.cbor", "head.cbor", "snapshot.elr1"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestKept holds that old snapshots and heads go and bundles stay.
func TestKept(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		p := c.publisher(t)
		for i := range 70 {
			c.statuses.revoke(i%3, uint32(i))
			publish(t, p)
		}
		for kind, want := range map[string]int{"snapshot": 64, "head": 64, "bundle": 3} {
			var n int
			err := d.Read(t.Context(), func(tx db.Tx) error {
				return tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM trust_objects WHERE kind = $1", kind).Scan(&n)
			})
			if err != nil {
				t.Fatal(err)
			}
			if n != want {
				t.Errorf("%s: %d stored, want %d", kind, n, want)
			}
		}
	})
}

func TestRun(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not within ten seconds", what)
			}
		}
	}
	wait("first publication", func() bool { return p.Ready(t.Context()) == nil })
	for i := range uint32(3) {
		c.statuses.revoke(0, i)
		start := time.Now()
		p.Poke()
		p.Poke()
		wait("change", func() bool {
			s, err := status.Parse(fetch(t, p, "/status/snapshot"))
			return err == nil && len(s.Lists) > 0 && len(s.Lists[0].Revoked) == int(i)+1
		})
		t.Logf("published %v after the poke", time.Since(start))
	}
	c.clock.add(400 * 24 * time.Hour)
	wait("what has expired is replaced without a poke", func() bool { return p.Ready(t.Context()) == nil })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReadyKnowsExpiry(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	publish(t, p)
	c.clock.add(61 * time.Minute)
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "head has expired") {
		t.Errorf("got %v", err)
	}
}

func TestMetrics(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	reg := prometheus.NewRegistry()
	p := c.publisher(t, func(o *Options) { o.Registerer = reg })
	publish(t, p)
	c.statuses.revoke(0, 1)
	publish(t, p)
	c.clock.add(30 * time.Second)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"signet_trust_published_total bundle": 1, "signet_trust_published_total snapshot": 2, "signet_trust_published_total head": 2,
		"signet_trust_age_seconds bundle": 30, "signet_trust_age_seconds snapshot": 30, "signet_trust_age_seconds head": 30,
		"signet_trust_failures_total": 0,
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}
