// Command bench measures Signet and the bare cryptographic operations in one run,
// prints a table and writes a JSON list of {name, value, unit, ratio, of}.
//
// value is operations per second of one core's CPU time: getrusage of this
// process plus the CPU time of the PostgreSQL server and its backends where they
// take part. ratio is value over that of the bare operation named by of. Sizes
// are bytes, with ratio over the floor. Wall-clock time is never judged.
package main

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"text/tabwriter"

	"github.com/signet-city/signet/internal/obs"
)

// result is one line of the report.
type result struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Ratio float64 `json:"ratio,omitzero"`
	Of    string  `json:"of,omitempty"`
}

func main() {
	out := flag.String("out", "build/bench.json", "file to write")
	seconds := flag.Float64("seconds", 1.5, "CPU seconds to spend on each measurement")
	only := flag.String("run", ".", "regular expression of the names to measure; bare operations are always measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	obs.SpareHeap(obs.HeapFloor) // as a server does
	if err := run(ctx, *out, *seconds, *only); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, seconds float64, only string) error {
	pick, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, seconds: seconds, pick: pick}
	for _, part := range []func(*bench) error{bare, bareOCSP, permits, commits, services, issuing, snapshots, deltas} {
		if err := part(b); err != nil {
			return err
		}
	}
	if err := b.write(out); err != nil {
		return err
	}
	return b.print()
}

func (b *bench) write(out string) error {
	text, err := json.Marshal(b.results, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

func (b *bench) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVALUE\tUNIT\tRATIO\tOF")
	for _, r := range b.results {
		ratio := ""
		if r.Ratio != 0 {
			ratio = fmt.Sprintf("%.3f", r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\n", r.Name, r.Value, r.Unit, ratio, r.Of)
	}
	return w.Flush()
}
