// Package outbox sends messages that must arrive: logout tokens, webhooks.
//
// A message is written in the transaction of the change that it tells of, so that
// neither is without the other. Any replica sends it, at least once: whoever dies
// between the sending and its mark has sent one that another replica sends again,
// under the same id, by which its receiver knows it. What cannot be delivered is tried
// again at growing distances until it expires. A target that is slow or away keeps at
// most two senders busy, and rests for a minute after it has failed eight times in a
// row, so that however many are away the others wait for seconds.
//
// The package owns the queue and its patience. What a message says and how it is sent
// is its handler's. It refuses bodies over 64 kB; whoever puts in something personal
// seals it before.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Bounds.
const (
	maxBody  = 64 << 10
	maxKind  = 64
	maxName  = 512
	patience = 72 * time.Hour // when a message names no end

	workers   = 8
	perTarget = 2
	failures  = 8                // in a row, after which a target rests
	rest      = time.Minute      // of such a target; one more failure then begins it anew
	maxAway   = 1000             // targets that rest at a time
	attempt   = 30 * time.Second // one delivery
	lease     = 2 * time.Minute  // after which another replica takes it over
	poll      = time.Second      // besides notices
	keepDone  = 24 * time.Hour   // what was delivered
	keepLost  = 30 * 24 * time.Hour
)

// waits are how long after each failed attempt the next may be made; the last one
// repeats.
var waits = [...]time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour}

// topic is notified when messages were added.
const topic = "outbox"

// Message is one message.
type Message struct {
	ID       string // made by Add if ""; the same at every attempt
	Kind     string // whose handler sends it
	Target   string // to whom, as an address or an id: one that is away is left alone for a while
	Body     []byte // at most 64 kB
	Attempts int    // that failed before
	Created  time.Time
	Expires  time.Time // zero: three days after it was added
}

// Handler sends one message. It is delivered when the error is nil, and given up when
// it was made by Permanent; else it is tried again.
type Handler func(ctx context.Context, m Message) error

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that no repetition mends.
func Permanent(err error) error { return permanent{err} }

