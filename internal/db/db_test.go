package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func put(t testing.TB, d *db.DB, name, value string) error {
	return d.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), "INSERT INTO settings (name, value) VALUES ($1, $2)", name, value)
		return err
	})
}

func count(t testing.TB, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), "SELECT count(*) FROM settings").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestUpdateCommitsOrLeavesNothing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		if err := put(t, d, "a", "1"); err != nil {
			t.Fatal(err)
		}
		wanted := errors.New("no")
		err := d.Update(t.Context(), func(tx db.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "INSERT INTO settings (name, value) VALUES ('b', '2')"); err != nil {
				return err
			}
			return wanted
		})
		if !errors.Is(err, wanted) {
			t.Fatalf("Update returned %v, want the function's error", err)
		}
		if n := count(t, d); n != 1 {
			t.Fatalf("%d rows, want 1", n)
		}
	})
}

func TestUniqueViolationIsNamedAndHarmsNobodyElse(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		if err := put(t, d, "a", "1"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 40)
		for i := range errs {
			wg.Go(func() {
				name := "a" // taken
				if i%2 == 0 {
					name = fmt.Sprint("b", i)
				}
				errs[i] = put(t, d, name, "2")
			})
		}
		wg.Wait()
		for i, err := range errs {
			if i%2 == 0 && err != nil || i%2 == 1 && !db.IsUnique(err) {
				t.Errorf("caller %d: %v", i, err)
			}
		}
		if n := count(t, d); n != 21 {
			t.Errorf("%d rows, want 21", n)
		}
	})
}

// TestLoserReadsTheWinner: of callers who compare and swap, those who lost find what they
// lost to as soon as they are told, also where one COMMIT answers them all.
func TestLoserReadsTheWinner(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		lost := errors.New("lost")
		for round := range 25 {
			name := fmt.Sprint("prize", round)
			if err := put(t, d, name, "free"); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 12 {
				wg.Go(func() {
					err := d.Update(t.Context(), func(tx db.Tx) error {
						ok, err := db.Changed(tx.ExecContext(t.Context(), "UPDATE settings SET value = 'taken' WHERE name = $1 AND value = 'free'", name))
						if err == nil && !ok {
							err = lost
						}
						return err
					})
					if err == nil {
						return
					}
					var value string
					read := d.Read(t.Context(), func(tx db.Tx) error {
						return tx.QueryRowContext(t.Context(), "SELECT value FROM settings WHERE name = $1", name).Scan(&value)
					})
					if !errors.Is(err, lost) || read != nil || value != "taken" {
						t.Errorf("%v, and it is %s, %v", err, value, read)
					}
				})
			}
			wg.Wait()
		}
	})
}

