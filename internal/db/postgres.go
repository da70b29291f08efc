package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/signet-city/signet/internal/fault"
)

const attempts = 4 // of a transaction that PostgreSQL chose as a deadlock's victim

func openPostgres(url string, o Options) (*sql.DB, error) {
	cfg, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	pool := stdlib.OpenDB(*cfg)
	most := o.MaxConns
	if most == 0 {
		most = 16
	}
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(most)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return pool, nil
}

func parsePostgres(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fault.New(fault.Invalid, "database: the postgres URL cannot be parsed")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "signet"
	}
	return cfg, nil
}

// readPostgres runs f on one snapshot.
func (d *DB) readPostgres(ctx context.Context, f func(Tx) error) error {
	tx, err := d.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return wrapPostgres("begin read", err)
	}
	defer func() { _ = tx.Rollback() }()
	return wrapPostgres("", f(tx))
}

// updatePostgres runs f at read committed: constraints, ON CONFLICT and
// compare-and-swap carry the rules.
func (d *DB) updatePostgres(ctx context.Context, f func(Tx) error) error {
	var err error
	for range attempts {
		if err = d.tryPostgres(ctx, f); !isDeadlock(err) {
			return err
		}
	}
	return fault.Wrap(fault.Unavailable, "the database is busy", err)
}

func (d *DB) tryPostgres(ctx context.Context, f func(Tx) error) error {
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return wrapPostgres("begin update", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return wrapPostgres("", err)
	}
	return wrapPostgres("commit", tx.Commit())
}

func isDeadlock(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

func isUniquePostgres(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505"
}

// wrapPostgres turns a lost or refused connection into a fault of kind
// Unavailable; an error that the server answered stays what it is, except when
// the server says that it is going away or full.
func wrapPostgres(operation string, err error) error {
	if err == nil {
		return nil
	}
	var e *pgconn.PgError
	var n net.Error
	var c *pgconn.ConnectError
	away := errors.As(err, &c) || errors.Is(err, sql.ErrConnDone) || errors.As(err, &n) || pgconn.SafeToRetry(err)
	if errors.As(err, &e) {
		away = len(e.Code) == 5 && (e.Code[:2] == "57" || e.Code[:2] == "53" || e.Code[:2] == "08")
	}
	if away && !errors.Is(err, context.Canceled) {
		return fault.Wrap(fault.Unavailable, "the database does not answer", err)
	}
	if operation == "" {
		return err
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// silence is how long a listening connection is believed without a word from
// the server.
const silence = 20 * time.Second

// listenPostgres hears notices on a connection beside the pool, which would be
// one short for ever. It wakes everybody once it listens: what was said before
// is lost.
func listenPostgres(ctx context.Context, url string, n *notices) (err error) {
	cfg, err := parsePostgres(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		over, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(over)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	n.wakeEverybody()
	for {
		topic, err := hear(ctx, conn)
		if err != nil {
			return err
		}
		if topic != "" {
			n.wake(topic)
		}
	}
}

// hear returns the next notice's topic, or "" after a silence in which the
// server proved to be there. The network does not tell that it has gone.
func hear(ctx context.Context, conn *pgx.Conn) (topic string, err error) {
	quiet, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	notice, err := conn.WaitForNotification(quiet)
	if err == nil {
		return notice.Payload, nil
	}
	if quiet.Err() == nil || ctx.Err() != nil || conn.IsClosed() {
		return "", err
	}
	answer, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return "", conn.Ping(answer)
}
