// Package db keeps Signet's state in SQLite or PostgreSQL behind two methods,
// Read and Update.
//
// It owns the drivers, the connection pools, the schema and the durability
// promise: when Update returns nil, what the function wrote survives kill -9 and
// power loss. On SQLite one writer groups the commits of many callers; on
// PostgreSQL every caller has a transaction of its own at read committed. Both
// run the same query text with $1 placeholders, RETURNING and ON CONFLICT.
//
// It refuses to create a database or to change a schema unless asked by Create
// and Migrate.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// Tx is what a function given to Read or Update may use. It is dead once that
// function has returned.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// The two engines, as Engine returns them.
const (
	SQLite     = "sqlite"
	PostgreSQL = "postgres"
)

// Options are the optional settings of Open. Zero values work.
type Options struct {
	MaxConns int           // PostgreSQL connections; 0 means 16
	Hold     time.Duration // longest an Update may hold SQLite's writer; 0 means 30 s
	Logger   *slog.Logger  // nil discards
}

// DB is an open database, safe for concurrent use.
type DB struct {
	engine  string
	url     string
	pool    *sql.DB  // PostgreSQL's connections, and SQLite's that read
	readers *readers // SQLite only
	writer  *writer  // SQLite only
	log     *slog.Logger
	twice   bool // testkit: run every Update function once more, see Rehearse

	notices notices
}

// Create makes an empty SQLite database readable by its owner alone. For
// PostgreSQL it only checks that the server answers, since databases are made by
// its administrator. It fails if the file exists.
func Create(ctx context.Context, url string) error {
	engine, rest, err := split(url)
	if err != nil {
		return err
	}
	if engine == PostgreSQL {
		d, err := openPostgres(url, Options{})
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		return wrapPostgres("create database", d.PingContext(ctx))
	}
	if err := os.MkdirAll(filepath.Dir(rest), 0o700); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	f, err := os.OpenFile(rest, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return f.Close()
}

// Open opens an existing database given as sqlite:PATH or postgres://…. It
// fails if the database is not there; it does not look at the schema.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	engine, rest, err := split(url)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &DB{engine: engine, url: url, log: o.Logger}
	if engine == SQLite {
		if d.pool, d.writer, err = openSQLite(ctx, rest, o); err == nil {
			d.readers = newReaders(d.pool)
		}
	} else {
		d.pool, err = openPostgres(url, o)
	}
	if err != nil {
		return nil, err
	}
	if err := d.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), d.Close())
	}
	return d, nil
}

func split(url string) (engine, rest string, err error) {
	switch scheme, rest, _ := strings.Cut(url, ":"); scheme {
	case "sqlite":
		if rest == "" || strings.ContainsAny(rest, "?#\x00") {
			return "", "", fault.New(fault.Invalid, "database: sqlite:PATH needs a plain path")
		}
		return SQLite, rest, nil
	case "postgres", "postgresql":
		return PostgreSQL, rest, nil
	default:
		return "", "", fault.New(fault.Invalid, "database: want sqlite:PATH or postgres://…")
	}
}

// Engine returns SQLite or PostgreSQL.
func (d *DB) Engine() string { return d.engine }

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return d.wrap("ping", d.pool.PingContext(ctx)) }

// Close waits for running updates and closes every connection.
func (d *DB) Close() error {
	d.notices.close()
	var err error
	if d.writer != nil {
		err = d.writer.close()
	}
	if d.readers != nil {
		return errors.Join(err, d.readers.close())
	}
	return errors.Join(err, d.pool.Close())
}

// Read calls f with a read-only transaction that sees one state of the database.
func (d *DB) Read(ctx context.Context, f func(Tx) error) error {
	if d.readers != nil {
		return d.readers.read(ctx, f)
	}
	return d.readPostgres(ctx, f)
}

// Update calls f with a transaction and commits it when f returns nil: what it
// wrote is then durable. When f fails nothing of it remains.
//
// f may run twice, so it changes nothing but the database and variables that it
// sets anew each time. It does not sign, hash much, wait for a network or call
// Update: on SQLite it holds the only writer, and one that holds it for longer
// than Options.Hold is undone. After a statement has failed, f returns: a
// PostgreSQL transaction is aborted by then.
//
// An error of kind Unavailable may hide a commit that happened: the caller's
// idempotency key makes the repetition safe.
func (d *DB) Update(ctx context.Context, f func(Tx) error) error {
	if d.twice {
		f = rehearsed(f)
	}
	if d.writer != nil {
		return d.writer.update(ctx, f)
	}
	return d.updatePostgres(ctx, f)
}

// Rehearse makes every later Update run its function twice in the same
// transaction, the first time undone. Tests use it to find functions that cannot
// bear that.
func (d *DB) Rehearse() { d.twice = true }

func rehearsed(f func(Tx) error) func(Tx) error {
	return func(tx Tx) error {
		ctx := context.Background()
		if _, err := tx.ExecContext(ctx, "SAVEPOINT rehearsal"); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT rehearsal"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT rehearsal"); err != nil {
			return err
		}
		return f(tx)
	}
}

// wrap gives errors of a lost PostgreSQL connection their kind.
func (d *DB) wrap(operation string, err error) error {
	if d.engine == PostgreSQL {
		return wrapPostgres(operation, err)
	}
	if err == nil || operation == "" {
		return err
	}
	return fmt.Errorf("%s: %w", operation, err)
}
