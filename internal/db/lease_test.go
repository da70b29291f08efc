package db_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func TestLease(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	after := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		steps := []struct {
			name, lease, holder string
			at                  int
			mine                bool
		}{
			{"free", "clock", "a", 0, true},
			{"another's", "clock", "b", 0, false},
			{"another name", "other", "b", 0, true},
			{"another's until the last moment", "clock", "b", 9, false},
			{"renewed", "clock", "a", 9, true},
			{"renewed to a later end", "clock", "b", 18, false},
			{"run out", "clock", "b", 19, true},
			{"lost", "clock", "a", 20, false},
			{"a clock behind", "clock", "a", -100, false},
			{"a refusal prolongs nothing", "clock", "a", 29, true},
			{"run out and still mine", "clock", "a", 1000, true},
		}
		for _, s := range steps {
			mine, err := d.Lease(t.Context(), s.lease, s.holder, 10*time.Second, after(s.at))
			if err != nil || mine != s.mine {
				t.Fatalf("%s: mine %v, %v", s.name, mine, err)
			}
		}
		lease := func(holder string, want bool) {
			t.Helper()
			mine, err := d.Lease(t.Context(), "clock", holder, time.Hour, after(1001))
			if err != nil || mine != want {
				t.Fatalf("%s: mine %v, %v", holder, mine, err)
			}
		}
		for _, holder := range []string{"b", "stranger"} { // not theirs to give
			if err := d.Release(t.Context(), "clock", holder); err != nil {
				t.Fatal(err)
			}
			lease(holder, false)
		}
		for range 2 {
			if err := d.Release(t.Context(), "clock", "a"); err != nil {
				t.Fatal(err)
			}
		}
		lease("b", true)
		lease("a", false)
	})
}

func TestLeaseRefused(t *testing.T) {
	d := testkit.SQLite(t)
	now, long := time.Now(), strings.Repeat("x", 201)
	for _, c := range []struct {
		name, lease, holder string
		life                time.Duration
	}{
		{"no name", "", "a", time.Second}, {"no holder", "clock", "", time.Second}, {"no life", "clock", "a", 0},
		{"negative life", "clock", "a", -1}, {"long name", long, "a", time.Second}, {"long holder", "clock", long, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine, err := d.Lease(t.Context(), c.lease, c.holder, c.life, now)
			if fault.KindOf(err) != fault.Invalid || mine {
				t.Errorf("mine %v, %v", mine, err)
			}
			if c.life == time.Second {
				if err := d.Release(t.Context(), c.lease, c.holder); fault.KindOf(err) != fault.Invalid {
					t.Errorf("release: %v", err)
				}
			}
		})
	}
}

// TestLeaseRace lets many ask for a lease that has run out: one gets it.
func TestLeaseRace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		now := time.Now()
		for round := range 5 {
			now = now.Add(time.Minute)
			var won atomic.Int32
			var group sync.WaitGroup
			for i := range 8 {
				group.Go(func() {
					mine, err := d.Lease(t.Context(), "clock", fmt.Sprint("replica ", round, i), time.Second, now)
					if err != nil {
						t.Error(err)
					}
					if mine {
						won.Add(1)
					}
				})
			}
			group.Wait()
			if n := won.Load(); n != 1 {
				t.Fatalf("%d holders", n)
			}
		}
	})
}
