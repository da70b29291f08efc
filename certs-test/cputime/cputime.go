// Package cputime adds up the CPU time that a measurement is charged with.
package cputime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Used returns the CPU seconds that this process, its children that have ended and
// a PostgreSQL server with its backends have used.
func Used(postmaster int) (float64, error) {
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
	server, err := Server(postmaster)
	return total + server, err
}

// Server adds up the CPU seconds of a process, of the children it has reaped and
// of those that live. /proc counts in ticks of 10 ms.
func Server(postmaster int) (float64, error) {
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
