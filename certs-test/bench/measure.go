package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
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
		before, err := cpu(postmaster)
		if err != nil {
			return err
		}
		if err := op(n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		after, err := cpu(postmaster)
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

// cpu returns the CPU seconds that this process, its children that have ended and
// a PostgreSQL server with its backends have used.
func cpu(postmaster int) (float64, error) {
	total := 0.0
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return 0, fmt.Errorf("getrusage: %w", err)
		}
		for _, t := range []syscall.Timeval{u.Utime, u.Stime} {
			total += float64(t.Sec) + float64(t.Usec)/1e6
		}
	}
	if postmaster == 0 {
		return total, nil
	}
	server, err := serverCPU(postmaster)
	return total + server, err
}

// serverCPU adds up the time of the postmaster, of the backends it has reaped and
// of those that live. /proc counts in ticks of 10 ms.
func serverCPU(postmaster int) (float64, error) {
	const ticks = 100
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, ok := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if !ok || len(f) < 15 {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		own := pid == postmaster
		if !own && f[1] != strconv.Itoa(postmaster) {
			continue
		}
		last := 13 // user and system time
		if own {
			last = 15 // and that of children it has waited for
		}
		for _, t := range f[11:last] {
			n, err := strconv.Atoi(t)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", path, err)
			}
			sum += n
		}
	}
	return float64(sum) / ticks, nil
}
