// Package trust publishes what offline verifiers need: the trust bundle, the
// city snapshot and the head, made from the registry, the keyring, the licence
// types and the statuses, and signed by the trust-list and status signers. The
// formats are those of verify/trust and licenses/status.
//
// Every object is made in the same steps: a transaction allocates its sequence
// number and appends the intent event; then it is signed, outside any
// transaction, and opened again as a verifier would; then a second transaction
// stores it, makes it the current one and appends the outcome event. The second
// is a compare-and-swap against the object that was current in the first, so that
// any number of replicas may publish: no sequence number is used twice, each
// bundle names the one before it, and one that came too late is dropped. A crash
// in between leaves a number that nobody uses; the next Publish makes the object
// under a new one.
//
// It refuses to serve what does not verify from the pinned root down.
package trust

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// Ring is what the publisher needs of the keyring.
type Ring interface {
	// Active returns the key of that purpose and owner that signs now.
	Active(ctx context.Context, purpose, owner string) (keys.Key, crypto.Signer, error)
	// List returns the keys that match.
	List(ctx context.Context, f keys.Filter) ([]keys.Key, error)
}

// Registry is what the publisher needs of the registry. No agency ever leaves it.
type Registry interface {
	ListAgencies(ctx context.Context) ([]registry.Agency, error)
	ListAuthorities(ctx context.Context) ([]registry.Authority, error)
}

// Statuses is what the publisher needs of the licences.
type Statuses interface {
	// StatusVersion changes whenever Statuses would return something else.
	StatusVersion(ctx context.Context) (int64, error)
	// Statuses returns every list in the order of its number.
	Statuses(ctx context.Context) ([]status.List, error)
}

// The lives of what is published, where Options do not say.
const (
	DefaultBundleLife   = 30 * 24 * time.Hour
	DefaultSnapshotLife = 24 * time.Hour
	DefaultHeadLife     = time.Hour
	DefaultDeltaLife    = 7 * 24 * time.Hour
)

// Options are what New needs. DB, Ring, Registry, Statuses and Root are required.
type Options struct {
	DB       *db.DB
	Ring     Ring
	Owner    string // of the trust-list and status signers' keys; "" means "city"
	Registry Registry
	Types    func() []trust.Type // as they are now; nil means none
	Statuses Statuses
	// Checkpoint returns the log's newest signed note for the head, or nil while
	// there is none. It may itself be nil.
	Checkpoint func(ctx context.Context) ([]byte, error)
	// Root returns the file of the root statement in force and the key of the root
	// that signed it. It is asked at each Publish.
	Root func() (statement []byte, pin crypto.PublicKey)
	// Genuine lists what a permit key signed before a time, for the file of a stolen
	// key's genuine permits. It may be nil: no file is made then.
	Genuine func(ctx context.Context, key string, before time.Time) ([][16]byte, error)
	// DeltaLife is for how long the changes of a snapshot are kept, that deltas are
	// made of. 0 means the default.
	DeltaLife time.Duration
	Dir       string // where the files are also kept; "" means nowhere
	StatusURI string // where verifiers fetch the snapshot that covers a list

	// A bundle is signed anew when two thirds of its life are over, a snapshot and
	// a head when one third is, so that what is fetched is seldom old. 0 means the
	// defaults.
	BundleLife, SnapshotLife, HeadLife time.Duration

	Now        func() time.Time // nil means time.Now
	Logger     *slog.Logger     // nil discards
	Registerer prometheus.Registerer
}

// Publisher publishes for one city. It is safe for concurrent use, also by
// several processes on one database.
type Publisher struct {
	o       Options
	root    atomic.Pointer[rootNow]
	metrics *metrics
	poke    chan struct{}

	publishing     sync.Mutex             // held by Publish
	written        map[kind]uint64        // what is in Dir; under publishing
	writtenGenuine map[[32]byte]bool      // likewise
	writtenRoot    *rootNow               // likewise
	current        map[kind]*atomicObject // never changed; its values are
	deltas         deltaCache
	tokens         tokenCache
}

type atomicObject = atomic.Pointer[object]

