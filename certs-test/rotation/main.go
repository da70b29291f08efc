// Command rotation rotates every key of a city while it is used to the full, and
// counts what went wrong: on SQLite, and with two replicas on PostgreSQL.
//
// Workers ask for tokens, sign-ins, permits and certificates as fast as they are
// answered, fetch what verifiers fetch, and verify everything as two kinds of
// verifier would: one that holds what was published before the first rotation,
// and one that holds what is published now. A request that is not answered well is
// an error; a signature that either verifier cannot check is unverifiable. The
// last line is
//
//	rotation: purposes=N requests=N errors=N unverifiable=N
//
// and the exit code is 0 only if the last two are 0.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/signet-city/signet/internal/testkit"
)

func main() {
	pause := flag.Duration("pause", 1500*time.Millisecond, "time under load between two rotations")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t := &total{}
	err := run(ctx, t, *pause)
	if err != nil {
		fmt.Fprintf(os.Stderr, "rotation: %v\n", err)
	}
	fmt.Printf("rotation: purposes=%d requests=%d errors=%d unverifiable=%d\n", len(t.purposes), t.requests.Load(), t.errors.Load(), t.unverifiable.Load())
	if err != nil || t.errors.Load()+t.unverifiable.Load() > 0 {
		os.Exit(1)
	}
}

// total is what the last line says.
type total struct {
	purposes                       []string
	requests, errors, unverifiable atomic.Int64
	said                           atomic.Int64
}

// most is how many failures are told in full.
const most = 20

func (t *total) failed(what string, err error) {
	t.errors.Add(1)
	t.say("error", what, err)
}

func (t *total) unverified(what string, err error) {
	t.unverifiable.Add(1)
	t.say("unverifiable", what, err)
}

func (t *total) say(kind, what string, err error) {
	if t.said.Add(1) <= most {
		fmt.Fprintf(os.Stderr, "rotation: %s: %s: %v\n", kind, what, err)
	}
}

func (t *total) rotated(purpose string) {
	if !slices.Contains(t.purposes, purpose) {
		t.purposes = append(t.purposes, purpose)
	}
}

func run(ctx context.Context, t *total, pause time.Duration) error {
	server, err := testkit.StartPostgres()
	if err != nil {
		return err
	}
	defer server.Stop()
	for _, one := range []struct {
		name     string
		database func(dir string) (string, error)
		replicas int
	}{
		{"sqlite", func(dir string) (string, error) { return "sqlite:" + filepath.Join(dir, "city.db"), nil }, 1},
		{"postgres, two replicas", func(string) (string, error) { return server.URL("rotation"), server.NewDatabase("rotation") }, 2},
	} {
		dir, err := os.MkdirTemp("", "signet-rotation-")
		if err != nil {
			return err
		}
		database, err := one.database(dir)
		if err == nil {
			err = (&rig{total: t, name: one.name, dir: dir, database: database, replicas: one.replicas, pause: pause}).run(ctx)
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
	}
	return nil
}
