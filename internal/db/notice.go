package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

const (
	channel    = "signet"               // PostgreSQL's name for all notices
	lookEvery  = 500 * time.Millisecond // at SQLite's counter of commits
	firstPause = 100 * time.Millisecond // after a failure; it doubles
	mostPause  = 5 * time.Second
	maxTopic   = 64
)

// Notify tells whoever watches topic, in every process, that this transaction
// changed what the topic stands for. Nobody hears of it before the commit, or at
// all when the transaction is undone. It is for rare changes: PostgreSQL commits
// transactions with notices one after the other. It fails with kind Invalid for
// a topic that is empty or longer than 64 bytes.
func Notify(ctx context.Context, tx Tx, topic string) error {
	if topic == "" || len(topic) > maxTopic {
		return fmt.Errorf("notify: %w", fault.New(fault.Invalid, "a topic has 1 to 64 bytes"))
	}
	if _, sqlite := tx.(*liveTx); sqlite {
		return nil // watchers see that something was committed
	}
	if _, err := tx.ExecContext(ctx, `SELECT pg_notify($1, $2)`, channel, topic); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// Watch returns a channel that receives once something may have happened to
// topic since the last time, until ctx or the database ends; it is never closed.
// Several notices become one, and there are some without a cause: on SQLite any
// commit wakes every topic, on PostgreSQL so does a connection that was lost and
// is back. A notice arrives within a second, but none is certain to: watchers
// poll besides, at their leisure.
func (d *DB) Watch(ctx context.Context, topic string) <-chan struct{} {
	wake := make(chan struct{}, 1)
	d.notices.add(topic, wake, d.listener())
	context.AfterFunc(ctx, func() { d.notices.remove(topic, wake) })
	return wake
}

// listener returns what hears of commits until its context ends or it fails.
func (d *DB) listener() listener {
	one := func(ctx context.Context) error { return listenPostgres(ctx, d.url, &d.notices) }
	if d.engine == SQLite {
		one = func(ctx context.Context) error { return pollSQLite(ctx, d.url, &d.notices) }
	}
	return func(ctx context.Context) { persist(ctx, d.log, one) }
}

type listener func(ctx context.Context)

// notices is who watches what in this process. One listener serves all topics,
// while there are any.
type notices struct {
	mu       sync.Mutex // guards all of it
	watchers map[string]map[chan struct{}]bool
	stop     context.CancelFunc // of the listener; nil while there is none
	ended    sync.WaitGroup
	closed   bool
}

func (n *notices) add(topic string, wake chan struct{}, listen listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	if n.watchers == nil {
		n.watchers = map[string]map[chan struct{}]bool{}
	}
	if n.watchers[topic] == nil {
		n.watchers[topic] = map[chan struct{}]bool{}
	}
	n.watchers[topic][wake] = true
	if n.stop == nil {
		var ctx context.Context
		ctx, n.stop = context.WithCancel(context.Background())
		n.ended.Go(func() { listen(ctx) })
	}
}

func (n *notices) remove(topic string, wake chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.watchers[topic], wake)
	if len(n.watchers[topic]) == 0 {
		delete(n.watchers, topic)
	}
	if len(n.watchers) == 0 && n.stop != nil {
		n.stop()
		n.stop = nil
	}
}

// close ends the listener and waits for it.
func (n *notices) close() {
	n.mu.Lock()
	n.closed = true
	if n.stop != nil {
		n.stop()
	}
	n.mu.Unlock()
	n.ended.Wait()
}

// wake wakes the watchers of a topic.
func (n *notices) wake(topic string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wakeAll(n.watchers[topic])
}

// wakeEverybody is for when it is not known what happened.
func (n *notices) wakeEverybody() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, list := range n.watchers {
		wakeAll(list)
	}
}

func wakeAll(list map[chan struct{}]bool) {
	for wake := range list {
		select {
		case wake <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// persist calls listen again and again until ctx ends. The pause between two
// grows while it fails at once.
func persist(ctx context.Context, log *slog.Logger, listen func(context.Context) error) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > mostPause {
			pause = firstPause
		}
		log.WarnContext(ctx, "change notices interrupted", slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}

// pollSQLite looks at the counter that SQLite raises in a connection when
// another one, of whatever process, has committed. The connection is its own:
// the counter is not comparable between two.
func pollSQLite(ctx context.Context, url string, n *notices) (err error) {
	_, path, err := split(url)
	if err != nil {
		return err
	}
	pool, err := sql.Open("sqlite", dsn(path, "rw", "query_only(1)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for seen := int64(-1); ; {
		var version int64
		if err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
			return err
		}
		if version != seen { // the first time, for what was committed while nobody looked
			n.wakeEverybody()
		}
		seen = version
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
