package ca_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

const (
	childRace  = "SIGNET_CA_TEST_RACE"
	racers     = 2
	raceCerts  = 12                                   // that each revokes and publishes
	raceLeases = ca.ShardSize / ca.ShardBlock * 3 / 4 // of each: together more than one shard holds
)

// TestProcessesRace runs processes on one database, a SQLite file among them, that
// issue, revoke, publish and lease as fast as they can: numbers of CRLs rise and none is
// given twice, no place in a shard is given twice, and no revocation is lost.
func TestProcessesRace(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{db.SQLite: testkit.SQLiteURL, db.PostgreSQL: testkit.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			url := newURL(t)
			d, err := db.Open(t.Context(), url, db.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			c := newCity(t, d)
			before, _ := c.leased(t)
			revoked := c.race(t, url)
			if len(revoked) != racers*raceCerts {
				t.Fatalf("%d revoked, want %d", len(revoked), racers*raceCerts)
			}
			c.clock.advance(time.Minute)
			c.publish(t)
			for _, serial := range revoked {
				cert, err := c.Find(t.Context(), serial)
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := c.entries(t, "city", cert.Shard)[serial]; !ok {
					t.Errorf("%s is lost", serial)
				}
			}
			after, most := c.leased(t)
			// Each process leased one block more, for its certificates.
			if want := int64(racers * (raceLeases + 1) * ca.ShardBlock); after-before != want || most > ca.ShardSize {
				t.Errorf("%d places given, want %d; %d in one shard", after-before, want, most)
			}
			c.distinctNumbers(t)
			if _, problems := c.audit(t); len(problems) > 0 {
				t.Error(problems)
			}
		})
	}
}

// race lets the processes begin at once, looks at what is published meanwhile, and
// returns what they revoked.
func (c *city) race(t *testing.T, url string) (revoked []string) {
	t.Helper()
	var mu sync.Mutex
	var ready, done sync.WaitGroup
	var doors []io.Closer
	for range racers {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildRaces$", "-test.v")
		cmd.Env = append(os.Environ(), childURL+"="+url, childRace+"=1")
		cmd.Stderr = os.Stderr
		door, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		doors = append(doors, door)
		ready.Add(1)
		done.Go(func() {
			stands := sync.OnceFunc(ready.Done)
			defer stands()
			var said []string
			for lines := bufio.NewScanner(out); lines.Scan(); {
				said = append(said, lines.Text())
				if lines.Text() == "ready" {
					stands()
				}
				if serial, ok := strings.CutPrefix(lines.Text(), "revoked "); ok {
					mu.Lock()
					revoked = append(revoked, serial)
					mu.Unlock()
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, strings.Join(said, "\n"))
			}
		})
	}
	ready.Wait()
	for _, door := range doors {
		_ = door.Close()
	}
	ended := make(chan struct{})
	go func() { done.Wait(); close(ended) }()
	for last := map[int64]int64{}; ; time.Sleep(time.Millisecond) {
		select {
		case <-ended:
			return revoked
		default:
		}
		for shard := int64(1); shard <= racers; shard++ {
			if _, number, err := c.CRL(t.Context(), "city", shard); err == nil {
				if number < last[shard] {
					t.Errorf("number %d is out after %d", number, last[shard])
				}
				last[shard] = number
			}
		}
	}
}

// leased returns how many places the city's issuer has given, and the most of one
// shard.
func (c *city) leased(t *testing.T) (sum, most int64) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT COALESCE(sum(leased), 0), COALESCE(max(leased), 0) FROM ca_shards WHERE issuer = 'city'`).Scan(&sum, &most)
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum, most
}

// distinctNumbers finds in the log that no number of a shard's CRLs was given out or
// published twice.
func (c *city) distinctNumbers(t *testing.T) {
	t.Helper()
	for _, step := range []string{"intent", "outcome"} {
		given, twice := 0, 0
		err := c.db.Read(t.Context(), func(tx db.Tx) error {
			list, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: "crl.publish." + step})
			seen := map[string]bool{}
			given, twice = 0, 0
			for _, e := range list {
				number := fmt.Sprintf("%s %d", e.Object, e.Data["number"])
				if given++; seen[number] {
					twice++
				}
				seen[number] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if twice > 0 || given < 6 {
			t.Errorf("%s: of %d numbers %d came twice", step, given, twice)
		}
	}
}

// TestChildRaces is a process of TestProcessesRace.
func TestChildRaces(t *testing.T) {
	url := os.Getenv(childURL)
	if url == "" || os.Getenv(childRace) == "" {
		t.Skip("only as a child of TestProcessesRace")
	}
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	ring, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Options{DB: d, Sealer: ring})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.Open(t.Context(), ca.Options{DB: d, Ring: ring, Agencies: r, BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until all stand ready
	var both sync.WaitGroup
	both.Go(func() {
		for range raceCerts {
			serial, err := revokedOne(t, c)
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Println("revoked " + serial)
		}
	})
	both.Go(func() {
		for given := 0; given < raceLeases; {
			_, err := c.LeaseShard(context.Background(), "city")
			if err == nil {
				given++
			} else if fault.KindOf(err) != fault.Unavailable { // another was faster
				t.Error(err)
				return
			}
		}
	})
	both.Wait()
}

// revokedOne issues, revokes and publishes.
func revokedOne(t *testing.T, c *ca.CA) (string, error) {
	cert, err := c.Issue(t.Context(), request(t))
	if err != nil {
		return "", err
	}
	if err := c.Revoke(t.Context(), cert.Serial, ca.Superseded, actor); err != nil {
		return "", err
	}
	return cert.Serial, c.PublishCRLs(t.Context())
}
