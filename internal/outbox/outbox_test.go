package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/outbox"
	"github.com/signet-city/signet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// receiver is where messages arrive.
type receiver struct {
	mu   sync.Mutex
	got  map[string]int // by id
	now  map[string]int // under way, by target
	most map[string]int
	fail func(m outbox.Message) error
}

func newReceiver() *receiver {
	return &receiver{got: map[string]int{}, now: map[string]int{}, most: map[string]int{}}
}

func (r *receiver) take(_ context.Context, m outbox.Message) error {
	r.mu.Lock()
	r.now[m.Target]++
	r.most[m.Target] = max(r.most[m.Target], r.now[m.Target])
	r.mu.Unlock()
	time.Sleep(time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now[m.Target]--
	r.got[m.ID]++
	if r.fail != nil {
		return r.fail(m)
	}
	return nil
}

func (r *receiver) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.got)
}

func open(t testing.TB, d *db.DB, c *clock, r *receiver) *outbox.Outbox {
	t.Helper()
	o, err := outbox.New(outbox.Options{DB: d, Now: c.now, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	o.Handle("test", r.take)
	return o
}

// run runs an outbox until the returned function is called, or the test ends.
func run(t testing.TB, o *outbox.Outbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := o.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func add(t testing.TB, d *db.DB, c *clock, list ...outbox.Message) {
	t.Helper()
	if err := d.Update(t.Context(), func(tx db.Tx) error { return outbox.Add(t.Context(), tx, c.now(), list...) }); err != nil {
		t.Fatal(err)
	}
}

func message(id, target string) outbox.Message {
	return outbox.Message{ID: id, Kind: "test", Target: target, Body: []byte("hello " + id)}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never: " + what)
}

// TestTwoReplicasDeliverOnce: every message arrives once while nobody dies, never
// more than two at a time at one target of one replica.
func TestTwoReplicasDeliverOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, r := newClock(), newReceiver()
		run(t, open(t, d, c, r))
		run(t, open(t, d, c, r))
		want := map[string]int{}
		for i := range 20 {
			var list []outbox.Message
			for j := range 10 {
				m := message(fmt.Sprintf("m%03d", i*10+j), fmt.Sprintf("https://%d.example/", j%5))
				list, want[m.ID] = append(list, m), 1
			}
			add(t, d, c, list...)
		}
		eventually(t, "all arrive", func() bool { return len(r.counts()) == len(want) })
		time.Sleep(50 * time.Millisecond) // for a second copy to show itself
		if diff := cmp.Diff(want, r.counts()); diff != "" {
			t.Error(diff)
		}
		for target, n := range r.most {
			if n > 4 {
				t.Errorf("%d at once to %s by two replicas", n, target)
			}
		}
	})
}

func TestRolledBackIsNeverSent(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, r := newClock(), newReceiver()
		run(t, open(t, d, c, r))
		broken := errors.New("broken")
		err := d.Update(t.Context(), func(tx db.Tx) error {
			if err := outbox.Add(t.Context(), tx, c.now(), message("lost", "a")); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		add(t, d, c, message("kept", "a"))
		eventually(t, "the other one arrives", func() bool { return r.counts()["kept"] == 1 })
		if diff := cmp.Diff(map[string]int{"kept": 1}, r.counts()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestDeathBetweenSendingAndMark: it comes again under the same id, once the dead
// replica's lease has run out.
func TestDeathBetweenSendingAndMark(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, r := newClock(), newReceiver()
		ctx, cancel := context.WithCancel(context.Background())
		dying := open(t, d, c, r)
		dying.Handle("test", func(_ context.Context, m outbox.Message) error {
			if err := r.take(ctx, m); err != nil {
				return err
			}
			cancel() // whoever died marks nothing
			return context.Canceled
		})
		add(t, d, c, message("m", "a"))
		if err := dying.Run(ctx); err != nil {
			t.Fatal(err)
		}
		run(t, open(t, d, c, r))
		time.Sleep(1500 * time.Millisecond) // longer than the poll: the lease holds
		if n := r.counts()["m"]; n != 1 {
			t.Fatalf("sent %d times while the lease held", n)
		}
		c.move(3 * time.Minute)
		eventually(t, "it comes again", func() bool { return r.counts()["m"] == 2 && column(t, d, "m", "done") > 0 })
		c.move(time.Hour)
		time.Sleep(1500 * time.Millisecond)
		if n := r.counts()["m"]; n != 2 {
			t.Errorf("sent %d times", n)
		}
	})
}

// TestPatience: attempts at growing distances, until it expires.
func TestPatience(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, r := newClock(), newReceiver()
		r.fail = func(outbox.Message) error { return errors.New("away") }
		run(t, open(t, d, c, r))
		m := message("m", "a")
		m.Expires = c.now().Add(time.Hour)
		add(t, d, c, m)
		var gaps []time.Duration
		for n := 1; n <= 5; n++ {
			eventually(t, fmt.Sprintf("attempt %d", n), func() bool { return r.counts()["m"] >= n && attempts(t, d, "m") >= n })
			gaps = append(gaps, due(t, d, "m").Sub(c.now()))
			c.move(gaps[n-1])
		}
		for i, least := range []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute} {
			if gaps[i] < least || gaps[i] > least*5/4 {
				t.Errorf("attempt %d is followed after %v, want %v and a little", i+1, gaps[i], least)
			}
		}
		c.move(2 * time.Hour)
		time.Sleep(1500 * time.Millisecond)
		if n := r.counts()["m"]; n != 5 {
			t.Errorf("tried %d times, also when it had expired", n)
		}
		if column(t, d, "m", "failed") == 0 {
			t.Error("it is not marked lost")
		}
	})
}

