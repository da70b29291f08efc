package licenses

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/verify/trust"
)

// catalog is every version of every type at one moment. Nobody changes one: a
// replica that hears of a new version loads another.
type catalog struct {
	generation int64
	versions   map[string][]*Type // by id, version 1 first
	order      []*Type            // the newest version of each type, by id
}

// newest returns the version of a type that new licences are of, nil if there is
// no such type.
func (c *catalog) newest(id string) *Type {
	if v := c.versions[id]; len(v) > 0 {
		return v[len(v)-1]
	}
	return nil
}

// at returns a version of a type, nil if it is not known here.
func (c *catalog) at(id string, version int) *Type {
	if v := c.versions[id]; version >= 1 && version <= len(v) {
		return v[version-1]
	}
	return nil
}

// catalogs holds the catalogue in use.
type catalogs struct{ now atomic.Pointer[catalog] }

// newest returns the version of a type that new licences are of, nil if there is
// no such type.
func (s *Service) newest(id string) *Type { return s.catalog.now.Load().newest(id) }

// typeOf returns the type of a licence in the version that it was issued under,
// nil if this replica has not heard of it.
func (s *Service) typeOf(l *License) *Type { return s.catalog.now.Load().at(l.Type, l.TypeVersion) }

const (
	typesCounter = "types"         // counts versions added
	typesTopic   = "license_types" // of notices
)

// refresh loads the types once more if somebody has added a version, and says so
// to whoever publishes them.
func (s *Service) refresh(ctx context.Context) error {
	old := s.catalog.now.Load()
	var generation int64
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		generation, err = counter(ctx, tx, typesCounter)
		return err
	})
	if err != nil {
		return fmt.Errorf("load licence types: %w", err)
	}
	if old != nil && generation <= old.generation {
		return nil
	}
	c, err := s.loadCatalog(ctx)
	if err != nil {
		return fmt.Errorf("load licence types: %w", err)
	}
	for before := old; before == nil || before.generation < c.generation; before = s.catalog.now.Load() {
		if s.catalog.now.CompareAndSwap(before, c) {
			break
		}
	}
	if old != nil {
		s.log.InfoContext(ctx, "licence types loaded", slog.Int64("generation", c.generation))
		s.changed()
	}
	return nil
}

// stored is a version of a type as the database holds it.
type stored struct {
	id      string
	version int
	body    []byte
}

// loadCatalog puts the versions that were added over the shipped ones, which are
// version 1 of theirs. A shipped type that came later than an added one whose id,
// code or dictionary it shares is left out: permits of the added one are about.
func (s *Service) loadCatalog(ctx context.Context) (*catalog, error) {
	c := &catalog{versions: map[string][]*Type{}}
	var rows []stored
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		if c.generation, err = counter(ctx, tx, typesCounter); err != nil {
			return err
		}
		rows, err = storedTypes(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		t, err := ParseType(r.body)
		if err != nil {
			return nil, fmt.Errorf("version %d of %s: %w", r.version, r.id, err)
		}
		if r.version == 2 && len(c.versions[r.id]) == 0 {
			c.ship(s.shipped, r.id)
		}
		if t.ID != r.id || r.version != len(c.versions[r.id])+1 {
			return nil, fmt.Errorf("version %d of %s is another's, or the one before it is missing", r.version, r.id)
		}
		t.Version, t.body = r.version, r.body
		c.versions[r.id] = append(c.versions[r.id], t)
	}
	c.fill(ctx, s)
	return c, nil
}

// ship begins a type with its shipped version.
func (c *catalog) ship(shipped []*Type, id string) {
	for _, t := range shipped {
		if t.ID == id {
			c.versions[id] = []*Type{t}
		}
	}
}

// fill adds the shipped types of which there is no other version, where they fit.
func (c *catalog) fill(ctx context.Context, s *Service) {
	for _, v := range c.versions {
		c.order = append(c.order, v[len(v)-1])
	}
	for _, t := range s.shipped {
		if c.versions[t.ID] != nil {
			continue
		}
		if err := published(append(slices.Clone(c.order), t)); err != nil {
			s.log.ErrorContext(ctx, "shipped licence type left out", slog.String("type", t.ID), slog.Any("cause", err))
			continue
		}
		c.versions[t.ID], c.order = []*Type{t}, append(c.order, t)
	}
	slices.SortFunc(c.order, func(a, b *Type) int { return strings.Compare(a.ID, b.ID) })
}

// published says what a trust bundle would have against these types, nil for nothing.
func published(types []*Type) error {
	list := make([]trust.Type, len(types))
	for i, t := range types {
		list[i] = t.Trust()
	}
	return trust.CheckTypes(list)
}

func storedTypes(ctx context.Context, tx db.Tx) ([]stored, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, version, body FROM license_types ORDER BY id, version")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []stored
	for rows.Next() {
		var r stored
		if err := rows.Scan(&r.id, &r.version, &r.body); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Types returns the types that the register issues, each in its newest version, in
// the order of their ids. Nobody changes them.
func (s *Service) Types() []*Type { return slices.Clone(s.catalog.now.Load().order) }

// TypesGeneration rises whenever Types would return something else.
func (s *Service) TypesGeneration() int64 { return s.catalog.now.Load().generation }

// Published returns the types as the trust bundle carries them.
func (s *Service) Published() []trust.Type {
	order := s.catalog.now.Load().order
	list := make([]trust.Type, len(order))
	for i, t := range order {
		list[i] = t.Trust()
	}
	return list
}
