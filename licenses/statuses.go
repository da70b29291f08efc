package licenses

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/licenses/status"
)

const (
	// changesCounter counts changes of status: whoever publishes statuses compares it.
	changesCounter = "changes"
	// keptChanges is how many changes stay to be read one by one. A replica that knows
	// less reads every licence that is not valid.
	keptChanges = 100_000
)

// picture is what one replica knows of the statuses. What it hands out is not
// changed any more: a list that changes is copied.
type picture struct {
	mu      sync.Mutex
	version int64         // of changesCounter, when lists was read
	lists   []status.List // every one that was opened; nil before the first reading
}

// noteChange records in a transaction that a licence has another status, for those
// who publish. Whoever changes what Statuses returns calls it.
func (s *Service) noteChange(ctx context.Context, tx db.Tx, place int64, to Status) error {
	var version int64
	err := tx.QueryRowContext(ctx, `INSERT INTO license_counters (name, next) VALUES ($1, 1)
		ON CONFLICT (name) DO UPDATE SET next = license_counters.next + 1 RETURNING next`, changesCounter).Scan(&version)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO license_changes (version, place, status) VALUES ($1, $2, $3)", version, place, string(to)); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM license_changes WHERE version <= $1", version-keptChanges)
	return err
}

// StatusVersion changes whenever Statuses would return something else.
func (s *Service) StatusVersion(ctx context.Context) (version int64, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		var lists int64
		if version, err = counter(ctx, tx, changesCounter); err != nil {
			return err
		}
		lists, err = opened(ctx, tx)
		version += lists << 40
		return err
	})
	return version, err
}

// opened returns how many lists places were leased of.
func opened(ctx context.Context, tx db.Tx) (int64, error) {
	places, err := counter(ctx, tx, placeCounter)
	return (places + status.ListSize - 1) / status.ListSize, err
}

func counter(ctx context.Context, tx db.Tx, name string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT next FROM license_counters WHERE name = $1", name).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, err
}

// Statuses returns every status list with the indexes that are not valid. It reads
// what has changed since it was called last, and everything where that is not to be
// had. The caller does not change what is returned.
func (s *Service) Statuses(ctx context.Context) ([]status.List, error) {
	p := &s.picture
	p.mu.Lock()
	defer p.mu.Unlock()
	var version, lists int64
	var changes []placed
	whole := true
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		// The counter comes first: PostgreSQL may show in what is read next changes
		// that came later. They are applied again the next time, which alters nothing.
		if version, err = counter(ctx, tx, changesCounter); err != nil {
			return err
		}
		if lists, err = opened(ctx, tx); err != nil {
			return err
		}
		changes, whole, err = s.since(ctx, tx, version, lists)
		return err
	})
	if err == nil {
		err = p.apply(s, max(lists, 1), changes, whole)
	}
	if err != nil {
		return nil, fmt.Errorf("read statuses: %w", err)
	}
	p.version = version
	return slices.Clone(p.lists), nil
}

// placed is a licence's place and its status.
type placed struct {
	place  int64
	status Status
}

// since returns what has changed up to the version, in order; or, with whole, all
// that is not valid.
func (s *Service) since(ctx context.Context, tx db.Tx, version, lists int64) (changes []placed, whole bool, err error) {
	p := &s.picture
	if missing := version - p.version; p.lists != nil && int64(len(p.lists)) <= max(lists, 1) && missing >= 0 && missing <= keptChanges {
		changes, err = readPlaced(ctx, tx, "SELECT place, status FROM license_changes WHERE version > $1 AND version <= $2 ORDER BY version", p.version, version)
		if err != nil || int64(len(changes)) == missing {
			return changes, false, err
		}
	}
	changes, err = readPlaced(ctx, tx, "SELECT place, status FROM licenses WHERE status IN ('revoked', 'suspended')")
	return changes, true, err
}

func readPlaced(ctx context.Context, tx db.Tx, query string, args ...any) ([]placed, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []placed
	for rows.Next() {
		var p placed
		if err := rows.Scan(&p.place, &p.status); err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, rows.Err()
}

// apply brings the picture up to date. It changes nothing when it fails.
func (p *picture) apply(s *Service, opened int64, changes []placed, whole bool) error {
	lists := make([]status.List, opened)
	for i := range lists {
		lists[i].No = uint32(i)
	}
	if !whole {
		copy(lists, p.lists)
	}
	last := make(map[uint32]map[uint32]Status) // by list and index
	for _, c := range changes {
		ref := s.ref(c.place)
		if int64(ref.List) >= opened {
			return fmt.Errorf("place %d was never leased", c.place)
		}
		if last[ref.List] == nil {
			last[ref.List] = map[uint32]Status{}
		}
		last[ref.List][ref.Index] = c.status
	}
	for no, states := range last {
		lists[no] = changed(lists[no], states)
	}
	p.lists = lists
	return nil
}

// changed returns a copy of the list in which the indexes have these states.
func changed(l status.List, states map[uint32]Status) status.List {
	other := func(index uint32) bool { _, ok := states[index]; return ok }
	l.Revoked = slices.DeleteFunc(slices.Clone(l.Revoked), other)
	l.Suspended = slices.DeleteFunc(slices.Clone(l.Suspended), other)
	for index, state := range states {
		switch state {
		case Revoked:
			l.Revoked = append(l.Revoked, index)
		case Suspended:
			l.Suspended = append(l.Suspended, index)
		}
	}
	slices.Sort(l.Revoked)
	slices.Sort(l.Suspended)
	return l
}
