package registry

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// viewAge is how long a view serves without asking whether it is still right.
const viewAge = time.Second

// view is what is read on every issue: the few hundred agencies and authorities
// of a city, kept in memory. It is never changed once published.
type view struct {
	version     int64
	changes     int64     // Registry.changes before it was loaded
	checked     time.Time // by the monotonic clock
	agencies    []Agency
	authorities []Authority
	byAgency    map[agencyType][]Authority
	handovers   map[agencyType]string // the successor for a type
	estates     map[string][]Estate   // by agency
}

type agencyType struct{ agency, licenseType string }

func (v *view) fresh(r *Registry, age time.Duration) bool {
	return v != nil && v.changes == r.changes.Load() && time.Since(v.checked) < age
}

// changed makes every later read see what this process has just committed.
func (r *Registry) changed() { r.changes.Add(1) }

// current returns a view that was right at most age ago. Other replicas' changes
// are seen through the version row. While one caller asks the database, the others
// use the view they have until it is twice the age, so nobody queues behind it.
func (r *Registry) current(ctx context.Context, age time.Duration) (*view, error) {
	v := r.view.Load()
	if v.fresh(r, age) {
		return v, nil
	}
	if !v.fresh(r, 2*age) {
		r.reload.Lock()
	} else if !r.reload.TryLock() {
		return v, nil
	}
	defer r.reload.Unlock()
	if v = r.view.Load(); v.fresh(r, age) {
		return v, nil
	}
	next := &view{changes: r.changes.Load(), checked: time.Now()}
	if err := r.db.Read(ctx, func(tx db.Tx) error { return next.load(ctx, tx, v) }); err != nil {
		return nil, err
	}
	r.view.Store(next)
	return next, nil
}

// load fills v, from old if the version row has not moved.
func (v *view) load(ctx context.Context, tx db.Tx, old *view) (err error) {
	if err := tx.QueryRowContext(ctx, `SELECT version FROM registry_version WHERE one = 1`).Scan(&v.version); err != nil {
		return err
	}
	if old != nil && old.version == v.version {
		v.agencies, v.authorities, v.byAgency, v.handovers, v.estates = old.agencies, old.authorities, old.byAgency, old.handovers, old.estates
		return nil
	}
	if v.agencies, err = agencies(ctx, tx, ""); err != nil {
		return err
	}
	if v.authorities, err = authorities(ctx, tx); err != nil {
		return err
	}
	if v.handovers, err = handovers(ctx, tx); err != nil {
		return err
	}
	v.byAgency = map[agencyType][]Authority{}
	for _, a := range v.authorities {
		key := agencyType{a.Agency, a.Type}
		v.byAgency[key] = append(v.byAgency[key], a)
	}
	v.estates = v.bequeath()
	return nil
}

// find returns an agency by its id.
func (v *view) find(id string) (Agency, bool) {
	i, ok := slices.BinarySearchFunc(v.agencies, id, func(a Agency, id string) int { return compare(a.ID, id) })
	if !ok {
		return Agency{}, false
	}
	return v.agencies[i], true
}

// bump tells the other replicas that agencies or authorities have changed.
func bump(ctx context.Context, tx db.Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE registry_version SET version = version + 1 WHERE one = 1`)
	return err
}

// agencies returns one agency, or all of them in the order of their ids if id is "".
// The order is made by the comparison of bytes on both engines.
func agencies(ctx context.Context, tx db.Tx, id string) ([]Agency, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, uscc, name_zh, name_en, level, COALESCE(parent, ''), area, issuer,
		COALESCE(successor, ''), created FROM registry_agencies WHERE $1 = '' OR id = $1`, id)
	list, err := collect(rows, err, func(a *Agency) ([]any, func()) {
		var created int64
		return []any{&a.ID, &a.USCC, &a.NameZH, &a.NameEN, &a.Level, &a.Parent, &a.Area, &a.Issuer, &a.Successor, &created},
			func() { a.Created = db.Time(created) }
	})
	sortBy(list, func(a Agency) string { return a.ID })
	return list, err
}

func authorities(ctx context.Context, tx db.Tx) ([]Authority, error) {
	rows, err := tx.QueryContext(ctx, `SELECT agency, type, area, starts, ends FROM registry_authorities ORDER BY starts`)
	list, err := collect(rows, err, func(a *Authority) ([]any, func()) {
		var from, until int64
		return []any{&a.Agency, &a.Type, &a.Area, &from, &until},
			func() { a.From, a.Until = db.Time(from), db.Time(until) }
	})
	sortBy(list, func(a Authority) string { return strings.Join([]string{a.Agency, a.Type, a.Area}, "\x00") })
	return list, err
}

// collect scans every row: columns returns where one row goes and what to do
// once it is there.
func collect[T any](rows *sql.Rows, err error, columns func(*T) (dest []any, after func())) ([]T, error) {
	if err != nil {
		return nil, err
	}
	var list []T
	for rows.Next() {
		var one T
		dest, after := columns(&one)
		if err := rows.Scan(dest...); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		after()
		list = append(list, one)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
