package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/signet-city/signet/internal/fault"
)

// Migrations come in two dialects with equal numbers: a test compares them.
//
//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// Migrate brings the schema to the newest version that this program knows. Two
// replicas that do it at once wait for each other.
func (d *DB) Migrate(ctx context.Context) error {
	return d.withProvider(func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// CheckSchema fails with kind Unavailable when the schema is older than this
// program. A newer one is fine: each schema serves the previous program.
func (d *DB) CheckSchema(ctx context.Context) error {
	return d.withProvider(func(p *goose.Provider) error {
		have, want, err := p.GetVersions(ctx)
		if err != nil {
			return err
		}
		if have < want {
			return fault.New(fault.Unavailable,
				fmt.Sprintf("the schema is at version %d, this program needs %d: run signet migrate", have, want))
		}
		return nil
	})
}

func (d *DB) withProvider(f func(*goose.Provider) error) error {
	dir, err := fs.Sub(migrations, "migrations/"+d.engine)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	pool, dialect, opts, err := d.migrationPool()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() { _ = pool.Close() }()
	p, err := goose.NewProvider(dialect, pool, dir, append(opts,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := f(p); err != nil {
		return fmt.Errorf("migrate: %w", d.wrap("", err))
	}
	return nil
}

// migrationPool opens a pool of its own, since the reading one may not write and
// the writer belongs to Update.
func (d *DB) migrationPool() (*sql.DB, goose.Dialect, []goose.ProviderOption, error) {
	if d.engine == PostgreSQL {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, "", nil, err
		}
		pool, err := openPostgres(d.url, Options{})
		return pool, goose.DialectPostgres, []goose.ProviderOption{goose.WithSessionLocker(locker)}, err
	}
	_, path, err := split(d.url)
	if err != nil {
		return nil, "", nil, err
	}
	pool, err := sql.Open("sqlite", dsn(path, "rw", "synchronous(FULL)"))
	if err == nil {
		pool.SetMaxOpenConns(1)
	}
	return pool, goose.DialectSQLite3, nil, err
}
