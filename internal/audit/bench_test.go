package audit_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

func eachEngine(b *testing.B, f func(b *testing.B, d *db.DB)) {
	b.Run(db.SQLite, func(b *testing.B) { f(b, testkit.SQLite(b)) })
	b.Run(db.PostgreSQL, func(b *testing.B) { f(b, testkit.PostgreSQL(b)) })
}

// cpu returns the CPU time of this process: PostgreSQL's own is not in it.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend appends groups of events, a transaction each.
func BenchmarkAppend(b *testing.B) {
	for _, group := range []int{1, 2, 64, 512} {
		b.Run(fmt.Sprint(group), func(b *testing.B) {
			eachEngine(b, func(b *testing.B, d *db.DB) {
				events := some(group)
				b.ReportAllocs()
				start := cpu(b)
				for b.Loop() {
					appendEvents(b, d, events...)
				}
				b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N*group), "cpu-µs/event")
				b.ReportMetric(float64(b.N*group)/b.Elapsed().Seconds(), "events/s")
			})
		})
	}
}

// BenchmarkSeal seals what was appended before, 8,192 events in each round.
func BenchmarkSeal(b *testing.B) {
	eachEngine(b, func(b *testing.B, d *db.DB) {
		signer, _ := newKey(b)
		l := newLog(b, d, signer)
		events := some(512)
		var used time.Duration
		for b.Loop() {
			b.StopTimer()
			for range 16 {
				appendEvents(b, d, events...)
			}
			b.StartTimer()
			start := cpu(b)
			seal(b, l)
			used += cpu(b) - start
		}
		b.ReportMetric(float64(used.Microseconds())/float64(b.N*8192), "cpu-µs/event")
		b.ReportMetric(float64(b.N*8192)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkVerify verifies a log of 50,000 events.
func BenchmarkVerify(b *testing.B) {
	eachEngine(b, func(b *testing.B, d *db.DB) {
		signer, verifier := newKey(b)
		l := newLog(b, d, signer)
		events := some(500)
		for range 100 {
			appendEvents(b, d, events...)
		}
		seal(b, l)
		o := audit.VerifyOptions{Origin: origin, Verifiers: []note.Verifier{verifier}}
		b.ReportAllocs()
		for b.Loop() {
			clean(b, d, o, 50000)
		}
		b.ReportMetric(float64(b.N*50000)/b.Elapsed().Seconds(), "events/s")
	})
}