func column(t testing.TB, d *db.DB, id, name string) (n int64) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT `+name+` FROM outbox WHERE id = $1`, id).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func attempts(t testing.TB, d *db.DB, id string) int { return int(column(t, d, id, "attempts")) }

func due(t testing.TB, d *db.DB, id string) time.Time { return db.Time(column(t, d, id, "due")) }

func TestWhatIsGivenUp(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, r := newClock(), newReceiver()
		r.fail = func(m outbox.Message) error {
			switch m.ID {
			case "never":
				return fmt.Errorf("post: %w", outbox.Permanent(errors.New("gone")))
			case "panics":
				panic("a handler's bug")
			}
			return nil
		}
		o := open(t, d, c, r)
		late := message("late", "c")
		late.Expires = c.now().Add(-time.Second)
		add(t, d, c, message("never", "a"), message("panics", "a"), message("good", "b"), late,
			outbox.Message{ID: "foreign", Kind: "newer", Target: "a"})
		run(t, o)
		eventually(t, "all were looked at", func() bool {
			return column(t, d, "never", "failed") > 0 && column(t, d, "good", "done") > 0 && column(t, d, "late", "failed") > 0 && attempts(t, d, "panics") == 1
		})
		c.move(2 * time.Hour)
		eventually(t, "the one that panics is tried again", func() bool { return r.counts()["panics"] == 2 })
		if got := r.counts(); got["never"] != 1 || got["late"] != 0 || got["foreign"] != 0 {
			t.Errorf("sent %v", got)
		}
		if column(t, d, "panics", "failed") != 0 || column(t, d, "foreign", "failed") != 0 {
			t.Error("what may still be delivered is given up")
		}
	})
}

// TestASlowTargetHoldsNobodyUp: a thousand messages wait for somebody who never
// answers, and the others' arrive.
func TestASlowTargetHoldsNobodyUp(t *testing.T) {
	d := testkit.SQLite(t)
	c, r := newClock(), newReceiver()
	o := open(t, d, c, r)
	ctx, cancel := context.WithCancel(context.Background())
	o.Handle("test", func(ctx context.Context, m outbox.Message) error {
		if m.Target == "slow" {
			<-ctx.Done()
			return ctx.Err()
		}
		return r.take(ctx, m)
	})
	var list []outbox.Message
	for i := range 1000 {
		list = append(list, message(fmt.Sprintf("s%04d", i), "slow"))
	}
	add(t, d, c, list...)
	done := make(chan struct{})
	go func() { defer close(done); _ = o.Run(ctx) }()
	time.Sleep(100 * time.Millisecond)
	c.move(time.Second)
	for i := range 50 {
		add(t, d, c, message(fmt.Sprintf("q%02d", i), fmt.Sprintf("quick%d", i%10)))
	}
	eventually(t, "the quick ones arrive", func() bool { return len(r.counts()) == 50 })
	cancel()
	<-done
}

// TestAwayTargetsRest: more targets than there are senders are away with a backlog
// each, and rest after some failures: what others are sent arrives, and theirs once
// they are back.
func TestAwayTargetsRest(t *testing.T) {
	d := testkit.SQLite(t)
	c, r := newClock(), newReceiver()
	o := open(t, d, c, r)
	ctx, cancel := context.WithCancel(context.Background())
	var calls, back atomic.Int32
	o.Handle("test", func(ctx context.Context, m outbox.Message) error {
		if back.Load() == 0 && strings.HasPrefix(m.Target, "away") {
			calls.Add(1)
			return errors.New("nobody answers")
		}
		return r.take(ctx, m)
	})
	var list []outbox.Message
	for i := range 1000 {
		list = append(list, message(fmt.Sprintf("a%04d", i), fmt.Sprintf("away%d", i%10)))
	}
	add(t, d, c, list...)
	add(t, d, c, message("quick", "quick"))
	done := make(chan struct{})
	go func() { defer close(done); _ = o.Run(ctx) }()
	eventually(t, "the quick one arrives", func() bool { return r.counts()["quick"] == 1 })
	if n := calls.Load(); n < 80 || n > 100 { // ten times eight, and who was under way
		t.Errorf("%d calls of targets that are away", n)
	}
	back.Store(1)
	eventually(t, "the others arrive", func() bool { c.move(10 * time.Second); return len(r.counts()) == 1001 })
	cancel()
	<-done
}

func TestAddRefuses(t *testing.T) {
	d, c := testkit.SQLite(t), newClock()
	for name, m := range map[string]outbox.Message{
		"no kind":     {Target: "a"},
		"no target":   {Kind: "test"},
		"long kind":   {Kind: strings.Repeat("k", 65), Target: "a"},
		"long target": {Kind: "test", Target: strings.Repeat("t", 513)},
		"long body":   {Kind: "test", Target: "a", Body: make([]byte, 64<<10+1)},
	} {
		err := d.Update(t.Context(), func(tx db.Tx) error { return outbox.Add(t.Context(), tx, c.now(), m) })
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := outbox.New(outbox.Options{}); err == nil {
		t.Error("an outbox without a database")
	}
}

func TestSweep(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, r := newClock(), newReceiver()
		r.fail = func(m outbox.Message) error {
			if m.Target == "bad" {
				return outbox.Permanent(errors.New("gone"))
			}
			return nil
		}
		o := open(t, d, c, r)
		stop := run(t, o)
		var list []outbox.Message
		for i := range 600 {
			list = append(list, message(fmt.Sprintf("g%04d", i), fmt.Sprintf("good%d", i%8)))
		}
		add(t, d, c, append(list, message("bad", "bad"))...)
		eventually(t, "all are over", func() bool { return len(r.counts()) == 601 && rows(t, d, "done = 0 AND failed = 0") == 0 })
		stop()
		add(t, d, c, outbox.Message{ID: "waits", Kind: "newer", Target: "a"})
		sweep := func(want int64) {
			t.Helper()
			if n, err := o.Sweep(t.Context()); err != nil || n != want {
				t.Errorf("swept %d, %v; want %d", n, err, want)
			}
		}
		sweep(0)
		c.move(25 * time.Hour)
		sweep(600)
		c.move(30 * 24 * time.Hour)
		sweep(1)
		if n := rows(t, d, "1 = 1"); n != 1 {
			t.Errorf("%d rows left, want the one that waits", n)
		}
	})
}

func rows(t testing.TB, d *db.DB, where string) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT count(*) FROM outbox WHERE `+where).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMetrics(t *testing.T) {
	d, c, r, reg := testkit.SQLite(t), newClock(), newReceiver(), prometheus.NewRegistry()
	o, err := outbox.New(outbox.Options{DB: d, Now: c.now, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	r.fail = func(m outbox.Message) error {
		return map[string]error{"a": nil, "b": errors.New("away"), "c": outbox.Permanent(errors.New("gone"))}[m.Target]
	}
	o.Handle("test", r.take)
	add(t, d, c, message("1", "a"), message("2", "b"), message("3", "c"))
	run(t, o)
	eventually(t, "all were tried", func() bool { return len(r.counts()) == 3 && rows(t, d, "attempts > 0") == 3 })
	c.move(time.Minute + time.Second)
	eventually(t, "it is measured", func() bool {
		return gauge(t, reg, "signet_outbox_waiting") == 1 && gauge(t, reg, "signet_outbox_oldest_seconds") > 60
	})
	for result, want := range map[string]float64{"delivered": 1, "lost": 1} {
		if got := counter(t, reg, "signet_outbox_attempts_total", result); got != want {
			t.Errorf("%s: %v", result, got)
		}
	}
}

func counter(t testing.TB, reg *prometheus.Registry, name, result string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "result" && l.GetValue() == result {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return -1
}

func gauge(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}
