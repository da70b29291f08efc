package city

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	lookupActor    = "person:officer"
	lookupPassword = "correct horse battery"
)

// replicasOf runs a test on both engines with a function that opens replicas of a
// city which has people and accounts, and nothing else.
func replicasOf(t *testing.T, f func(t *testing.T, open func() *City)) {
	for engine, url := range map[string]func(testing.TB) string{db.SQLite: testkit.SQLiteURL, db.PostgreSQL: testkit.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			address, kek := url(t), make([]byte, 32)
			_, _ = rand.Read(kek)
			var made bool
			f(t, func() *City {
				c := openPeople(t, address, kek)
				if !made {
					for _, name := range []string{keys.SecretData, keys.SecretLookup} {
						ok(t, c.Ring.MakeSecret(t.Context(), name, lookupActor))
					}
				}
				made = true
				return c
			})
		})
	}
}

func openPeople(t *testing.T, address string, kek []byte) *City {
	t.Helper()
	ctx, log := t.Context(), testkit.Logger(t)
	c := &City{now: time.Now, log: log}
	var err error
	c.DB, err = db.Open(ctx, address, db.Options{Logger: log})
	ok(t, err)
	c.Ring, err = keys.Open(ctx, keys.Options{DB: c.DB, KEK: kek, Logger: log})
	ok(t, err)
	c.Registry, err = registry.New(registry.Options{DB: c.DB, Sealer: c.Ring, Logger: log})
	ok(t, err)
	c.Site, err = web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城", EN: "Jiangcheng"}, Logger: log})
	ok(t, err)
	c.Login, err = login.New(login.Options{DB: c.DB, Sealer: c.Ring, Registry: c.Registry, Site: c.Site, Issuer: "http://localhost:1", Logger: log})
	ok(t, err)
	t.Cleanup(func() { ok(t, c.Close()) })
	return c
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func someone(i int) registry.Person {
	return registry.Person{Kind: registry.Passport, Number: fmt.Sprintf("E%08d", i), Name: fmt.Sprintf("王%d", i)}
}

// register adds person i, and their account if there is to be one.
func (c *City) register(t testing.TB, i int, account bool) string {
	t.Helper()
	p, created, err := c.Registry.AddPerson(t.Context(), lookupActor, someone(i))
	if err != nil || !created {
		t.Fatalf("person %d: created %t, %v", i, created, err)
	}
	if account {
		_, err = c.Login.AddAccount(t.Context(), lookupActor, login.Account{Person: p.ID, Username: fmt.Sprintf("wang%d", i), Password: lookupPassword})
		ok(t, err)
	}
	return p.ID
}

// knows checks that everybody is found and nobody can be registered again.
func (c *City) knows(t testing.TB, when string, ids []string) {
	t.Helper()
	ctx := t.Context()
	for i, id := range ids {
		want := someone(i)
		if p, err := c.Registry.FindPerson(ctx, want.Kind, want.Number); err != nil || p.ID != id {
			t.Fatalf("%s: person %d is found as %v: %v", when, i, p, err)
		}
		if p, created, err := c.Registry.AddPerson(ctx, lookupActor, want); err != nil || created || p.ID != id {
			t.Fatalf("%s: person %d is registered again as %v: %t, %v", when, i, p, created, err)
		}
	}
}

// generations says which there are: current, next, previous.
func (c *City) generations(t testing.TB) string {
	t.Helper()
	g, err := c.Ring.Generations(t.Context(), keys.SecretLookup)
	ok(t, err)
	s := "current"
	if !g.Next.IsZero() {
		s += " next"
	}
	if !g.Previous.IsZero() {
		s += " previous"
	}
	return s
}

func (c *City) countOf(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	ok(t, c.DB.Read(t.Context(), func(tx db.Tx) error { return tx.QueryRowContext(t.Context(), query, args...).Scan(&n) }))
	return n
}

// rotations returns how many stages, switches and drops the log has.
func (c *City) rotations(t testing.TB) (n [3]int) {
	t.Helper()
	for i, kind := range []string{"keys.secret.stage", "keys.secret.switch", "keys.secret.drop"} {
		ok(t, c.DB.Read(t.Context(), func(tx db.Tx) error {
			list, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: kind})
			n[i] = len(list)
			return err
		}))
	}
	return n
}

// quick is a rotation by this replica that waits for nobody and reads small pages;
// hold may be nil.
func (c *City) quick(limit int, hold func(context.Context) error) lookupRotation {
	small := func(page reindex) reindex {
		return func(ctx context.Context, after string, _ int) (string, int, error) { return page(ctx, after, limit) }
	}
	if hold == nil {
		hold = func(context.Context) error { return nil }
	}
	return lookupRotation{ring: c.Ring, actor: lookupActor, tables: []reindex{small(c.Registry.Reindex), small(c.Login.Reindex)},
		wait: func(context.Context) error { return nil }, hold: hold}
}

