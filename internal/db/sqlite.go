package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/signet-city/signet/internal/fault"
)

const (
	groupMost   = 256 // callers that one COMMIT answers
	readConns   = 8
	statements  = 256 // prepared statements kept by a connection
	holdDefault = 30 * time.Second
)

func openSQLite(ctx context.Context, path string, o Options) (*sql.DB, *writer, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	write, err := sql.Open("sqlite", dsn(path, "rw", writerPragmas...))
	if err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	write.SetMaxOpenConns(1)
	conn, err := write.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open database: %w", err), write.Close())
	}
	read, err := sql.Open("sqlite", dsn(path, "rw", "query_only(1)"))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open database: %w", err), conn.Close(), write.Close())
	}
	hold := o.Hold
	if hold == 0 {
		hold = holdDefault
	}
	w := &writer{pool: write, log: o.Logger, hold: hold, stmts: &stmtCache{conn: conn, known: map[string]*sql.Stmt{}},
		calls: make(chan *call, groupMost), quit: make(chan struct{}), gone: make(chan struct{})}
	go w.run()
	return read, w, nil
}

// writerPragmas: savepoints are kept in memory instead of in a file that nobody
// needs after a crash, and pages written again and again go to the database less
// often.
var writerPragmas = []string{"synchronous(FULL)", "temp_store(MEMORY)", "cache_size(-8192)", "wal_autocheckpoint(4096)"}

