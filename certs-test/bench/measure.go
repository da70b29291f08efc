package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"

	"github.com/signet-city/signet/certs-test/cputime"
)

// bench collects results.
type bench struct {
	ctx     context.Context
	seconds float64
	pick    *regexp.Regexp
	results []result
}

// perCore measures op, which does n operations, and reports it as a ratio to the
// bare operation of. postmaster is the process id of a PostgreSQL server whose
// time counts too, 0 for none.
func (b *bench) perCore(name, of string, postmaster int, op func(n int) error) error {
	if of != "" && !b.pick.MatchString(name) {
		return nil
	}
	if err := op(8); err != nil { // caches, prepared statements, first connections
		return fmt.Errorf("%s: %w", name, err)
	}
	runtime.GC()
	done, spent := 0, 0.0
	for n := 16; spent < b.seconds; n = min(n*2, 1<<14) {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		before, err := cputime.Used(postmaster)
		if err != nil {
			return err
		}
		if err := op(n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		after, err := cputime.Used(postmaster)
		if err != nil {
			return err
		}
		done, spent = done+n, spent+after-before
	}
	r := result{Name: name, Value: float64(done) / spent, Unit: "ops/cpu-s", Of: of}
	if of != "" {
		r.Ratio = r.Value / b.value(of)
	}
	b.add(r)
	return nil
}

func (b *bench) add(r result) {
	b.results = append(b.results, r)
	fmt.Fprintf(os.Stderr, "bench: %s %.0f %s\n", r.Name, r.Value, r.Unit)
}

func (b *bench) value(name string) float64 {
	for _, r := range b.results {
		if r.Name == name {
			return r.Value
		}
	}
	return 0
}
