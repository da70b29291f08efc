package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// rotating is a sealer whose lookup key rotates, as one replica knows of it.
type rotating struct {
	sealer
	mu   sync.Mutex
	keys [][]byte // the current one first
}

func (s *rotating) Lookups(_ context.Context, label string, value []byte) (list [][]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys {
		list = append(list, hash(key, label, value))
	}
	return list, nil
}

func (s *rotating) know(keys ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

var k1, k2 = []byte("the first lookup key"), []byte("the second lookup key")

// replicas are two registries on one database, which learn of generations apart.
type replicas struct {
	db      *db.DB
	sealers [2]*rotating
	regs    [2]*registry.Registry
}

func eachReplicas(t *testing.T, f func(t *testing.T, c *replicas)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, s := &replicas{db: d}, newSealer(t)
		for i := range c.regs {
			c.sealers[i] = &rotating{sealer: s, keys: [][]byte{k1}}
			c.regs[i] = open(t, d, c.sealers[i])
		}
		f(t, c)
	})
}

func (c *replicas) know(a, b [][]byte) {
	c.sealers[0].know(a...)
	c.sealers[1].know(b...)
}

// reindex goes through all pages and returns how many rows were not up to date.
func (c *replicas) reindex(t testing.TB, r *registry.Registry, limit int) (late int) {
	t.Helper()
	for after, more := "", true; more; more = after != "" {
		next, n, err := r.Reindex(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		after, late = next, late+n
	}
	return late
}

func (c *replicas) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	err := c.db.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *replicas) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error { return tx.QueryRowContext(t.Context(), query, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func citizen(i int) registry.Person {
	return registry.Person{Kind: registry.Passport, Number: fmt.Sprintf("E%08d", i), Name: fmt.Sprintf("王%d", i)}
}

// standsUnder fails the test unless the person stands under that key's hash.
func (c *replicas) standsUnder(t testing.TB, key []byte, id string, p registry.Person) {
	t.Helper()
	h := hash(key, "registry.person", []byte(string(p.Kind)+"\x00"+p.Number))
	if c.count(t, `SELECT COUNT(*) FROM registry_people WHERE id = $1 AND lookup = $2`, id, h) != 1 {
		t.Errorf("%s does not stand under %q", id, key)
	}
}

// phases is a rotation as two replicas see it, the second one late.
func phases(c *replicas) []struct {
	name    string
	a, b    [][]byte
	reindex bool
} {
	return []struct {
		name    string
		a, b    [][]byte
		reindex bool
	}{
		{"at rest", [][]byte{k1}, [][]byte{k1}, false},
		{"staged, one late", [][]byte{k1, k2}, [][]byte{k1}, false},
		{"staged", [][]byte{k1, k2}, [][]byte{k1, k2}, false},
		{"indexed", [][]byte{k1, k2}, [][]byte{k1, k2}, true},
		{"switched, one late", [][]byte{k2, k1}, [][]byte{k1, k2}, false},
		{"switched and half indexed, one late", [][]byte{k2, k1}, [][]byte{k1, k2}, true},
		{"switched", [][]byte{k2, k1}, [][]byte{k2, k1}, false},
		{"indexed again", [][]byte{k2, k1}, [][]byte{k2, k1}, true},
		{"dropped, one late", [][]byte{k2}, [][]byte{k2, k1}, false},
		{"dropped", [][]byte{k2}, [][]byte{k2}, false},
		{"tidied", [][]byte{k2}, [][]byte{k2}, true},
	}
}

func TestPeopleWhileTheSecretRotates(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		ctx := t.Context()
		var ids []string
		for _, phase := range phases(c) {
			c.know(phase.a, phase.b)
			if phase.reindex {
				c.reindex(t, c.regs[0], 3)
			}
			for _, r := range c.regs {
				p, created, err := r.AddPerson(ctx, actor, citizen(len(ids)))
				if err != nil || !created {
					t.Fatalf("%s: a new person: %t, %v", phase.name, created, err)
				}
				ids = append(ids, p.ID)
			}
			for i, r := range c.regs {
				for n, id := range ids {
					want := citizen(n)
					found, err := r.FindPerson(ctx, want.Kind, want.Number)
					if err != nil || found.ID != id || found.Name != want.Name {
						t.Fatalf("%s: replica %d finds %v for person %d: %v", phase.name, i, found, n, err)
					}
					again, created, err := r.AddPerson(ctx, actor, want)
					if err != nil || created || again.ID != id {
						t.Fatalf("%s: replica %d registers person %d again: %v, %t, %v", phase.name, i, n, again, created, err)
					}
					want.Name = "another"
					if _, _, err := r.AddPerson(ctx, actor, want); fault.KindOf(err) != fault.Conflict {
						t.Fatalf("%s: replica %d renames person %d: %v", phase.name, i, n, err)
					}
				}
			}
		}
		if n := len(events(t, c.db, "registry.person.add")); n != len(ids) || c.count(t, `SELECT COUNT(*) FROM registry_people`) != n {
			t.Errorf("%d events for %d people", n, len(ids))
		}
		if n := c.reindex(t, c.regs[0], 1000); n != 0 {
			t.Errorf("%d are not up to date", n)
		}
		for i, id := range ids {
			c.standsUnder(t, k2, id, citizen(i))
		}
		if n := c.count(t, `SELECT COUNT(*) FROM registry_lookups`); n != len(ids) {
			t.Errorf("%d hashes are taken for %d people", n, len(ids))
		}
	})
}

