package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// each runs f with two opened databases that are one, as two replicas have it.
func each(t *testing.T, f func(t *testing.T, here, there *db.DB)) {
	for engine, url := range map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			at := url(t)
			f(t, open(t, at), open(t, at))
		})
	}
}

func open(t *testing.T, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url, db.Options{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	d.Rehearse()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return d
}

// say commits a change of topic, or undoes it when failure is not nil.
func say(t *testing.T, d *db.DB, topic string, failure error) {
	t.Helper()
	err := d.Update(t.Context(), func(tx db.Tx) error {
		if _, err := tx.ExecContext(t.Context(), `INSERT INTO settings (name, value) VALUES ($1, '')`, db.NewID()); err != nil {
			return err
		}
		if err := db.Notify(t.Context(), tx, topic); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) || failure == nil && err != nil {
		t.Fatal(err)
	}
}

// within reports whether a notice comes in time.
func within(wake <-chan struct{}, most time.Duration) bool {
	select {
	case <-wake:
		return true
	default:
	}
	select {
	case <-wake:
		return true
	case <-time.After(most):
		return false
	}
}

// settle waits for the notice that a watch begins with and for silence after it.
func settle(t *testing.T, wake <-chan struct{}) {
	t.Helper()
	if !within(wake, 5*time.Second) {
		t.Fatal("a watch does not begin")
	}
	for within(wake, 700*time.Millisecond) {
	}
}

func TestNoticeIsHeardElsewhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, here, there *db.DB) {
		mine, theirs := here.Watch(t.Context(), "keys"), there.Watch(t.Context(), "keys")
		second := there.Watch(t.Context(), "keys")
		settle(t, mine)
		settle(t, theirs)
		settle(t, second)
		for range 3 {
			say(t, here, "keys", nil)
			for name, wake := range map[string]<-chan struct{}{"mine": mine, "theirs": theirs, "second": second} {
				if !within(wake, 2*time.Second) {
					t.Errorf("%s was not woken", name)
				}
			}
		}
	})
}

func TestNoticeOfUndoneUpdateIsNotHeard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, here, there *db.DB) {
		wake := there.Watch(t.Context(), "keys")
		settle(t, wake)
		say(t, here, "keys", errors.New("no"))
		if within(wake, 1500*time.Millisecond) {
			t.Error("woken by what did not happen")
		}
		say(t, here, "keys", nil)
		if !within(wake, 2*time.Second) {
			t.Error("not woken afterwards")
		}
	})
}

// TestNoticeIsNotHeardBeforeTheCommit: whoever is woken finds the change.
func TestNoticeIsNotHeardBeforeTheCommit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, here, there *db.DB) {
		wake := there.Watch(t.Context(), "keys")
		settle(t, wake)
		err := here.Update(t.Context(), func(tx db.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO settings (name, value) VALUES ('x', '') ON CONFLICT (name) DO NOTHING`)
			if err == nil {
				err = db.Notify(t.Context(), tx, "keys")
			}
			if within(wake, 600*time.Millisecond) {
				t.Error("woken before the commit")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !within(wake, 2*time.Second) || count(t, there) != 1 {
			t.Error("not woken after the commit")
		}
	})
}

func TestNoticesCoalesce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, here, there *db.DB) {
		wake := there.Watch(t.Context(), "keys")
		settle(t, wake)
		for range 20 { // nobody looks
			say(t, here, "keys", nil)
		}
		time.Sleep(time.Second)
		if !within(wake, 0) || within(wake, 0) {
			t.Error("want one notice for twenty changes that nobody looked at")
		}
	})
}

// TestTopics: PostgreSQL wakes those whom it concerns; SQLite everybody.
func TestTopics(t *testing.T) {
	t.Parallel()
	d := open(t, testkit.PostgresURL(t))
	keys, other := d.Watch(t.Context(), "keys"), d.Watch(t.Context(), "other")
	settle(t, keys)
	settle(t, other)
	say(t, d, "keys", nil)
	if !within(keys, 2*time.Second) {
		t.Error("not woken")
	}
	if within(other, 300*time.Millisecond) {
		t.Error("woken by another topic")
	}
	for _, topic := range []string{"", strings.Repeat("x", 65), strings.Repeat("x", 9000)} {
		err := d.Update(t.Context(), func(tx db.Tx) error { return db.Notify(t.Context(), tx, topic) })
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("topic of %d bytes: %v", len(topic), err)
		}
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, here, other *db.DB) {
		there, err := db.Open(t.Context(), other.URL(), db.Options{}) // closed below
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		gone, stays := there.Watch(ctx, "keys"), there.Watch(t.Context(), "keys")
		settle(t, gone)
		settle(t, stays)
		stop()
		time.Sleep(50 * time.Millisecond)
		say(t, here, "keys", nil)
		if !within(stays, 2*time.Second) {
			t.Error("the other watcher is not woken")
		}
		if within(gone, 0) {
			t.Error("woken after its end")
		}
		if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		say(t, here, "keys", nil)
		after := there.Watch(t.Context(), "keys") // must neither panic nor begin
		if within(stays, 700*time.Millisecond) || within(after, 0) {
			t.Error("woken by a closed database")
		}
	})
}

// TestWatchBeginsAgain: the last watcher ends the listener, the next begins one.
func TestWatchBeginsAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, here, there *db.DB) {
		for range 3 {
			ctx, stop := context.WithCancel(t.Context())
			wake := there.Watch(ctx, "keys")
			settle(t, wake)
			say(t, here, "keys", nil)
			if !within(wake, 2*time.Second) {
				t.Error("not woken")
			}
			stop()
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// TestListenerComesBack kills the connection that listens.
func TestListenerComesBack(t *testing.T) {
	t.Parallel()
	at := testkit.PostgresURL(t)
	here, there := open(t, at), open(t, at)
	wake := there.Watch(t.Context(), "keys")
	settle(t, wake)
	for range 2 {
		if n := terminate(t, here); n != 1 {
			t.Fatalf("%d listening connections, want 1 for a database with watchers", n)
		}
		if !within(wake, 5*time.Second) { // what was said meanwhile is lost
			t.Fatal("nobody was woken after the connection was lost")
		}
		say(t, here, "keys", nil)
		if !within(wake, 2*time.Second) {
			t.Fatal("not woken over the new connection")
		}
	}
}

// terminate kills the listening connections and returns how many they were.
func terminate(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Update(t.Context(), func(tx db.Tx) error {
		var now int
		err := tx.QueryRowContext(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND query = 'LISTEN signet'`).Scan(&now)
		n = max(n, now) // the rehearsal did it
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNoListenerWithoutWatchers: a connection is taken only while it is of use.
func TestNoListenerWithoutWatchers(t *testing.T) {
	t.Parallel()
	d := open(t, testkit.PostgresURL(t))
	listening := func() (n int) {
		err := d.Read(t.Context(), func(tx db.Tx) error {
			return tx.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND query = 'LISTEN signet'`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ctx, stop := context.WithCancel(t.Context())
	settle(t, d.Watch(ctx, "keys"))
	for i := range 3 {
		d.Watch(ctx, fmt.Sprint("topic ", i))
	}
	if n := listening(); n != 1 {
		t.Errorf("%d connections for four topics", n)
	}
	stop()
	for end := time.Now().Add(5 * time.Second); listening() != 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection stays")
		}
	}
}
