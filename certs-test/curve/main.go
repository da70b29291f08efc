// Curve measures what a durable issue of a licence costs while the register grows
// from a thousand licences to ten million: CPU microseconds of this process and, with
// PostgreSQL, of the server and its backends, for issues in batches as the
// measurement license.durable of certs-test/bench makes them, the log sealed.
//
// Between two points the register is filled by bulk insert: licences, permits, places,
// and their two events each, which are sealed into the log, so that tables, indexes and
// tiles are as large as if every licence had been issued. Identifiers rise with time
// and places with the order of issue, as the service gives them; holders are drawn
// among a million. What is left out: the sealed records and permits of the filling are
// random bytes of the right length, which nobody can open, and holders of the filling
// do not stand in the register of firms. The measured issues have holders that do.
//
// PostgreSQL's autovacuum is off, so that its time falls on no point by chance; tables
// are analysed before each. Lines on standard error tell how far it is.
//
// At each point clerks' searches are measured as well, each kind by itself.
//
// It writes [{"records", "cpu_us", "search_us"}] for SQLite to build/bench-curve.json
// and for PostgreSQL to build/bench-curve.pg.json, and the lines of issues to
// build/bench-curve.svg.
package main

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/testkit"
)

// point is what an issue and searches cost when so many licences are there.
type point struct {
	Records  int64              `json:"records"`
	CPU      float64            `json:"cpu_us"`
	Searches map[string]float64 `json:"search_us,omitempty"` // CPU microseconds of one of each kind
}

func main() {
	out := flag.String("out", "build", "directory to write to")
	most := flag.Int64("records", 10_000_000, "go no further than this many licences")
	engines := flag.String("engines", "sqlite,postgres", "engines to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	obs.SpareHeap(obs.HeapFloor) // as a server does
	if err := run(ctx, *out, *most, *engines); err != nil {
		fmt.Fprintln(os.Stderr, "curve:", err)
		os.Exit(1)
	}
}

// steps are the sizes that are measured.
func steps(most int64) (list []int64) {
	for n := int64(1000); n <= min(most, 10_000_000); n *= 10 {
		list = append(list, n)
	}
	return list
}

func run(ctx context.Context, out string, most int64, engines string) error {
	if most < 1000 {
		return errors.New("there is no point below 1000 records")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var lines []line
	for _, e := range []struct{ name, title, file string }{{"sqlite", "SQLite", "bench-curve.json"}, {"postgres", "PostgreSQL", "bench-curve.pg.json"}} {
		if !named(engines, e.name) {
			continue
		}
		points, err := measure(ctx, e.name, steps(most))
		if err != nil {
			return fmt.Errorf("%s: %w", e.title, err)
		}
		b, err := json.Marshal(points, jsontext.WithIndent("  "))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, e.file), append(b, '\n'), 0o644); err != nil {
			return err
		}
		lines = append(lines, line{e.title, points})
		for _, p := range points {
			fmt.Printf("%-10s %10d records  %7.1f µs\n", e.title, p.Records, p.CPU)
		}
	}
	return os.WriteFile(filepath.Join(out, "bench-curve.svg"), []byte(plot(lines)), 0o644)
}

// measure makes a city on an engine and measures it at each size.
func measure(ctx context.Context, engine string, sizes []int64) (points []point, err error) {
	dir, err := os.MkdirTemp("", "signet-curve-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	url, postmaster := "sqlite:"+filepath.Join(dir, "curve.db"), 0
	if engine == "postgres" {
		server, err := testkit.StartPostgres("-c", "autovacuum=off", "-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=30min", "-c", "wal_compression=on", "-c", "shared_buffers=2GB")
		if err != nil {
			return nil, err
		}
		defer server.Stop()
		if err := server.NewDatabase("curve"); err != nil {
			return nil, err
		}
		url, postmaster = server.URL("curve"), server.PID
	}
	r, err := open(ctx, engine, dir, url, postmaster)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, n := range sizes {
		if err := r.fill(ctx, n); err != nil {
			return nil, fmt.Errorf("fill: %w", err)
		}
		p, err := r.point(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("at %d: %w", n, err)
		}
		points = append(points, p)
	}
	return points, nil
}