// New returns a publisher. It fails when something required is missing or when
// the pinned root did not sign the root statement or that has expired; it panics
// if the metrics are registered already.
func New(o Options) (*Publisher, error) {
	if o.DB == nil || o.Ring == nil || o.Registry == nil || o.Statuses == nil || o.Root == nil {
		return nil, errors.New("new trust publisher: a database, a ring, a registry, statuses and a root are required")
	}
	o.setDefaults()
	p := &Publisher{
		o: o, poke: make(chan struct{}, 1),
		written: map[kind]uint64{}, writtenGenuine: map[[32]byte]bool{},
		current: map[kind]*atomicObject{},
	}
	for _, k := range kinds {
		p.current[k] = new(atomicObject)
	}
	if err := p.openRoot(o.Now()); err != nil {
		return nil, fmt.Errorf("new trust publisher: %w", err)
	}
	p.metrics = newMetrics(o.Registerer, p.age)
	return p, nil
}

func (o *Options) setDefaults() {
	if o.Types == nil {
		o.Types = func() []trust.Type { return nil }
	}
	life := func(d *time.Duration, or time.Duration) {
		if *d == 0 {
			*d = or
		}
	}
	life(&o.BundleLife, DefaultBundleLife)
	life(&o.SnapshotLife, DefaultSnapshotLife)
	life(&o.HeadLife, DefaultHeadLife)
	life(&o.DeltaLife, DefaultDeltaLife)
	if o.Owner == "" {
		o.Owner = "city"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Run publishes what has changed or is ageing, once a second or at a Poke, until
// ctx ends, and returns nil then. A failure is logged, counted and tried again
// after a growing pause of up to a minute. What takes long is done less often, so
// that publishing takes no more than a tenth of the time, pokes or not; but every
// change is taken up within half a minute.
func (p *Publisher) Run(ctx context.Context) error {
	pause := time.Second
	for {
		start := time.Now()
		switch err := p.Publish(ctx); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			pause = min(2*pause, time.Minute)
			p.o.Logger.ErrorContext(ctx, "publish trust", slog.Any("error", err))
		default:
			took := time.Since(start)
			rest := min(9*took, mostPause)
			if pause = min(max(time.Second, 10*took), mostPause) - rest; !sleep(ctx, rest) {
				return nil
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-p.poke:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// mostPause is how long a change may wait for being looked for.
const mostPause = 30 * time.Second

// sleep waits and returns true, or false when ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Poke makes Run look for changes as soon as it may. It never waits.
func (p *Publisher) Poke() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// attempts is how often Publish starts again after another replica was first.
const attempts = 8

// Publish publishes what has changed since it was last published or is ageing:
// the snapshot, the bundle, and then the head, which names both. When it returns
// nil everything is stored and served. It fails where a key is missing or not
// permitted by the root statement, and where what it made does not verify.
func (p *Publisher) Publish(ctx context.Context) error {
	p.publishing.Lock()
	defer p.publishing.Unlock()
	err := errLost
	for n := 0; n < attempts && errors.Is(err, errLost); n++ {
		err = p.publish(ctx)
	}
	err = errors.Join(err, p.write())
	if err != nil {
		p.metrics.failed.Inc()
		return fmt.Errorf("publish trust: %w", err)
	}
	return nil
}

func (p *Publisher) publish(ctx context.Context) error {
	if err := p.load(ctx); err != nil {
		return err
	}
	now := p.o.Now()
	if err := p.openRoot(now); err != nil {
		return err
	}
	for _, one := range []func(context.Context, time.Time) error{p.snapshot, p.bundle, p.head} {
		if err := one(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// rootNow is the root statement in force.
type rootNow struct {
	trust.RootStatement
	file []byte
	pin  crypto.PublicKey
}

// openRoot follows an act of the root. A statement that its root did not sign
// changes nothing.
func (p *Publisher) openRoot(now time.Time) error {
	file, pin := p.o.Root()
	if old := p.root.Load(); old != nil && bytes.Equal(old.file, file) {
		return nil
	}
	s, err := trust.OpenRoot(file, pin, now)
	if err != nil {
		return err
	}
	p.root.Store(&rootNow{s, file, pin})
	return nil
}

// Ready fails until a bundle, a snapshot and a head are being served, and when
// one of them has expired.
func (p *Publisher) Ready(ctx context.Context) error {
	now := p.o.Now().Unix()
	for _, k := range kinds {
		o, err := p.find(ctx, k)
		if err != nil {
			return err
		}
		if now >= o.expires {
			return fmt.Errorf("trust: the %s has expired", k)
		}
	}
	return nil
}

// age returns the seconds since an object was made, 0 if there is none.
func (p *Publisher) age(k kind) float64 {
	o := p.current[k].Load()
	if o == nil {
		return 0
	}
	return float64(p.o.Now().Unix() - o.issued)
}
