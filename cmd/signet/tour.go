package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/cmd/visitor"
	"github.com/signet-city/signet/internal/obs"
)

// newTour returns the command tour.
func newTour(e *env) *cobra.Command {
	t := &tour{env: e}
	c := &cobra.Command{
		Use:   "tour",
		Short: "Do the main job once, from the ceremony to a revoked permit, and prove each step",
		Long: `Make a demo city of its own on free ports and do the main job once, over real HTTP:
agency certificate, permit, QR code, verdict without a network, rotation of the
permit key, revocation, audit. Each acknowledged act goes, fsynced, to
DATA/ledger.jsonl; signet fsck --data DATA --ledger DATA/ledger.jsonl finds them
again whatever happened in between.

The last line is "tour: steps=N ok=N". The exit code is 0 only if all held.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&t.data, "data", "", "`DIRECTORY` to use and keep; it must not exist or be empty (default one that is removed)")
	c.Flags().StringVar(&t.database, "database", "", "an empty PostgreSQL database's `URL` (default SQLite in the directory)")
	c.Flags().BoolVar(&t.json, "json", false, "print JSON, one object per step")
	c.RunE = func(c *cobra.Command, _ []string) error { return t.run(c.Context()) }
	return c
}

// tour is one run. What a step learns the later ones use.
type tour struct {
	*env
	data, database string
	json           bool

	ledger        *city.Ledger
	demo          city.Demo
	steps, passed int
	isolate       []string // command that runs another without a network, nil if there is none
	late          []func() error

	officer, agency *api
	person          *visitor.Visitor // a citizen who has signed in
	permits         []permitFile
	bundle          string // file of the newest trust bundle
	snapshot        string // and of the newest snapshot
	seq             uint64 // of that
}

// permitFile is an issued licence with the picture of its permit.
type permitFile struct {
	ID     string `json:"id"`
	Number string `json:"number"`
	Permit string `json:"permit"`
	png    string
}

func (t *tour) run(ctx context.Context) (err error) {
	if t.data == "" {
		if t.data, err = os.MkdirTemp("", "signet-tour-"); err != nil {
			return fmt.Errorf("tour: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(t.data)) }()
	} else if err := os.MkdirAll(t.data, 0o700); err != nil {
		return fmt.Errorf("tour: %w", err)
	}
	if entries, err := os.ReadDir(t.data); err != nil || len(entries) > 0 {
		return usage(errors.Join(err, fmt.Errorf("tour: %s is not empty: the tour makes a city of its own", t.data)))
	}
	if t.ledger, err = city.OpenLedger(filepath.Join(t.data, "ledger.jsonl")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.ledger.Close()) }()
	if err := t.walk(ctx); err != nil {
		return err
	}
	if t.json {
		err = t.writeJSON(map[string]int{"steps": t.steps, "ok": t.passed})
	} else {
		err = t.write(fmt.Appendf(nil, "tour: steps=%d ok=%d\n", t.steps, t.passed))
	}
	if err == nil && t.passed != t.steps {
		err = &exitError{code: 1}
	}
	return err
}

// walk serves a city and does the steps against it.
func (t *tour) walk(ctx context.Context) error {
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	where := city.Where{Data: t.data, Database: t.database}
	options := city.Options{Logger: obs.NewLogger(t.stderr, level, false), Metrics: obs.NewRegistry()}
	const free = "127.0.0.1:0"
	c, l, err := city.OpenDemo(ctx, options, city.DemoOptions{Where: where,
		Addresses: city.Addresses{HTTPS: free, HTTP: free, MTLS: free, Debug: free}})
	if err != nil {
		return fmt.Errorf("tour: %w", err)
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ready, served := make(chan error, 1), make(chan error, 1)
	go func() {
		served <- c.Serve(serving, l, city.ServeOptions{Level: level, Ready: func() error {
			var err error
			t.demo, err = city.WriteDemo(where)
			ready <- err
			return err
		}})
	}()
	select {
	case err = <-ready:
	case err = <-served:
		return errors.Join(fmt.Errorf("tour: the city ended: %w", err), c.Close())
	}
	if err == nil {
		err = t.visit(serving)
	}
	stop()
	err = errors.Join(err, <-served, c.Close())
	if err != nil {
		return err
	}
	for _, check := range t.late { // there was no way to take the network away: the city is gone instead
		if err := check(); err != nil {
			return err
		}
	}
	return t.step("audit log verified by a program that reads the database", func() (string, error) { return t.audit(ctx) })
}

// step does one thing and prints its proof.
func (t *tour) step(name string, do func() (proof string, err error)) error {
	t.steps++
	start := time.Now()
	proof, failed := do()
	if failed == nil {
		t.passed++
	}
	if t.json {
		row := map[string]any{"step": name, "ok": failed == nil, "proof": proof, "seconds": time.Since(start).Seconds()}
		if failed != nil {
			row["error"] = failed.Error()
		}
		return t.writeJSON(row)
	}
	word := "ok    "
	if failed != nil {
		word, proof = "FAILED", failed.Error()
	}
	return t.write(fmt.Appendf(nil, "%2d %s %s\n          %s\n", t.steps, word, name, visible(proof)))
}

// fetch gets a public address.
func (t *tour) fetch(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", address, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

// save keeps a file in the tour's directory and returns its path.
func (t *tour) save(name string, b []byte) (string, error) {
	path := filepath.Join(t.data, "tour-"+name)
	return path, os.WriteFile(path, b, 0o600)
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
