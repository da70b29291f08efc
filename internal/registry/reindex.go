package registry

import (
	"context"

	"github.com/signet-city/signet/internal/db"
)

// peopleIndex finds people by kind and number.
func peopleIndex() Index {
	return Index{Table: "registry_people", Key: "id", Hashes: "registry_lookups"}
}

// Reindex hashes again at most limit people (1 to 1000) with ids after the given
// one, "" for the first, under every generation of the sealer's secret; those who
// stand under another than the current one then stand under that. It returns how
// many were not up to date and where the next page begins, "" after the last.
//
// It may be repeated, be cut off anywhere, and run while people are registered and
// found. It writes no event: nothing that is registered changes. It fails if a
// person cannot be opened, and with kind Conflict when two are registered under
// one number; nobody of the page is changed then.
func (r *Registry) Reindex(ctx context.Context, after string, limit int) (next string, n int, err error) {
	limit = min(max(limit, 1), 1000)
	var page []indexedPerson
	err = r.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id, kind, lookup, sealed FROM registry_people WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
		page, err = collect(rows, err, func(p *indexedPerson) ([]any, func()) {
			return []any{&p.id, &p.kind, &p.lookup, &p.sealed}, func() {}
		})
		return err
	})
	if err != nil || len(page) == 0 {
		return "", 0, wrap("reindex people", err)
	}
	list := make([]Hashed, len(page))
	for i, row := range page {
		p, err := r.open(ctx, row.kind, row.personRow)
		if err != nil {
			return "", 0, wrap("reindex people", err)
		}
		lookups, err := r.lookups(ctx, p.Kind, p.Number)
		if err != nil {
			return "", 0, wrap("reindex people", err)
		}
		list[i] = Hashed{row.id, row.lookup, lookups}
	}
	if n, err = peopleIndex().Move(ctx, r.db, list); err != nil {
		return "", 0, wrap("reindex people", err)
	}
	if len(page) == limit {
		next = page[limit-1].id
	}
	return next, n, nil
}

type indexedPerson struct {
	personRow
	kind   Kind
	lookup []byte
}
