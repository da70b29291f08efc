package licenses

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Options are what New needs. All but Orders, Now, Logger and Registerer are required.
type Options struct {
	DB         *db.DB
	Ring       *keys.Ring
	Registry   *registry.Registry
	Types      []*Type // that come with the program
	Tokens     web.TokenChecker
	Orders     Orders // of new firms' certificates; nil: no firms are founded
	Changed    func() // called after a licence's status has changed, to publish it; nil for none
	BatchLines int    // of one batch; 0 means 10,000
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Service is the licence register of one city, safe for concurrent use.
type Service struct {
	db       *db.DB
	ring     *keys.Ring
	registry *registry.Registry
	shipped  []*Type // version 1 of their types
	catalog  catalogs
	tokens   web.TokenChecker
	orders   Orders
	changed  func()
	now      func() time.Time
	log      *slog.Logger
	metrics  *metrics
	maxLines int
	permute  [32]byte // secret of the status indexes
	counters counters
	picture  picture
}

// New returns the service. The keyring must hold the secret "status.permutation".
func New(ctx context.Context, o Options) (*Service, error) {
	if o.DB == nil || o.Ring == nil || o.Registry == nil || len(o.Types) == 0 {
		return nil, errors.New("new licences: a database, a keyring, a registry and types are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.BatchLines == 0 {
		o.BatchLines = 10_000
	}
	s := &Service{maxLines: o.BatchLines, db: o.DB, ring: o.Ring, registry: o.Registry, shipped: o.Types, tokens: o.Tokens, orders: o.Orders,
		changed: o.Changed, now: o.Now, log: o.Logger, metrics: newMetrics(o.Registerer)}
	s.counters.db = o.DB
	seen, codes := map[string]bool{}, map[uint64]bool{}
	for _, t := range o.Types {
		if seen[t.ID] || codes[t.Code] {
			return nil, errors.New("new licences: two types share the id " + t.ID + " or its code")
		}
		seen[t.ID], codes[t.Code] = true, true
	}
	if err := s.refresh(ctx); err != nil {
		return nil, fmt.Errorf("new licences: %w", err)
	}
	secret, err := o.Ring.Secret(ctx, PermutationSecret)
	if err != nil {
		return nil, err
	}
	copy(s.permute[:], secret)
	return s, nil
}

// PermutationSecret is the keyring's secret that hides the order of issue in
// status indexes.
const PermutationSecret = "status.permutation"

// Run completes what a crash left in signing, records what has come to its end and
// follows the types that others add, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	added := s.db.Watch(ctx, typesTopic)
	go s.follow(ctx, added)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "licence sweep", slog.Any("error", err))
		}
		if _, err := s.Expire(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "licence expiry", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// follow loads the types that other replicas add, within a second or so.
func (s *Service) follow(ctx context.Context, added <-chan struct{}) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-added:
		case <-tick.C:
		}
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "follow licence types", slog.Any("error", err))
		}
	}
}