// TestFindPeopleWhileTheSecretRotates asks for many numbers at once, more than fit
// one statement.
func TestFindPeopleWhileTheSecretRotates(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		c.know([][]byte{k1, k2}, [][]byte{k2, k1})
		var numbers []string
		for i := range 300 {
			p := citizen(i)
			if numbers = append(numbers, p.Number); i%100 == 0 {
				must(first(c.regs[i/100%2].AddPerson(t.Context(), actor, p)))(t)
			}
		}
		for i, r := range c.regs {
			err := c.db.Read(t.Context(), func(tx db.Tx) error {
				found, err := r.FindPeople(t.Context(), tx, registry.Passport, numbers)
				if len(found) != 3 || found[numbers[100]].Name != citizen(100).Name {
					t.Errorf("replica %d finds %d", i, len(found))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func first(p registry.Person, _ bool, err error) (registry.Person, error) { return p, err }

// TestNobodyTwiceInARace lets both replicas register the same people at once while
// a third process goes through the rotation.
func TestNobodyTwiceInARace(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		const number = 120
		third := &rotating{sealer: c.sealers[0].sealer}
		mover := open(t, c.db, third)
		ids := [2][number]string{}
		var wg sync.WaitGroup
		for w := range 4 { // two on each replica
			wg.Go(func() {
				r := c.regs[w%2]
				for i := range number {
					p, _, err := r.AddPerson(t.Context(), actor, citizen(i))
					for fault.KindOf(err) == fault.Unavailable && err != nil {
						p, _, err = r.AddPerson(t.Context(), actor, citizen(i))
					}
					if err != nil {
						t.Errorf("person %d: %v", i, err)
						return
					}
					if w < 2 {
						ids[w][i] = p.ID
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for round, busy := 0, true; busy || round < 2; round++ {
			select {
			case <-done:
				busy = false
			default:
			}
			for _, phase := range phases(c)[1:8] { // k1 to k2, never dropped
				c.know(phase.a, phase.b)
				third.know(phase.a...)
				c.reindex(t, mover, 7)
			}
		}
		if ids[0] != ids[1] {
			t.Error("two replicas know one number by two ids")
		}
		if n := c.count(t, `SELECT COUNT(*) FROM registry_people`); n != number || len(events(t, c.db, "registry.person.add")) != n {
			t.Errorf("%d people for %d numbers", n, number)
		}
	})
}

// TestFarBehind is about a replica that has missed a whole rotation but the drop,
// or was stopped between hashing and writing.
func TestFarBehind(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		must(first(c.regs[0].AddPerson(t.Context(), actor, wang)))(t)
		c.know([][]byte{k1, k2}, [][]byte{k1})
		c.reindex(t, c.regs[0], 10)
		c.know([][]byte{k2, k1}, [][]byte{k1})
		if n := c.reindex(t, c.regs[0], 10); n != 1 {
			t.Fatalf("%d moved", n)
		}
		_, created, err := c.regs[1].AddPerson(t.Context(), actor, wang)
		wantFault(t, err, fault.Unavailable, "")
		if created || strings.Contains(err.Error(), wang.Number) {
			t.Error(err)
		}
		if n := c.count(t, `SELECT COUNT(*) FROM registry_people`); n != 1 || len(events(t, c.db, "registry.person.add")) != 1 {
			t.Errorf("%d people", n)
		}
		if n := c.count(t, `SELECT COUNT(*) FROM registry_lookups`); n != 2 {
			t.Errorf("a refused person took %d hashes", n-2)
		}
	})
}

func TestReindexPages(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		r := c.regs[0]
		if next, n, err := r.Reindex(t.Context(), "", 10); next != "" || n != 0 || err != nil {
			t.Errorf("nobody: %q %d %v", next, n, err)
		}
		var ids []string
		for i := range 5 {
			ids = append(ids, must(first(r.AddPerson(t.Context(), actor, citizen(i))))(t).ID)
		}
		c.know([][]byte{k1, k2}, nil)
		for _, step := range []struct {
			after string
			limit int
			next  string
			n     int
		}{
			{"", 2, ids[1], 2},
			{"", 2, ids[1], 0}, // again
			{ids[1], 2, ids[3], 2},
			{ids[3], 2, "", 1},
			{ids[4], 2, "", 0},
			{"", 5, ids[4], 0}, // a full page may be the last
			{ids[0], -1, ids[1], 0},
			{"", 1 << 30, "", 0},
		} {
			next, n, err := r.Reindex(t.Context(), step.after, step.limit)
			if err != nil || next != step.next || n != step.n {
				t.Errorf("%d after %q: %q, %d, %v, want %q, %d", step.limit, step.after, next, n, err, step.next, step.n)
			}
		}
		for i, id := range ids {
			c.standsUnder(t, k1, id, citizen(i))
		}
		c.know([][]byte{k2, k1}, nil)
		if n := c.reindex(t, r, 4); n != 5 {
			t.Errorf("%d moved", n)
		}
		c.know([][]byte{k2}, nil)
		if n := c.reindex(t, r, 4); n != 0 || c.count(t, `SELECT COUNT(*) FROM registry_lookups`) != 5 {
			t.Errorf("%d moved by tidying", n)
		}
		if n := len(events(t, c.db, "registry.person.add")); n != 5 {
			t.Errorf("%d events", n)
		}
	})
}

// TestRowsOfAnEarlierProgram have no hashes in the second table.
func TestRowsOfAnEarlierProgram(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		p := must(first(c.regs[0].AddPerson(t.Context(), actor, wang)))(t)
		for _, known := range [][][]byte{{k1}, {k1, k2}, {k2, k1}} {
			c.exec(t, `DELETE FROM registry_lookups`)
			c.know(known, known)
			if again, created, err := c.regs[1].AddPerson(t.Context(), actor, wang); err != nil || created || again.ID != p.ID {
				t.Errorf("registered again: %v %t %v", again, created, err)
			}
			if n := c.reindex(t, c.regs[0], 10); n != 1 || c.count(t, `SELECT COUNT(*) FROM registry_lookups`) != len(known) {
				t.Errorf("%d indexed under %d generations", n, len(known))
			}
		}
	})
}

func TestReindexRefuses(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		ctx := t.Context()
		a := must(first(c.regs[0].AddPerson(ctx, actor, wang)))(t)
		must(first(c.regs[0].AddPerson(ctx, actor, citizen(1))))(t)
		refuse := func(want ...string) error {
			t.Helper()
			before := c.count(t, `SELECT COUNT(*) FROM registry_lookups`)
			next, n, err := c.regs[0].Reindex(ctx, "", 10)
			if err == nil || next != "" || n != 0 {
				t.Fatalf("accepted: %q %d", next, n)
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not name %s", err, w)
				}
			}
			if strings.Contains(err.Error(), wang.Number) {
				t.Error("the error names a number")
			}
			if after := c.count(t, `SELECT COUNT(*) FROM registry_lookups`); after != before {
				t.Errorf("%d hashes became %d", before, after)
			}
			return err
		}
		c.know([][]byte{k1, k2}, nil)
		var sealed []byte
		if err := c.db.Read(ctx, func(tx db.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT sealed FROM registry_people WHERE id = $1`, a.ID).Scan(&sealed)
		}); err != nil {
			t.Fatal(err)
		}
		c.exec(t, `UPDATE registry_people SET sealed = $1 WHERE id = $2`, bytes.Repeat([]byte{1}, len(sealed)), a.ID)
		refuse(a.ID)
		c.exec(t, `UPDATE registry_people SET sealed = $1 WHERE id = $2`, sealed, a.ID)

		// Registered twice: by somebody who knew of nothing.
		c.exec(t, `DELETE FROM registry_lookups`)
		c.know([][]byte{k2}, nil)
		twin := must(first(c.regs[0].AddPerson(ctx, actor, wang)))(t)
		for _, known := range [][][]byte{{k1, k2}, {k2, k1}} {
			c.know(known, nil)
			wantFault(t, refuse(a.ID, twin.ID), fault.Conflict, "")
		}
		c.standsUnder(t, k1, a.ID, wang)

		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := c.regs[0].Reindex(gone, "", 10); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestReindexAtOnce lets several processes do the same.
func TestReindexAtOnce(t *testing.T) {
	eachReplicas(t, func(t *testing.T, c *replicas) {
		const number = 60
		for i := range number {
			must(first(c.regs[0].AddPerson(t.Context(), actor, citizen(i))))(t)
		}
		for _, known := range [][][]byte{{k1, k2}, {k2, k1}, {k2}} {
			c.know(known, known)
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for after, more := "", true; more; more = after != "" {
						next, _, err := c.regs[w%2].Reindex(t.Context(), after, 5+w)
						if err != nil {
							t.Error(err)
							return
						}
						after = next
					}
				})
			}
			wg.Wait()
			if n := c.count(t, `SELECT COUNT(*) FROM registry_lookups`); n != number*len(known) || c.reindex(t, c.regs[0], 100) != 0 {
				t.Errorf("%d hashes under %d generations", n, len(known))
			}
		}
	})
}
