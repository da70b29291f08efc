package approval_test

import (
	"context"
	"encoding/json/jsontext"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// crash is a process that ends where it stands: nothing after it runs.
func crash(f func()) {
	defer func() { _ = recover() }()
	f()
}

// A process that ends between any two steps leaves a request that another one
// completes, once.
func TestCrash(t *testing.T) {
	dies := func(bool) error { panic("killed") }
	for name, k := range map[string]struct {
		set  func(c *city)
		want approval.State
		done int
	}{
		"before anything was done":       {func(c *city) { c.lamp.run = dies }, approval.Done, 1},
		"before the outcome was written": {func(c *city) { c.lamp.after = func() error { return dies(true) } }, approval.Done, 1},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, c *city) {
				ctx := t.Context()
				r := c.submit(c.ann, "red")
				proof := c.proof(r, c.bob)
				k.set(c)
				crash(func() { _, _ = c.service.Approve(ctx, r.ID, c.bob, proof) })
				c.wantState(r.ID, approval.Approved)
				c.lamp.run, c.lamp.after = nil, nil
				other := c.replica()
				check(t, other.Sweep(ctx)) // the dead one's lease holds
				c.wantState(r.ID, approval.Approved)
				c.clock.add(2 * time.Minute)
				check(t, other.Sweep(ctx))
				check(t, other.Sweep(ctx))
				if got := c.wantState(r.ID, k.want); got.Attempts != 2 {
					t.Errorf("%d attempts", got.Attempts)
				}
				if c.lamp.total() != k.done || c.lamp.value != "red" {
					t.Errorf("done %d times, lamp %s", c.lamp.total(), c.lamp.value)
				}
				c.wantEvents(r, "approval.request", "approval.approve", "approval.run.intent", "approval.run.outcome")
			})
		})
	}
}

// A process that ends before the run was announced leaves a request that is
// checked in full, like any other.
func TestCrashBeforeTheIntent(t *testing.T) {
	for name, k := range map[string]struct {
		meanwhile func(c *city)
		want      approval.State
		events    []string
	}{
		"nothing has changed":  {func(*city) {}, approval.Done, []string{"approval.run.intent", "approval.run.outcome"}},
		"it resolves to else":  {func(c *city) { c.lamp.set("blue") }, approval.Failed, []string{"approval.run.outcome"}},
		"it expired meanwhile": {func(c *city) { c.clock.add(24 * time.Hour) }, approval.Failed, []string{"approval.run.outcome"}},
		"it is away":           {func(c *city) { c.lamp.set("away") }, approval.Approved, nil},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, c *city) {
				ctx := t.Context()
				checks := 0
				op := c.lamp.operation()
				inner := op.Check
				op.Kind = "lamp.dim"
				op.Check = func(ctx context.Context, p jsontext.Value) (jsontext.Value, []approval.Line, error) {
					if checks++; checks == 4 { // submit, statement, approval, run
						panic("killed")
					}
					return inner(ctx, p)
				}
				c.service = c.replica(op)
				spec := c.spec(c.ann, "red")
				spec.Kind = "lamp.dim"
				r := c.ask(spec)
				proof := c.proof(r, c.bob)
				crash(func() { _, _ = c.service.Approve(ctx, r.ID, c.bob, proof) })
				if got := c.wantState(r.ID, approval.Approved); !got.Started.IsZero() {
					t.Error("announced before it was checked")
				}
				k.meanwhile(c)
				c.clock.add(2 * time.Minute)
				check(t, c.service.Sweep(ctx))
				c.wantState(r.ID, k.want)
				c.wantEvents(r, append([]string{"approval.request", "approval.approve"}, k.events...)...)
				if done := c.lamp.total(); (done == 1) != (k.want == approval.Done) {
					t.Errorf("done %d times", done)
				}
			})
		})
	}
}

// What has begun is completed, also after the request's end and although the
// situation is another by its own doing.
func TestPartAway(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		away := fault.New(fault.Unavailable, "the token is away")
		c.lamp.after = func() error { return away }
		got := c.approve(r, c.bob)
		if got.State != approval.Approved || got.Started.IsZero() {
			t.Errorf("got %+v", got)
		}
		calls := c.lamp.calls
		check(t, c.service.Sweep(ctx)) // too early
		if c.lamp.calls != calls {
			t.Error("tried again without a pause")
		}
		c.lamp.after = func() error { return errors.New("a bug") }
		c.clock.add(30 * time.Second)
		check(t, c.service.Sweep(ctx))
		c.wantState(r.ID, approval.Approved)
		c.lamp.after = nil
		c.clock.add(48 * time.Hour)
		check(t, c.service.Sweep(ctx))
		if got := c.wantState(r.ID, approval.Done); got.Attempts != 3 {
			t.Errorf("%d attempts", got.Attempts)
		}
		if c.lamp.total() != 1 {
			t.Error("done more than once")
		}
		c.wantEvents(r, "approval.request", "approval.approve", "approval.run.intent", "approval.run.outcome")
	})
}

func TestRunRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		r := c.submit(c.ann, "red")
		c.lamp.run = func(bool) error { return fault.New(fault.Denied, "the lamp is not yours") }
		got := c.approve(r, c.bob)
		if got.State != approval.Failed || got.Note != "the lamp is not yours" {
			t.Errorf("got %+v", got)
		}
		c.lamp.run = nil
		c.clock.add(time.Hour)
		check(t, c.service.Sweep(t.Context()))
		if c.lamp.calls != 1 {
			t.Error("tried again")
		}
		outcome := c.events("approval.run.outcome", "approval:"+r.ID)
		if len(outcome) != 1 || outcome[0].Data["result"] != "failed" || outcome[0].Data["failure"] != "denied" {
			t.Errorf("events %v", outcome)
		}
	})
}

// A caller who goes away does not take the run along.
func TestCallerGone(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		r := c.submit(c.ann, "red")
		proof := c.proof(r, c.bob)
		ctx, cancel := context.WithCancel(t.Context())
		c.lamp.run = func(bool) error { cancel(); return nil }
		_, _ = c.service.Approve(ctx, r.ID, c.bob, proof)
		c.wantState(r.ID, approval.Done)
	})
}

// A replica that does not know an operation leaves it to one that does.
func TestUnknownOperation(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		op := c.lamp.operation()
		op.Kind, op.Title = "lamp.new", web.Text{ZH: "新灯", EN: "A new lamp"}
		newer := c.replica(op)
		c.lamp.run = func(first bool) error {
			if first {
				return fault.New(fault.Unavailable, "away")
			}
			return nil
		}
		spec := c.spec(c.ann, "red")
		spec.Kind = "lamp.new"
		r, err := newer.Submit(ctx, spec)
		check(t, err)
		_, err = c.service.Statement(ctx, r.ID, c.bob)
		wantKind(t, err, fault.Unavailable, "an operation of a newer program")
		st, err := newer.Statement(ctx, r.ID, c.bob)
		check(t, err)
		c.passkeys[c.bob].Count++
		_, err = newer.Approve(ctx, r.ID, c.bob, approval.Proof{Passkey: c.passkeys[c.bob].get(t, st)})
		check(t, err)
		c.clock.add(time.Minute)
		check(t, c.service.Sweep(ctx))
		if got := c.wantState(r.ID, approval.Approved); got.Title != (web.Text{}) {
			t.Errorf("title %v", got.Title)
		}
		c.clock.add(time.Hour)
		check(t, newer.Sweep(ctx))
		c.wantState(r.ID, approval.Done)
	})
}

func TestRunLoop(t *testing.T) {
	c := newCity(t, sqlite(t))
	r := c.submit(c.ann, "red")
	c.clock.add(25 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.service.Run(ctx) }()
	for range 200 {
		if got, err := c.service.Find(t.Context(), r.ID); err == nil && got.State == approval.Expired {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	check(t, <-done)
	c.wantState(r.ID, approval.Expired)
}

// Any number of replicas that sweep at once run a request once.
func TestSweepsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		proof := c.proof(r, c.bob)
		c.lamp.run = func(bool) error { panic("killed") }
		crash(func() { _, _ = c.service.Approve(ctx, r.ID, c.bob, proof) })
		c.lamp.run = nil
		c.clock.add(2 * time.Minute)
		// All have seen that it waits before one of them takes it.
		tokens := make(chan string, 8)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if token, err := c.service.Lease(ctx, r.ID); err == nil {
					tokens <- token
				}
			})
		}
		wg.Wait()
		if len(tokens) != 1 {
			t.Fatalf("%d leases", len(tokens))
		}
		for range 8 {
			wg.Go(func() { check(t, c.replica().Sweep(ctx)) })
		}
		wg.Wait()
		c.wantState(r.ID, approval.Approved)
		c.clock.add(2 * time.Minute)
		for range 8 {
			wg.Go(func() { check(t, c.replica().Sweep(ctx)) })
		}
		wg.Wait()
		c.wantState(r.ID, approval.Done)
		if c.lamp.calls != 2 {
			t.Errorf("%d runs, with that of the dead", c.lamp.calls)
		}
	})
}