// TestRotateLookup rotates while two replicas register, find and add accounts all
// the time, both the same ones.
func TestRotateLookup(t *testing.T) {
	replicasOf(t, func(t *testing.T, open func() *City) {
		ctx, stop := context.WithCancel(t.Context())
		rotating := open()
		writers := []*City{open(), open()}
		for _, c := range append(writers, rotating) {
			ok(t, c.Ring.Refresh(ctx))
		}
		var ids []string
		for i := range 20 {
			ids = append(ids, rotating.register(t, i, i < 3))
		}
		var wg sync.WaitGroup
		var newest atomic.Int64
		var seen [2]sync.Map // id by number
		for w, c := range writers {
			wg.Go(func() { ok(t, c.Ring.Run(ctx)) })
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					i := 1000 + n
					p, _, err := c.Registry.AddPerson(t.Context(), lookupActor, someone(i))
					if err != nil {
						t.Errorf("replica %d, person %d: %v", w, i, err)
						return
					}
					seen[w].Store(i, p.ID)
					if n%40 == 0 { // both ask for the name
						_, err := c.Login.AddAccount(t.Context(), lookupActor, login.Account{Person: p.ID, Username: fmt.Sprintf("li%d", i), Password: lookupPassword})
						if err != nil && fault.KindOf(err) != fault.Conflict {
							t.Errorf("replica %d, account %d: %v", w, i, err)
						}
					}
					old := n % len(ids)
					if p, err := c.Registry.FindPerson(t.Context(), someone(old).Kind, someone(old).Number); err != nil || p.ID != ids[old] {
						t.Errorf("replica %d finds person %d as %v: %v", w, old, p, err)
						return
					}
					newest.Store(max(newest.Load(), int64(n)))
					time.Sleep(2 * time.Millisecond)
				}
			})
		}
		wg.Go(func() { // another process wants the same
			time.Sleep(time.Second)
			if err := writers[0].RotateLookup(ctx, lookupActor); fault.KindOf(err) != fault.Unavailable || err == nil {
				t.Errorf("two rotations at once: %v", err)
			}
		})
		began := time.Now()
		err := rotating.RotateLookup(ctx, lookupActor)
		took := time.Since(began)
		stop()
		wg.Wait()
		ok(t, err)
		if took < 2*lookupPause {
			t.Errorf("it waited for nobody: %v", took)
		}
		if got := rotating.generations(t); got != "current" || rotating.rotations(t) != [3]int{1, 1, 1} {
			t.Errorf("left: %s, after %v", got, rotating.rotations(t))
		}
		both := 0
		seen[0].Range(func(i, id any) bool {
			if other, there := seen[1].Load(i); there {
				if both++; other != id {
					t.Errorf("person %v is %v and %v", i, id, other)
				}
			}
			return true
		})
		if both < 20 {
			t.Errorf("only %d people were registered by both", both)
		}
		for _, c := range append(writers, rotating) {
			ok(t, c.Ring.Refresh(t.Context()))
			c.knows(t, "afterwards", ids)
		}
		late, err := rotating.quick(2, nil).pass(t.Context())
		if late != 0 || err != nil {
			t.Errorf("%d rows are not up to date: %v", late, err)
		}
		people := rotating.countOf(t, `SELECT COUNT(*) FROM registry_people`)
		if n := rotating.countOf(t, `SELECT COUNT(*) FROM registry_lookups`); n != people {
			t.Errorf("%d hashes of %d people", n, people)
		}
		t.Logf("%v, %d rounds of two writers, %d people", took, newest.Load(), people)
	})
}