func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{
		"mode":    {mode},
		"_pragma": append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", "trusted_schema(0)"}, pragmas...),
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// writer owns the only writing connection. Its goroutine hands the transaction
// to one caller after the other, each inside a savepoint that runs on the
// caller's own goroutine, and answers the whole group after one COMMIT.
type writer struct {
	pool  *sql.DB
	stmts *stmtCache
	log   *slog.Logger
	hold  time.Duration
	calls chan *call
	quit  chan struct{} // closed by close
	gone  chan struct{} // closed when run has ended
	once  sync.Once
}

// call is one Update waiting for its turn.
type call struct {
	claimed atomic.Bool  // by the writer (its turn) or by the caller (gave up)
	turn    chan *liveTx // the transaction, once; nil when there is none
	ran     chan error   // what f returned, once
	failed  error        // the same, while the group's COMMIT is awaited; the writer's
	done    chan error   // what became of the commit, once
}

func (w *writer) update(ctx context.Context, f func(Tx) error) error {
	if err := ctx.Err(); err != nil { // the selects below may choose otherwise
		return err
	}
	c := &call{turn: make(chan *liveTx, 1), ran: make(chan error, 1), done: make(chan error, 1)}
	select {
	case w.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return fault.New(fault.Unavailable, "the database is closed")
	}
	select {
	case tx := <-c.turn:
		w.runCall(c, tx, f)
	case <-w.gone:
		return fault.New(fault.Unavailable, "the database is closed")
	case <-ctx.Done():
		if c.claimed.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		w.runCall(c, <-c.turn, f) // its turn came at the same moment
	}
	return <-c.done
}

var errAbandoned = errors.New("update function did not return")

// runCall tells the writer what f did, even when f panics or ends its goroutine.
func (w *writer) runCall(c *call, tx *liveTx, f func(Tx) error) {
	if tx == nil {
		return
	}
	result := errAbandoned
	defer func() { c.ran <- result }()
	result = f(tx)
}

func (w *writer) run() {
	defer close(w.gone)
	for {
		select {
		case c := <-w.calls:
			w.group(c)
		case <-w.quit:
			return
		}
	}
}

// group runs c and whoever waits behind it in one transaction. A caller whose function
// failed behind others' is told after the COMMIT, too: it may have failed over what
// they did, which is not true before, and which whoever tries again must find.
func (w *writer) group(c *call) {
	ctx := context.Background()
	var members []*call
	_, broken := w.stmts.exec(ctx, "BEGIN IMMEDIATE")
	for n := 0; c != nil && n < groupMost; n++ {
		if c.claimed.CompareAndSwap(false, true) {
			first := len(members) == 0
			var err error
			if err, broken = w.member(ctx, c, broken, first); err == nil || !first {
				members = append(members, c)
				c.failed = err
			} else {
				c.done <- err
			}
		}
		if broken != nil {
			break
		}
		c = w.next()
	}
	if broken == nil {
		_, broken = w.stmts.exec(ctx, "COMMIT")
	}
	if broken != nil {
		_, _ = w.stmts.exec(ctx, "ROLLBACK")
		w.log.Error("sqlite group undone", slog.Any("error", broken), slog.Int("callers", len(members)))
		broken = fault.Wrap(fault.Unavailable, "the database could not write", broken)
	}
	for _, m := range members {
		m.done <- cmp.Or(broken, m.failed)
	}
}

// next returns who waits for a turn, nil for nobody. Before it says so it lets others
// run: on a busy machine some of them come with a call for the same COMMIT, which is
// what costs most, and on an idle one nobody loses time.
func (w *writer) next() *call {
	for range 2 {
		select {
		case c := <-w.calls:
			return c
		default:
			runtime.Gosched()
		}
	}
	return nil
}

// member gives c its turn unless the transaction is broken already. It returns how c
// failed, and why the whole transaction is lost. The first needs no savepoint, which
// costs a copy of every page it changes.
func (w *writer) member(ctx context.Context, c *call, broken error, first bool) (err, lost error) {
	if broken == nil && !first {
		_, broken = w.stmts.exec(ctx, "SAVEPOINT caller")
	}
	if broken != nil {
		c.turn <- nil
		return nil, broken
	}
	tx := &liveTx{stmts: w.stmts}
	c.turn <- tx
	timer := time.NewTimer(w.hold)
	defer timer.Stop()
	select {
	case err = <-c.ran:
	case <-timer.C:
		err = fmt.Errorf("update: function held the writer for over %v (an Update inside an Update?)", w.hold)
	}
	tx.end()
	if err != nil {
		return err, w.undo(ctx, first)
	}
	if !first {
		_, lost = w.stmts.exec(ctx, "RELEASE caller")
	}
	return nil, lost
}

// undo takes back the current caller's statements. It fails when SQLite has
// already rolled back the whole transaction.
func (w *writer) undo(ctx context.Context, first bool) error {
	steps := []string{"ROLLBACK TO caller", "RELEASE caller"}
	if first {
		steps = []string{"ROLLBACK", "BEGIN IMMEDIATE"}
	}
	for _, step := range steps {
		if _, err := w.stmts.exec(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	<-w.gone
	return errors.Join(w.stmts.close(), w.pool.Close())
}

// stmtCache keeps a connection's prepared statements: preparing costs more than most
// of them. Whoever has the turn owns it.
type stmtCache struct {
	conn  *sql.Conn
	known map[string]*sql.Stmt
}

func (s *stmtCache) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := s.known[query]; ok {
		return st, nil
	}
	if len(s.known) >= statements {
		s.forget()
	}
	st, err := s.conn.PrepareContext(ctx, unnamed(query))
	if err == nil {
		s.known[query] = st
	}
	return st, err
}

// unnamed replaces $1, $2, … by question marks where they stand in this order,
// each once. To SQLite $1 is a name, and binding one argument takes time linear
// in the number of names.
func unnamed(query string) string {
	n, ordered := 0, true
	short := placeholder.ReplaceAllStringFunc(query, func(name string) string {
		n++
		ordered = ordered && name == "$"+strconv.Itoa(n)
		return "?"
	})
	if !ordered || strings.Contains(query, "'$") {
		return query
	}
	return short
}

var placeholder = regexp.MustCompile(`\$[0-9]+`)

func (s *stmtCache) forget() {
	for _, st := range s.known {
		_ = st.Close()
	}
	clear(s.known)
}

func (s *stmtCache) close() error {
	s.forget()
	return s.conn.Close()
}

func (s *stmtCache) exec(ctx context.Context, query string) (sql.Result, error) {
	st, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx)
}

// liveTx is one caller's turn with the group's transaction. Its statements
// ignore the caller's cancellation: an interrupted write would undo its
// neighbours too.
type liveTx struct {
	stmts *stmtCache
	busy  sync.Mutex // held during a statement
	dead  bool
}

// end makes every later statement fail, after the one under way.
func (t *liveTx) end() {
	t.busy.Lock()
	defer t.busy.Unlock()
	t.dead = true
}

var errDead = errors.New("transaction has ended")

func (t *liveTx) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if t.dead {
		return nil, errDead
	}
	return t.stmts.prepare(ctx, query)
}

// ExecContext implements Tx.
func (t *liveTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.busy.Lock()
	defer t.busy.Unlock()
	ctx = context.WithoutCancel(ctx)
	st, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

// QueryContext implements Tx.
func (t *liveTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.busy.Lock()
	defer t.busy.Unlock()
	ctx = context.WithoutCancel(ctx)
	st, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// QueryRowContext implements Tx.
func (t *liveTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	t.busy.Lock()
	defer t.busy.Unlock()
	return t.row(context.WithoutCancel(ctx), query, args...)
}

// row is QueryRowContext for whoever has the statement to itself.
func (t *liveTx) row(ctx context.Context, query string, args ...any) *sql.Row {
	st, err := t.prepare(ctx, query)
	if errors.Is(err, errDead) {
		// Only database/sql can make a Row that carries an error.
		over, cancel := context.WithCancelCause(ctx)
		cancel(errDead)
		return t.stmts.conn.QueryRowContext(over, query, args...)
	}
	if err != nil {
		return t.stmts.conn.QueryRowContext(ctx, query, args...)
	}
	return st.QueryRowContext(ctx, args...)
}

func isUniqueSQLite(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
