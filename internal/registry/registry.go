// Package registry knows who exists in the city: agencies at two levels and what
// they may issue, people, firms and operators.
//
// It owns the rules for the two numbers that everything hangs on, the unified
// social credit code (GB 32100-2015) and the resident number (GB 11643-1999), and
// it checks them on entry. A person is (kind, number); numbers and names are
// encrypted at rest through a Sealer and found by a keyed hash, so neither the
// database nor a log nor an error ever holds them in clear. The hash's key rotates
// while the service runs, see Index and Reindex. Every change commits
// together with its audit event. Repeating a change is harmless; asking for
// something else under the same key is a conflict.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Sealer encrypts what is personal and makes it findable. The keyring provides it.
type Sealer interface {
	// Seal encrypts plaintext, bound to aad.
	Seal(ctx context.Context, plaintext, aad []byte) ([]byte, error)
	// Open decrypts what Seal returned; it fails if either argument was changed.
	Open(ctx context.Context, sealed, aad []byte) ([]byte, error)
	// Lookups returns a keyed hash of value under each generation of its secret that
	// there is: the current one first, under which rows are written. Labels keep
	// uses apart.
	Lookups(ctx context.Context, label string, value []byte) ([][]byte, error)
}

// Options are what New needs. DB and Sealer are required.
type Options struct {
	DB     *db.DB
	Sealer Sealer
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil discards
}

// Registry is the register of one city, safe for concurrent use.
type Registry struct {
	db     *db.DB
	sealer Sealer
	now    func() time.Time
	log    *slog.Logger

	reload  sync.Mutex // held while a view is loaded
	view    atomic.Pointer[view]
	changes atomic.Int64 // our own committed changes to what a view holds
}

// New returns the registry kept in o.DB. It fails when something required is
// missing.
func New(o Options) (*Registry, error) {
	if o.DB == nil || o.Sealer == nil {
		return nil, errors.New("new registry: a database and a sealer are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Registry{db: o.DB, sealer: o.Sealer, now: o.Now, log: o.Logger}, nil
}

// insert runs an INSERT … ON CONFLICT DO NOTHING and reports whether it wrote a
// row. When it did, the event commits with it.
func insert(ctx context.Context, tx db.Tx, event audit.Event, query string, args ...any) (bool, error) {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	if err != nil || n == 0 {
		return false, err
	}
	_, err = audit.Append(ctx, tx, event)
	return err == nil, err
}

// conflict says that key is taken by something that differs.
func conflict(what string) error {
	return fault.New(fault.Conflict, what+" is registered already, with other particulars")
}

// wrap adds the operation to an error, once.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
