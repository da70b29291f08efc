package registry

import (
	"bytes"
	"context"
	"slices"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Index finds the rows of a table by a keyed hash while the hash's key rotates.
//
// A row stands under one hash, in its column lookup: that of the generation which
// was current when it was written, or last moved. It is found by asking for the
// hashes of all generations. No two rows may have one value, though their writers
// hold different generations for the current one: so each takes all its hashes in
// the table Hashes, where they stay taken until their generation is dropped. A
// writer that is behind shares at least one generation with whoever wrote before
// it, and is refused, whatever moved in between.
type Index struct {
	Table  string // whose rows are found, with a column lookup
	Key    string // its primary key
	Hashes string // has the columns lookup, which is its primary key, and person
}

// Hashed is a row with the hash that it stands under and those of its value under
// every generation, the current one first.
type Hashed struct {
	Key     string
	Lookup  []byte
	Lookups [][]byte
}

// Take takes every hash for a row that is about to be written and reports whether
// all were free. If not the caller undoes its transaction, or some stay taken.
func (x Index) Take(ctx context.Context, tx db.Tx, key string, lookups [][]byte) (bool, error) {
	list := make([]hashOf, len(lookups))
	for i, hash := range lookups {
		list[i] = hashOf{string(hash), key}
	}
	n, err := x.insert(ctx, tx, list)
	return n == int64(len(list)), err
}

// hashOf is a row of the table Hashes.
type hashOf struct{ hash, key string }

// insert takes what is free. Everybody does so in the same order: nobody waits for
// who waits for them.
func (x Index) insert(ctx context.Context, tx db.Tx, list []hashOf) (inserted int64, err error) {
	slices.SortFunc(list, func(a, b hashOf) int { return compare(a.hash, b.hash) })
	args := make([]any, 0, 2*len(list))
	for _, h := range list {
		args = append(args, []byte(h.hash), h.key)
	}
	for values, some := range db.Inserts(2, args) {
		result, err := tx.ExecContext(ctx, "INSERT INTO "+x.Hashes+" (lookup, person) VALUES "+values+" ON CONFLICT DO NOTHING", some...)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		inserted += n
	}
	return inserted, nil
}

// Move brings rows up to date: each takes the hashes that it lacks, stands under
// the current one, and gives up those of generations that are no more. It returns
// how many were not up to date. Moving a row twice, or while another process does,
// is harmless. It fails with kind Conflict when two rows have one value.
func (x Index) Move(ctx context.Context, d *db.DB, rows []Hashed) (n int, err error) {
	keys := make([]any, len(rows))
	for i, row := range rows {
		keys[i] = row.Key
	}
	var taken []hashOf
	err = d.Read(ctx, func(tx db.Tx) error {
		taken, err = x.taken(ctx, tx, "person", keys)
		return err
	})
	if err != nil {
		return 0, err
	}
	m := plan(rows, taken)
	if len(m.take)+len(m.move)+len(m.give) == 0 {
		return 0, nil
	}
	return m.late, d.Update(ctx, func(tx db.Tx) error { return x.apply(ctx, tx, m) })
}

// moves are what brings some rows up to date.
type moves struct {
	take []hashOf
	move []Hashed // under their first hash
	give []any    // hashes
	late int      // rows that lack a hash or stand under another
}

func plan(rows []Hashed, taken []hashOf) (m moves) {
	have := map[hashOf]bool{} // whether it is still a hash of its row's value
	for _, h := range taken {
		have[h] = false
	}
	for _, row := range rows {
		late := !bytes.Equal(row.Lookup, row.Lookups[0])
		if late {
			m.move = append(m.move, row)
		}
		for _, hash := range row.Lookups {
			h := hashOf{string(hash), row.Key}
			if _, ok := have[h]; !ok {
				late = true
				m.take = append(m.take, h)
			}
			have[h] = true
		}
		if late {
			m.late++
		}
	}
	for _, h := range taken {
		if !have[h] {
			m.give = append(m.give, []byte(h.hash))
		}
	}
	return m
}

func (x Index) apply(ctx context.Context, tx db.Tx, m moves) error {
	if n, err := x.insert(ctx, tx, slices.Clone(m.take)); err != nil {
		return err
	} else if n != int64(len(m.take)) {
		if err := x.checkOwn(ctx, tx, m.take); err != nil {
			return err
		}
	}
	for _, row := range m.move {
		_, err := tx.ExecContext(ctx, "UPDATE "+x.Table+" SET lookup = $1 WHERE "+x.Key+" = $2 AND lookup = $3", row.Lookups[0], row.Key, row.Lookup)
		if err != nil {
			return err
		}
	}
	for args, list := range chunks(m.give) {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+x.Hashes+" WHERE lookup IN "+list, args...); err != nil {
			return err
		}
	}
	return nil
}

// checkOwn fails when a hash is another row's: then the two have one value.
// Another process that takes it for the same row at the same time is no harm.
func (x Index) checkOwn(ctx context.Context, tx db.Tx, want []hashOf) error {
	hashes := make([]any, len(want))
	for i, h := range want {
		hashes[i] = []byte(h.hash)
	}
	taken, err := x.taken(ctx, tx, "lookup", hashes)
	if err != nil {
		return err
	}
	owner := map[string]string{}
	for _, h := range taken {
		owner[h.hash] = h.key
	}
	for _, h := range want {
		if o := owner[h.hash]; o != h.key {
			return fault.New(fault.Conflict, "two rows of "+x.Table+" have one value: those of "+o+" and "+h.key)
		}
	}
	return nil
}

// taken returns the rows of the table Hashes in which column has one of values.
func (x Index) taken(ctx context.Context, tx db.Tx, column string, values []any) (all []hashOf, err error) {
	for args, list := range chunks(values) {
		rows, err := tx.QueryContext(ctx, "SELECT lookup, person FROM "+x.Hashes+" WHERE "+column+" IN "+list+" ORDER BY lookup", args...)
		some, err := collect(rows, err, func(h *hashOf) ([]any, func()) {
			var hash []byte
			return []any{&hash, &h.key}, func() { h.hash = string(hash) }
		})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
