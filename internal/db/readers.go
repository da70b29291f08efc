package db

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// readers are SQLite's reading connections, each with its prepared statements: to
// prepare one takes several times as long as most of them run. The one used last is
// used next, so that few connections serve a quiet city.
type readers struct {
	pool  *sql.DB
	slots chan struct{} // one for each connection in use

	mu     sync.Mutex
	idle   []*stmtCache
	closed bool
}

func newReaders(pool *sql.DB) *readers {
	pool.SetMaxOpenConns(readConns + 1) // one for Ping
	return &readers{pool: pool, slots: make(chan struct{}, readConns)}
}

// read calls f with a transaction that sees one state of the database.
func (r *readers) read(ctx context.Context, f func(Tx) error) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	s, err := r.take(ctx)
	if err != nil {
		return err
	}
	tx := &readTx{liveTx: liveTx{stmts: s}, lent: map[string]bool{}}
	defer func() {
		tx.end()
		r.give(s)
	}()
	if _, err := s.exec(context.Background(), "BEGIN"); err != nil {
		return err
	}
	return f(tx)
}

// take returns a connection, a new one if none is idle.
func (r *readers) take(ctx context.Context) (*stmtCache, error) {
	if err := ctx.Err(); err != nil { // the select may have chosen otherwise
		return nil, err
	}
	r.mu.Lock()
	if last := len(r.idle) - 1; last >= 0 {
		s := r.idle[last]
		r.idle = r.idle[:last]
		r.mu.Unlock()
		return s, nil
	}
	r.mu.Unlock()
	conn, err := r.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &stmtCache{conn: conn, known: map[string]*sql.Stmt{}}, nil
}

// give ends the transaction and keeps the connection for the next, unless something
// is wrong with it.
func (r *readers) give(s *stmtCache) {
	_, err := s.exec(context.Background(), "ROLLBACK")
	if len(s.known) >= statements {
		s.forget()
	}
	r.mu.Lock()
	keep := err == nil && !r.closed
	if keep {
		r.idle = append(r.idle, s)
	}
	r.mu.Unlock()
	if !keep {
		_ = s.close()
	}
}

// close closes the connections, those in use as soon as they are not.
func (r *readers) close() error {
	r.mu.Lock()
	idle := r.idle
	r.idle, r.closed = nil, true
	r.mu.Unlock()
	var errs []error
	for _, s := range idle {
		errs = append(errs, s.close())
	}
	return errors.Join(append(errs, r.pool.Close())...)
}

// readTx is one caller's transaction of a reading connection. Other than a writer's,
// its statements end with the caller's context.
type readTx struct {
	liveTx
	lent map[string]bool // queries whose rows the caller may still be at
}

// ExecContext implements Tx. SQLite refuses to write here.
func (t *readTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.busy.Lock()
	defer t.busy.Unlock()
	if t.dead {
		return nil, errDead
	}
	return t.stmts.conn.ExecContext(ctx, query, args...)
}

// QueryContext implements Tx. Nobody tells when rows are closed, so a query that is
// made again gets a statement of its own.
func (t *readTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.busy.Lock()
	defer t.busy.Unlock()
	if t.alone(query) {
		return t.stmts.conn.QueryContext(ctx, query, args...)
	}
	st, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	t.lent[query] = true
	return st.QueryContext(ctx, args...)
}

// QueryRowContext implements Tx.
func (t *readTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	t.busy.Lock()
	defer t.busy.Unlock()
	if t.alone(query) {
		return t.stmts.conn.QueryRowContext(ctx, query, args...)
	}
	return t.row(ctx, query, args...)
}

// alone reports whether a query must do without a kept statement: the caller may still
// be at the rows of that one, or there is no room for another, and what is kept may be
// in use until the transaction ends.
func (t *readTx) alone(query string) bool {
	_, known := t.stmts.known[query]
	return !t.dead && (t.lent[query] || !known && len(t.stmts.known) >= statements)
}
