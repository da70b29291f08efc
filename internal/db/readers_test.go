package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// TestReadInRows: a query may be made again while its rows are being read, with other
// arguments, in one transaction and in the next on the same connection.
func TestReadInRows(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		if d.Engine() == db.PostgreSQL {
			t.Skip("a PostgreSQL connection reads the rows of one query at a time")
		}
		for i := range 6 {
			if err := put(t, d, fmt.Sprint("n", i), ""); err != nil {
				t.Fatal(err)
			}
		}
		const q = "SELECT name FROM settings WHERE name > $1 ORDER BY name"
		var walk func(tx db.Tx, after string) (int, error)
		walk = func(tx db.Tx, after string) (n int, err error) {
			rows, err := tx.QueryContext(t.Context(), q, after)
			if err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, rows.Close(), rows.Err()) }()
			for rows.Next() {
				var name, first string
				if err := rows.Scan(&name); err != nil {
					return 0, err
				}
				if err := tx.QueryRowContext(t.Context(), q, "n").Scan(&first); err != nil || first != "n0" {
					return 0, fmt.Errorf("first is %q: %w", first, err)
				}
				below, err := walk(tx, name)
				if err != nil {
					return 0, err
				}
				n += 1 + below
			}
			return n, nil
		}
		for range 3 {
			err := d.Read(t.Context(), func(tx db.Tx) error {
				n, err := walk(tx, "")
				if err == nil && n != 63 { // every set of names but the empty one
					err = fmt.Errorf("walked over %d", n)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestManyReadsAndStatements: more readers than connections, and more queries than are
// kept, while others write.
func TestManyReadsAndStatements(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				for j := range 30 {
					name := fmt.Sprint(i, "/", j)
					if err := put(t, d, name, "v"); err != nil {
						t.Error(err)
						return
					}
					err := d.Read(t.Context(), func(tx db.Tx) error {
						var got string
						rows, err := tx.QueryContext(t.Context(), "SELECT name FROM settings WHERE value = 'v'")
						if err != nil {
							return err
						}
						if !rows.Next() {
							return errors.Join(errors.New("no row"), rows.Close())
						}
						if err := rows.Close(); err != nil {
							return err
						}
						return tx.QueryRowContext(t.Context(), fmt.Sprintf("SELECT value FROM settings WHERE name = $1 -- %d", i*30+j), name).Scan(&got)
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if n := count(t, d); n != 24*30 {
			t.Errorf("%d rows", n)
		}
	})
}

// TestReadsEndAndTheirConnectionsServeOthers: whatever ended a read, those after it
// see what was committed meanwhile.
func TestReadsEndAndTheirConnectionsServeOthers(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		const slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000000) SELECT count(*) FROM c"
		wanted := errors.New("no")
		for i := range 20 { // more than there are connections
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			began := time.Now()
			err := d.Read(ctx, func(tx db.Tx) error {
				var n int
				return tx.QueryRowContext(ctx, slow).Scan(&n)
			})
			cancel()
			if err == nil || time.Since(began) > 10*time.Second {
				t.Fatalf("a read whose caller left: %v after %v", err, time.Since(began))
			}
			if err := d.Read(t.Context(), func(db.Tx) error { return wanted }); !errors.Is(err, wanted) {
				t.Fatal(err)
			}
			func() {
				defer func() { _ = recover() }()
				_ = d.Read(t.Context(), func(tx db.Tx) error {
					var n int
					_ = tx.QueryRowContext(t.Context(), "SELECT count(*) FROM settings").Scan(&n)
					panic("boom")
				})
			}()
			if err := put(t, d, fmt.Sprint(i), ""); err != nil {
				t.Fatal(err)
			}
			if n := count(t, d); n != i+1 {
				t.Fatalf("%d rows, want %d", n, i+1)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		err := d.Read(gone, func(db.Tx) error { t.Error("ran for somebody who had left"); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a read for somebody who had left: %v", err)
		}
	})
}

// TestReadAfterClose: who is reading is not cut off in a way that hangs, and nobody reads
// afterwards.
func TestReadAfterClose(t *testing.T) {
	for engine, url := range map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			d, err := db.Open(t.Context(), url(t), db.Options{})
			if err != nil {
				t.Fatal(err)
			}
			inside, over := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				err := d.Read(t.Context(), func(tx db.Tx) error {
					close(inside)
					<-over
					var n int
					return tx.QueryRowContext(t.Context(), "SELECT count(*) FROM settings").Scan(&n)
				})
				t.Log("the read that was under way:", err)
			})
			<-inside
			wg.Go(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(50 * time.Millisecond)
			close(over)
			wg.Wait()
			if err := d.Read(t.Context(), func(db.Tx) error { return nil }); err == nil {
				t.Error("a closed database was read")
			}
		})
	}
}
