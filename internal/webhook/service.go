package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/egress"
	"github.com/signet-city/signet/internal/outbox"
	"github.com/signet-city/signet/internal/web"
)

// Kind is that of the outbox's messages.
const Kind = "webhook"

const (
	poll      = 500 * time.Millisecond // how often the log is looked at
	lease     = 10 * time.Second       // of the follower
	keepGone  = 24 * time.Hour         // removed subscriptions, for repeated requests
	sweepWait = time.Hour
)

// Notice is an event as it is told outside. Nothing of it is personal.
type Notice struct {
	EventID string         // the record's
	Type    string         // public name; "" means that of the record's kind
	Agency  string         // whom it is about, "" for the city
	At      time.Time      // zero means the record's
	Data    map[string]any // ids, numbers, states: values are string, int64 or bool
}

// Area is a part of the city that tells what happens in it.
type Area struct {
	Name  string            // "licenses"
	Scope string            // of the access tokens for its addresses
	Base  string            // "/licenses/v1"
	Kinds map[string]string // kind of an audit event → public type

	// Describe says what is told of records of these kinds: at most one notice for each,
	// and none for what is not told. It may be asked for the same record many times.
	Describe func(ctx context.Context, records []audit.Record) ([]Notice, error)
}

// types returns the public types, sorted.
func (a *Area) types() []string {
	list := slices.Sorted(maps.Values(a.Kinds))
	return slices.Compact(list)
}

// Sealer keeps secrets; keys.Ring does.
type Sealer interface {
	Seal(ctx context.Context, plaintext, aad []byte) ([]byte, error)
	Open(ctx context.Context, sealed, aad []byte) ([]byte, error)
}

// Options are what New needs. All but the last three are required.
type Options struct {
	DB     *db.DB
	Outbox *outbox.Outbox // messages of Kind are handled, so New stands before its Run
	Client *egress.Client
	Sealer Sealer
	Areas  []Area
	Tokens web.TokenChecker

	Now        func() time.Time      // nil means time.Now
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nowhere
}

// Service keeps subscriptions and tells them what happened.
type Service struct {
	o       Options
	holder  string // of the follower's lease
	metrics *metrics

	mu    sync.Mutex
	moved chan struct{} // closed when the log has grown
	ended bool          // Run has ended: nobody waits any more
}

// New returns a service. It fails if an option is missing or an area is incomplete.
func New(o Options) (*Service, error) {
	if o.DB == nil || o.Outbox == nil || o.Client == nil || o.Sealer == nil || o.Tokens == nil {
		return nil, errors.New("new webhooks: a database, an outbox, a client, a sealer and tokens are required")
	}
	for _, a := range o.Areas {
		if a.Name == "" || a.Scope == "" || !strings.HasPrefix(a.Base, "/") || len(a.Kinds) == 0 || a.Describe == nil {
			return nil, fmt.Errorf("new webhooks: the area %q is incomplete", a.Name)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, holder: db.NewID(), metrics: newMetrics(o.Registerer), moved: make(chan struct{})}
	o.Outbox.Handle(Kind, s.deliver)
	return s, nil
}

// Run follows the log until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.wake(true)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	f := follower{size: -1, done: -1}
	for {
		s.look(ctx, &f)
		select {
		case <-ctx.Done():
			_ = s.o.DB.Release(context.WithoutCancel(ctx), "webhook", s.holder)
			return nil
		case <-tick.C:
		}
	}
}

// follower is what Run remembers.
type follower struct {
	size   int64     // of the log
	done   int64     // the size to which this replica has followed
	mine   bool      // the lease
	leased time.Time // when it was last asked for
	swept  time.Time
}

// look looks at the log once: it wakes those who wait for it and, where this replica
// has the lease, writes messages. While nothing happens it only reads.
func (s *Service) look(ctx context.Context, f *follower) {
	now := s.o.Now()
	size, err := s.size(ctx)
	if err != nil {
		s.failed(ctx, "look at the log", err)
		return
	}
	if size != f.size {
		f.size = size
		s.wake(false)
	}
	if now.Sub(f.leased).Abs() >= lease/3 {
		f.leased = now
		if f.mine, err = s.o.DB.Lease(ctx, "webhook", s.holder, lease, now); err != nil {
			s.failed(ctx, "lease the log's follower", err)
		}
	}
	if !f.mine {
		f.done = -1
		return
	}
	if f.done != size {
		if err := s.Follow(ctx); err != nil {
			s.failed(ctx, "follow the log", err)
			return
		}
		f.done = size
	}
	if now.Sub(f.swept) >= sweepWait {
		f.swept = now
		s.sweep(ctx, now)
	}
}

func (s *Service) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.o.Logger.ErrorContext(ctx, what, slog.Any("cause", err))
	}
}

func (s *Service) size(ctx context.Context) (size int64, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		size, err = audit.Size(ctx, tx)
		return err
	})
	return size, err
}

// wake tells those who wait that the log has grown, or for good that nobody will.
func (s *Service) wake(ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	close(s.moved)
	if s.ended = ended; !ended {
		s.moved = make(chan struct{})
	}
}

// growth returns a channel that is closed when the log has grown, and whether that
// may still happen.
func (s *Service) growth() (<-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved, !s.ended
}

// sweep forgets subscriptions that were removed a day ago.
func (s *Service) sweep(ctx context.Context, now time.Time) {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM webhook_subscriptions WHERE removed > 0 AND removed < $1`, db.Micros(now.Add(-keepGone)))
		return err
	})
	if err != nil {
		s.failed(ctx, "sweep webhooks", err)
	}
}