// TestRotateLookupCutOff ends a rotation before every step and page, one after the
// other, and has another replica complete it.
func TestRotateLookupCutOff(t *testing.T) {
	replicasOf(t, func(t *testing.T, open func() *City) {
		ctx, first := t.Context(), open()
		second := open()
		var ids []string
		for i := range 5 {
			ids = append(ids, first.register(t, i, i < 3))
		}
		gone, stages := errors.New("killed"), map[string]int{}
		for cut := 0; ; cut++ {
			from, err := first.LookupSince(ctx)
			ok(t, err)
			steps := 0
			// Three pages or four, however many people there are by now.
			err = first.quick(len(ids)/3+1, func(context.Context) error {
				if steps++; steps > cut {
					return gone
				}
				return nil
			}).run(ctx, from)
			finished := err == nil
			if !finished && !errors.Is(err, gone) {
				t.Fatal(err)
			}
			at := second.generations(t)
			stages[at]++
			when := fmt.Sprintf("cut off before step %d, with %s", cut+1, at)
			for _, c := range []*City{first, second} {
				ok(t, c.Ring.Refresh(ctx))
				ids = append(ids, c.register(t, len(ids), false))
				c.knows(t, when, ids)
			}
			namesake := login.Account{Person: ids[len(ids)-1], Username: "Wang1", Password: lookupPassword}
			if _, err := second.Login.AddAccount(ctx, lookupActor, namesake); fault.KindOf(err) != fault.Conflict || err == nil {
				t.Fatalf("%s: a username was given twice: %v", when, err)
			}
			if since, err := second.LookupSince(ctx); !finished && (err != nil || !since.Equal(from)) {
				t.Errorf("%s: it is to replace %v, not %v", when, since, from)
			}
			ok(t, second.quick(2, nil).run(ctx, from))
			ok(t, second.quick(2, nil).run(ctx, from)) // no other one
			if got, n := second.generations(t), cut+1; got != "current" || second.rotations(t) != [3]int{n, n, n} {
				t.Fatalf("%s: left %s after %v", when, got, second.rotations(t))
			}
			for _, c := range []*City{first, second} {
				ok(t, c.Ring.Refresh(ctx))
				c.knows(t, when+", completed", ids)
			}
			if finished {
				break
			}
		}
		if stages["current"] < 2 || stages["current next"] < 4 || stages["current previous"] < 8 {
			t.Errorf("cut off at %v", stages)
		}
		ok(t, second.quick(2, nil).tidy(ctx))
		if n := second.countOf(t, `SELECT COUNT(*) FROM registry_lookups`); n != len(ids) {
			t.Errorf("%d hashes of %d people", n, len(ids))
		}
		if n := second.countOf(t, `SELECT COUNT(*) FROM login_lookups`); n != 3 {
			t.Errorf("%d hashes of 3 accounts", n)
		}
	})
}

func TestRotateLookupStops(t *testing.T) {
	replicasOf(t, func(t *testing.T, open func() *City) {
		ctx, c := t.Context(), open()
		ids := []string{c.register(t, 0, true)}
		from, err := c.LookupSince(ctx)
		ok(t, err)
		refused := func(name string, err error, kind fault.Kind, left string, steps [3]int) {
			t.Helper()
			if err == nil || fault.KindOf(err) != kind {
				t.Errorf("%s: %v, want kind %s", name, err, kind)
			}
			if got := c.generations(t); got != left || c.rotations(t) != steps {
				t.Errorf("%s: left %s after %v", name, got, c.rotations(t))
			}
			c.knows(t, name, ids)
		}
		mine, err := c.DB.Lease(ctx, lookupName, "another", time.Minute, time.Now())
		if err != nil || !mine {
			t.Fatal(mine, err)
		}
		refused("another process", c.RotateLookup(ctx, lookupActor), fault.Unavailable, "current", [3]int{})
		if mine, err := c.DB.Lease(ctx, lookupName, "another", time.Minute, time.Now()); err != nil || !mine {
			t.Errorf("a refused rotation released another's lease: %t, %v", mine, err)
		}
		ok(t, c.DB.Release(ctx, lookupName, "another"))
		refused("nobody asks", c.RotateLookup(ctx, ""), fault.Invalid, "current", [3]int{})
		ok(t, c.quick(2, nil).run(ctx, from.Add(-time.Hour))) // that one was replaced long ago
		if c.rotations(t) != [3]int{} {
			t.Error("another generation than the one meant was replaced")
		}

		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		refused("no time", c.RotateLookup(short, lookupActor), fault.Unavailable, "current next", [3]int{1, 0, 0})
		if mine, err := c.DB.Lease(ctx, lookupName, "another", time.Minute, time.Now()); err != nil || !mine {
			t.Errorf("a rotation that was cut off kept its lease: %t, %v", mine, err)
		}
		broken := errors.New("a row cannot be opened")
		l := c.quick(2, nil)
		l.tables = append(l.tables, func(context.Context, string, int) (string, int, error) { return "", 0, broken })
		refused("a row that cannot be read", l.run(ctx, from), fault.Internal, "current next", [3]int{1, 0, 0})
		l.tables[2] = func(context.Context, string, int) (string, int, error) { return "", 1, nil }
		refused("rows that keep coming", l.run(ctx, from), fault.Unavailable, "current previous", [3]int{1, 1, 0})
		l.tables[2] = func(context.Context, string, int) (string, int, error) { return "", 0, broken }
		refused("a row that cannot be read any more", l.run(ctx, from), fault.Internal, "current previous", [3]int{1, 1, 0})
		l = c.quick(2, nil)
		l.wait = func(context.Context) error { return broken }
		refused("no wait", l.run(ctx, from), fault.Internal, "current previous", [3]int{1, 1, 0})
		ok(t, c.quick(2, nil).run(ctx, from))
		if got := c.generations(t); got != "current" || c.rotations(t) != [3]int{1, 1, 1} {
			t.Errorf("left %s after %v", got, c.rotations(t))
		}
		c.knows(t, "at last", ids)
	})
}