// Add puts messages into the outbox, in the transaction of what they tell of. It
// fails with kind Invalid for a message without a kind or a target, or with a body that
// is too long.
func Add(ctx context.Context, tx db.Tx, now time.Time, list ...Message) error {
	for _, m := range list {
		if len(m.Kind) < 1 || len(m.Kind) > maxKind || len(m.Target) < 1 || len(m.Target) > maxName || len(m.Body) > maxBody {
			return fault.New(fault.Invalid, fmt.Sprintf("a message has a kind, a target, and a body of at most %d bytes", maxBody))
		}
		if m.ID == "" {
			m.ID = db.NewID()
		}
		if m.Expires.IsZero() {
			m.Expires = now.Add(patience)
		}
		if m.Body == nil {
			m.Body = []byte{}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO outbox (id, kind, target, body, created, expires, due) VALUES ($1, $2, $3, $4, $5, $6, $5)`,
			m.ID, m.Kind, m.Target, m.Body, db.Micros(now), db.Micros(m.Expires))
		if err != nil {
			return fmt.Errorf("add message: %w", err)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return db.Notify(ctx, tx, topic)
}

// Options are what New needs. DB is required.
type Options struct {
	DB         *db.DB
	Now        func() time.Time      // nil means time.Now
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nowhere
}

// Outbox sends what was added. Any number of replicas may run one on a database.
type Outbox struct {
	o        Options
	handlers map[string]Handler
	metrics  *metrics
}

// New returns an outbox without handlers.
func New(o Options) (*Outbox, error) {
	if o.DB == nil {
		return nil, errors.New("new outbox: a database is required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Outbox{o: o, handlers: map[string]Handler{}, metrics: newMetrics(o.Registerer)}, nil
}

// Handle sets who sends messages of a kind. It is called before Run; messages of a
// kind without a handler wait for a replica that has one.
func (o *Outbox) Handle(kind string, h Handler) { o.handlers[kind] = h }

// Run sends messages until ctx ends.
func (o *Outbox) Run(ctx context.Context) error {
	heard := o.o.DB.Watch(ctx, topic)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	finished := make(chan outcome, workers)
	targets, running := targets{busy: map[string]int{}, away: map[string]*away{}}, 0
	var swept time.Time
	for ctx.Err() == nil {
		list, err := o.claim(ctx, workers-running, targets.skip(o.o.Now()))
		if err != nil && ctx.Err() == nil {
			o.o.Logger.ErrorContext(ctx, "claim messages", slog.Any("cause", err))
		}
		for _, c := range list {
			targets.busy[c.Target]++
			running++
			go func() { finished <- outcome{c.Target, o.deliver(ctx, c)} }()
		}
		if now := o.o.Now(); now.Sub(swept) >= time.Minute {
			swept = now
			targets.forget(now)
			o.maintain(ctx, now)
		}
		if len(list) > 0 && running < workers {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
		case <-heard:
		case <-tick.C:
		case done := <-finished:
			running--
			targets.note(done, o.o.Now())
		}
	}
	for ; running > 0; running-- {
		<-finished
	}
	return nil
}

// outcome is whether a target took a message, or refused it for good.
type outcome struct {
	target   string
	answered bool
}

// targets are those that this replica sends to and those that do not answer it.
type targets struct {
	busy map[string]int // messages under way
	away map[string]*away
}

type away struct {
	failures int // in a row
	until    time.Time
}

// note writes down what came of a message.
func (t *targets) note(done outcome, now time.Time) {
	if t.busy[done.target]--; t.busy[done.target] == 0 {
		delete(t.busy, done.target)
	}
	switch a := t.away[done.target]; {
	case done.answered:
		delete(t.away, done.target)
	case a == nil && len(t.away) < maxAway:
		t.away[done.target] = &away{failures: 1}
	case a != nil:
		if a.failures++; a.failures >= failures {
			a.until = now.Add(rest)
		}
	}
}

// forget leaves out those that have been left alone for an hour, or never rested.
func (t *targets) forget(now time.Time) {
	maps.DeleteFunc(t.away, func(_ string, a *away) bool { return now.Sub(a.until) > time.Hour })
}

// skip returns the targets that get nothing now, in order.
func (t *targets) skip(now time.Time) (list []string) {
	for target, k := range t.busy {
		if k >= perTarget {
			list = append(list, target)
		}
	}
	for target, a := range t.away {
		if now.Before(a.until) && t.busy[target] < perTarget {
			list = append(list, target)
		}
	}
	slices.Sort(list)
	return list
}

// deliver makes one attempt and writes down what came of it, also when ctx has ended
// meanwhile. It reports whether there was an answer.
func (o *Outbox) deliver(ctx context.Context, c claimed) (answered bool) {
	now := o.o.Now()
	err := error(permanent{errExpired})
	if now.Before(c.Expires) {
		err = o.send(ctx, c)
	}
	mark, cancel := context.WithTimeout(context.WithoutCancel(ctx), attempt)
	defer cancel()
	_, lost := errors.AsType[permanent](err)
	next := o.o.Now().Add(wait(c.Attempts))
	answered = err == nil || lost
	lost = lost || err != nil && !next.Before(c.Expires)
	switch {
	case err == nil:
		o.metrics.attempts.WithLabelValues(c.Kind, "delivered").Inc()
		err = o.finish(mark, c, "done")
	case ctx.Err() != nil:
		return false // the lease runs out, and it is tried again
	case lost:
		o.metrics.attempts.WithLabelValues(c.Kind, "lost").Inc()
		o.o.Logger.WarnContext(ctx, "message not delivered", slog.String("kind", c.Kind), slog.String("message", c.ID), slog.Any("cause", err))
		err = o.finish(mark, c, "failed")
	default:
		o.metrics.attempts.WithLabelValues(c.Kind, "failed").Inc()
		o.o.Logger.DebugContext(ctx, "message not delivered yet", slog.String("kind", c.Kind), slog.String("message", c.ID), slog.Any("cause", err))
		err = o.postpone(mark, c, next)
	}
	if err != nil {
		o.o.Logger.ErrorContext(ctx, "mark message", slog.String("message", c.ID), slog.Any("cause", err))
	}
	return answered
}

var errExpired = errors.New("it expired before it could be delivered")

// send calls the handler. Its panic is its message's alone.
func (o *Outbox) send(ctx context.Context, c claimed) (err error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v", p)
		}
	}()
	return o.handlers[c.Kind](ctx, c.Message)
}

// wait returns how long after another failed attempt the next may be made: a little
// more than the list says, so that what failed together does not come back together.
func wait(failed int) time.Duration {
	d := waits[min(failed, len(waits)-1)]
	return d + rand.N(d/4)
}