func TestPanicAndGoexitUndoAndRelease(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		insert := func(tx db.Tx) {
			if _, err := tx.ExecContext(context.Background(), "INSERT INTO settings (name, value) VALUES ('x', '')"); err != nil {
				t.Error(err)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = d.Update(t.Context(), func(tx db.Tx) error { insert(tx); panic("boom") })
		})
		wg.Go(func() {
			_ = d.Update(t.Context(), func(tx db.Tx) error { insert(tx); runtime.Goexit(); return nil })
		})
		wg.Wait()
		if err := put(t, d, "after", ""); err != nil {
			t.Fatalf("the writer is stuck: %v", err)
		}
		if n := count(t, d); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestReadSeesOneStateAndCannotWrite(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Read(t.Context(), func(tx db.Tx) error {
			var before, after int
			const q = "SELECT count(*) FROM settings"
			if err := tx.QueryRowContext(t.Context(), q).Scan(&before); err != nil {
				return err
			}
			if err := put(t, d, "meanwhile", ""); err != nil {
				return err
			}
			if err := tx.QueryRowContext(t.Context(), q).Scan(&after); err != nil {
				return err
			}
			if before != after {
				t.Errorf("a read saw %d rows, then %d", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Read(t.Context(), func(tx db.Tx) error {
			_, err := tx.ExecContext(t.Context(), "DELETE FROM settings")
			return err
		})
		if err == nil || count(t, d) != 1 {
			t.Errorf("a read deleted rows (error %v)", err)
		}
	})
}

func TestTransactionIsDeadAfterItsFunction(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		var kept db.Tx
		if err := d.Update(t.Context(), func(tx db.Tx) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := kept.ExecContext(t.Context(), "DELETE FROM settings"); err == nil {
			t.Error("a statement ran after the end")
		}
		var n int
		if err := kept.QueryRowContext(t.Context(), "SELECT 1").Scan(&n); err == nil {
			t.Error("a query ran after the end")
		}
	})
}

func TestNestedUpdateFailsInsteadOfHanging(t *testing.T) {
	d, err := db.Open(t.Context(), testkit.SQLiteURL(t), db.Options{Hold: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	err = d.Update(t.Context(), func(tx db.Tx) error {
		if err := put(t, d, "inner", ""); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), "INSERT INTO settings (name, value) VALUES ('outer', '')")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "held the writer") {
		t.Fatalf("nested Update: %v", err)
	}
	if n := count(t, d); n != 1 {
		t.Errorf("%d rows, want the inner one alone", n)
	}
}

func TestCancelledCallerDoesNotUndoItsNeighbours(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		acknowledged := 0
		for i := range 60 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%3 == 0 {
					go cancel()
				}
				err := d.Update(ctx, func(tx db.Tx) error {
					_, err := tx.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES ($1, '')", fmt.Sprint("k", i))
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					acknowledged++
				} else if i%3 != 0 {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n := count(t, d); n < acknowledged {
			t.Errorf("%d rows, %d acknowledged", n, acknowledged)
		}
	})
}

func TestOpenRefusesWhatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	if _, err := db.Open(t.Context(), "sqlite:"+path, db.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of a missing file: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("Open made the file")
	}
	for _, url := range []string{"", "sqlite:", "mysql://x", "sqlite:a?mode=memory"} {
		if _, err := db.Open(t.Context(), url, db.Options{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Open(%q): %v", url, err)
		}
	}
	_, err := db.Open(t.Context(), "postgres://u@127.0.0.1:1/none?sslmode=disable", db.Options{})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Open of a server that is not there: %v", err)
	}
}

func TestSchema(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "dir", "new.db")
	if err := db.Create(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if err := db.Create(t.Context(), url); !errors.Is(err, os.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if err := d.CheckSchema(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("CheckSchema of an empty database: %v", err)
	}
	for range 2 {
		if err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLicensesInSigningMigrate: what a crash left in signing before version 9 is
// found after it, and the other way round.
func TestLicensesInSigningMigrate(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		move := func(version int64, statements ...string) {
			t.Helper()
			if err := d.MigrateTo(t.Context(), version); err != nil {
				t.Fatal(err)
			}
			for _, q := range statements {
				err := d.Update(t.Context(), func(tx db.Tx) error {
					_, err := tx.ExecContext(t.Context(), q)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		want := func(query, want string) {
			t.Helper()
			var got string
			err := d.Read(t.Context(), func(tx db.Tx) error { return tx.QueryRowContext(t.Context(), query).Scan(&got) })
			if err != nil || got != want {
				t.Errorf("%s: %q, %v, want %q", query, got, err, want)
			}
		}
		bytes := "x'00'"
		if d.Engine() == db.PostgreSQL {
			bytes = "'\\x00'"
		}
		const license = `INSERT INTO licenses (id, number, type, agency, holder_kind, holder, record, status, place, client, request_key,
			request_hash, not_after, created_at, changed_at) VALUES `
		move(8, license+strings.ReplaceAll(`('left', 'n1', 't', 'a', 'firm', 'h', RECORD, 'signing', 1, 'c', 'k1', RECORD, 0, 7, 7),
			('done', 'n2', 't', 'a', 'firm', 'h', RECORD, 'issued', 2, 'c', 'k2', RECORD, 0, 8, 9)`, "RECORD", bytes))
		move(9)
		want("SELECT license || created_at FROM license_signing", "left7")
		want("SELECT min(status) || max(status) FROM licenses", "issuedissued")
		move(8)
		want("SELECT id FROM licenses WHERE status = 'signing'", "left")
	})
}

func TestMigrationsHaveEqualNumbers(t *testing.T) {
	names := func(engine string) (all []string) {
		entries, err := os.ReadDir("migrations/" + engine)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	s, p := names(db.SQLite), names(db.PostgreSQL)
	if strings.Join(s, " ") != strings.Join(p, " ") {
		t.Errorf("sqlite has %v, postgres has %v", s, p)
	}
}

func TestIDsAreOrderedAndUnique(t *testing.T) {
	last := ""
	for range 100_000 { // many in each millisecond
		id := db.NewID()
		if len(id) != 26 || id <= last {
			t.Fatalf("%q comes after %q", id, last)
		}
		last = id
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				id := db.NewID()
				mu.Lock()
				if seen[id] {
					t.Errorf("%q twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestValues(t *testing.T) {
	if got := db.Values(2, 2); got != "($1,$2),($3,$4)" {
		t.Error(got)
	}
	if at := time.Unix(12, 345000).UTC(); !db.Time(db.Micros(at)).Equal(at) || db.Micros(time.Time{}) != 0 || !db.Time(0).IsZero() {
		t.Error("times do not survive")
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, engine := range []string{db.SQLite, db.PostgreSQL} {
		for _, callers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", engine, callers), func(b *testing.B) {
				d := testkit.SQLite(b)
				if engine == db.PostgreSQL {
					d = testkit.PostgreSQL(b)
				}
				b.ResetTimer()
				var wg sync.WaitGroup
				for c := range callers {
					wg.Go(func() {
						for i := c; i < b.N; i += callers {
							if err := put(b, d, db.NewID(), "value"); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
