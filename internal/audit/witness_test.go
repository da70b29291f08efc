package audit_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func TestWitnessesCosign(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		one, two := newWitness(t, "witness.example/one"), newWitness(t, "witness.example/two")
		l := watched(t, d, signer, one.watch(t, key), two.watch(t, key))
		s := serve(t, l, key)
		if err := l.Cosign(t.Context()); err != nil || one.asked > 0 {
			t.Errorf("nothing is sealed: %v", err)
		}
		for _, n := range []int{1, 6, 255, 300, 1} {
			appendEvents(t, d, some(n)...)
			c := seal(t, l)
			cosigned(t, l)
			if one.size() != c.Size || two.size() != c.Size {
				t.Fatalf("the witnesses are at %d and %d, the log at %d", one.size(), two.size(), c.Size)
			}
			names := signatures(t, s.must("checkpoint"), key, one, two)
			if fmt.Sprint(names) != fmt.Sprint([]string{origin, one.name, two.name}) {
				t.Errorf("the checkpoint of size %d is signed by %v", c.Size, names)
			}
		}
		asked := one.asked
		cosigned(t, l)
		if one.asked != asked {
			t.Error("a witness was asked for what it had signed")
		}
		ids := appendEvents(t, d, some(1)...)
		seal(t, l) // and not cosigned
		p := prove(t, d, ids[0])
		if _, err := p.Verify([]note.Verifier{key}, one); fault.KindOf(err) != fault.Invalid {
			t.Errorf("an event that no witness has seen: %v", err)
		}
		first := find(t, d, audit.EventFilter{Limit: 1})[0]
		p = prove(t, d, first.ID)
		known, err := audit.WitnessVerifiers(one.vkey(), two.vkey())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify([]note.Verifier{key}, append(known, one, two)...); err != nil || p.Checkpoint.Size != 563 {
			t.Errorf("the proof under size %d: %v", p.Checkpoint.Size, err)
		}
	})
}

// TestWitnessKnowsMore loses what the database knew of the witness.
func TestWitnessKnowsMore(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		w := newWitness(t, "witness.example/w1")
		l := watched(t, d, signer, w.watch(t, key))
		appendEvents(t, d, some(20)...)
		seal(t, l)
		cosigned(t, l)
		meddle(t, d, "DELETE FROM audit_cosignatures")
		c := cosigned(t, l) // of the same size
		if names := signatures(t, c.Note, key, w); len(names) != 2 {
			t.Errorf("signed by %v", names)
		}
		appendEvents(t, d, some(20)...)
		seal(t, l)
		meddle(t, d, "DELETE FROM audit_cosignatures")
		c = cosigned(t, l) // of a greater one
		if names := signatures(t, c.Note, key, w); len(names) != 2 || c.Size != 40 {
			t.Errorf("size %d is signed by %v", c.Size, names)
		}
	})
}

func TestReplicasAskTheSameWitness(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		w := newWitness(t, "witness.example/w1")
		known := w.watch(t, key)
		one, two := watched(t, d, signer, known), watched(t, d, signer, known)
		for range 5 {
			appendEvents(t, d, some(7)...)
			var group sync.WaitGroup
			for _, l := range []*audit.Log{one, two} {
				group.Go(func() {
					if _, err := l.Seal(t.Context()); err != nil {
						t.Error(err)
					}
					if err := l.Cosign(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
		if c := cosigned(t, one); len(signatures(t, c.Note, key, w)) != 2 || w.size() != 35 {
			t.Errorf("the witness is at %d", w.size())
		}
	})
}

func TestRunAsksWitnesses(t *testing.T) {
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	good, away := newWitness(t, "witness.example/good"), newWitness(t, "witness.example/away")
	held := make(chan struct{})
	away.answer = func(http.ResponseWriter, []byte) bool { <-held; return false }
	registry := prometheus.NewRegistry()
	l := audit.New(audit.Options{DB: d, Origin: origin, Logger: testkit.Logger(t), Every: 5 * time.Millisecond, Registerer: registry,
		Witnesses: []*audit.Witness{good.watch(t, key), away.watch(t, key)},
		Signer:    func(context.Context) (note.Signer, error) { return signer, nil }})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for size := int64(10); size <= 50; size += 10 { // one witness holds its answer back all the while
		appendEvents(t, d, some(10)...)
		wait(t, func() bool { return good.size() == size })
	}
	close(held)
	wait(t, func() bool {
		c, err := l.Cosigned(t.Context())
		return err == nil && len(signatures(t, c.Note, key, good, away)) == 3
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := gauge(t, registry, "signet_audit_witness_size", "witness.example/good"); got != 50 {
		t.Errorf("the metric says that the witness is at %v", got)
	}
}

func wait(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to pass")
		}
	}
}

// gauge returns the value of a metric with one of its labels.
func gauge(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == label {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	return -1
}

// TestWitnessThatWasAwayIsAskedAgain has its server refuse at first.
func TestWitnessThatWasAwayIsAskedAgain(t *testing.T) {
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	w := newWitness(t, "witness.example/w1")
	failures := 2
	w.answer = func(rw http.ResponseWriter, _ []byte) bool {
		if failures--; failures >= 0 {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	l := watched(t, d, signer, w.watch(t, key))
	appendEvents(t, d, some(3)...)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	wait(t, func() bool {
		c, err := l.Cosigned(t.Context())
		return err == nil && len(signatures(t, c.Note, key, w)) == 2
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
