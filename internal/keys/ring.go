package keys

import (
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
	"github.com/signet-city/signet/internal/fault"
)

// pollEvery is how far a replica may lag behind.
const pollEvery = time.Second

// Options are what Open needs. DB and KEK are required.
type Options struct {
	DB         *db.DB
	KEK        []byte        // 32 bytes, see LoadKEK; not kept
	PKCS11     *PKCS11Config // nil: no keys on a token
	Concurrent int           // signatures that the token is asked for at once, at most 32; 0 means 4

	// NextKEK returns the key-encryption key that may follow, nil for none. It is
	// called by Rewrap, and when the keyring turns out to be under another key
	// than the one in use, for as long as that lasts. It may be nil.
	NextKEK func() ([]byte, error)

	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Ring holds the keys of one city, safe for concurrent use.
type Ring struct {
	db      *db.DB
	kek     atomic.Pointer[kek] // replaced by Refresh and Rewrap, under refresh
	next    func() ([]byte, error)
	token   token // nil without PKCS#11
	gate    gate  // of the token
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics

	refresh sync.Mutex // held while a snapshot is read and stored, so that none goes back
	closed  bool       // guarded by refresh
	current atomic.Pointer[snapshot]
}

var errClosed = fault.New(fault.Unavailable, "the keyring is closed")

// Open opens the keyring in a migrated database and reads it into memory. It
// fails with kind Invalid when the KEK is not the one that the keyring was made
// with, nor NextKEK, when PKCS#11 is asked for and this program was built without it, and
// when the token refuses the PIN. A key whose stored bytes were changed, and a
// token that is away, are logged: such keys fail when used, the others serve.
func Open(ctx context.Context, o Options) (*Ring, error) {
	if o.DB == nil {
		return nil, errors.New("open keyring: a database is required")
	}
	k, err := newKEK(o.KEK)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	if o.Concurrent < 0 || o.Concurrent > maxConcurrent {
		return nil, fmt.Errorf("open keyring: %w", fault.New(fault.Invalid, "a token is asked for 1 to 32 signatures at once"))
	}
	if o.Concurrent == 0 {
		o.Concurrent = concurrentDefault
	}
	r := &Ring{db: o.DB, next: o.NextKEK, gate: make(gate, o.Concurrent), now: o.Now, log: o.Logger, metrics: newMetrics(o.Registerer)}
	r.kek.Store(k)
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if o.PKCS11 != nil {
		if r.token, err = openToken(ctx, *o.PKCS11, r.log); err != nil {
			return nil, fmt.Errorf("open keyring: %w", err)
		}
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open keyring: %w", err), r.Close())
	}
	return r, nil
}

// Close forgets the private keys, so that every signer fails from now on, and
// leaves the token.
func (r *Ring) Close() error {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	r.closed = true
	if s := r.current.Swap(&snapshot{version: -1}); s != nil {
		for _, e := range s.byID {
			e.signer.drop(errClosed)
		}
	}
	if r.token == nil {
		return nil
	}
	return r.token.close()
}

// Active returns the key that signs for a purpose and owner, and its signer. It
// reads memory only. It fails with kind Unavailable when there is none or it is
// paused. The certificate in the key belongs to the ring.
func (r *Ring) Active(_ context.Context, purpose, owner string) (Key, crypto.Signer, error) {
	e := r.current.Load().active[Place{purpose, owner}]
	if e == nil {
		return Key{}, nil, fmt.Errorf("find active key: %w",
			fault.New(fault.Unavailable, "there is no active "+purpose+" key of "+owner))
	}
	if err := e.signer.usable(); err != nil {
		return Key{}, nil, err
	}
	return e.key, e.signer, nil
}

// Signer returns the signer of one key: for a staged one to request its
// certificate, for a retiring one to finish what is its own. It fails with kind
// NotFound for an unknown id, Conflict for a key that is retired or compromised,
// and Unavailable for one that is paused. A signer obtained earlier fails from the moment that the ring
// learns of that.
func (r *Ring) Signer(ctx context.Context, id string) (crypto.Signer, error) {
	e := r.current.Load().byID[id]
	if e == nil { // made by another replica just now?
		if err := r.Refresh(ctx); err != nil {
			return nil, err
		}
		if e = r.current.Load().byID[id]; e == nil {
			return nil, errNoKey
		}
	}
	if err := e.signer.usable(); err != nil {
		return nil, err
	}
	return e.signer, nil
}

// Refresh follows what this or another replica has changed, if anything. It
// fails with kind Invalid when the keyring was rewrapped under a key-encryption
// key that NextKEK does not return: the ring then still learns of every state,
// and signs with what it has decrypted.
func (r *Ring) Refresh(ctx context.Context) error {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	if r.closed {
		return fmt.Errorf("refresh keyring: %w", errClosed)
	}
	old := r.current.Load()
	var c contents
	err := r.db.Read(ctx, func(tx db.Tx) (err error) {
		c, err = readContents(ctx, tx, old)
		return err
	})
	if err != nil {
		return fmt.Errorf("refresh keyring: %w", err)
	}
	k, wrong := r.kekFor(ctx, c.check)
	if wrong != nil {
		wrong = fmt.Errorf("refresh keyring: %w", wrong)
	}
	if wrong == nil {
		r.kek.Store(k)
	}
	if !c.changed || (wrong != nil && old == nil) {
		return wrong
	}
	next := r.build(ctx, c, old, k)
	r.current.Store(next)
	r.metrics.count(next)
	return wrong
}

// follow refreshes after a committed change. A failure is not the change's: Run
// makes up for it.
func (r *Ring) follow(ctx context.Context) {
	if err := r.Refresh(context.WithoutCancel(ctx)); err != nil {
		r.log.ErrorContext(ctx, "keyring not refreshed", slog.Any("error", err))
	}
}

// Run keeps the ring up to date until ctx ends, and destroys on the token what
// was retired while it was away.
func (r *Ring) Run(ctx context.Context) error {
	notices := r.db.Watch(ctx, topic)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var failing bool
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-notices:
		case <-tick.C:
		}
		err := errors.Join(r.Refresh(ctx), r.destroyRetired(ctx))
		if err != nil && !failing && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "keyring not refreshed", slog.Any("error", err))
		}
		if err == nil && failing {
			r.log.InfoContext(ctx, "keyring refreshed again")
		}
		failing = err != nil
	}
}
