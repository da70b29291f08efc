package licenses

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const (
	maxTypes    = 1000    // of one city: hundreds are expected
	maxVersions = 999     // of one type
	maxAllTypes = 8 << 20 // bytes of the newest files together: half of what a bundle may be
	addAttempts = 8       // to add a version while others add theirs
)

// EventType is the kind of the event of a version of a type that was added.
const EventType = "license.type.add"

// CheckType says whether AddType would take a file now, and which version it would
// be. It fails with kind Invalid and every problem at once.
func (s *Service) CheckType(ctx context.Context, body []byte) (*Type, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	t, _, err := s.checkType(s.catalog.now.Load(), body)
	return t, err
}

// AddType adds a type, or the next version of one, from its file, and reports
// whether it was new: the file of the newest version added once more is answered
// with that version. Licences issued from then on are of the new version, and the
// next bundle carries it. It fails with kind Invalid, naming every problem at once,
// for a file that is wrong or takes from permits what they carry.
func (s *Service) AddType(ctx context.Context, caller web.Caller, body []byte) (t *Type, added bool, err error) {
	for range addAttempts {
		if err := s.refresh(ctx); err != nil {
			return nil, false, err
		}
		c := s.catalog.now.Load()
		t, known, err := s.checkType(c, body)
		if err != nil || known {
			return t, false, err
		}
		switch err := s.insertType(ctx, caller, c.generation, t); {
		case err == nil:
			s.metrics.types.Inc()
			return t, true, s.refresh(ctx)
		case !errors.Is(err, errTypesMoved):
			return nil, false, fmt.Errorf("add licence type: %w", err)
		}
	}
	return nil, false, fault.New(fault.Unavailable, "others are adding licence types: try again")
}

// checkType reads a file and holds it against the catalogue. known says that it is
// the newest version already.
func (s *Service) checkType(c *catalog, body []byte) (t *Type, known bool, err error) {
	t, err = ParseType(body)
	if err != nil {
		return nil, false, wrongFile(err)
	}
	old := c.newest(t.ID)
	t.Version, t.body = 1, bytes.Clone(body)
	if old != nil {
		if bytes.Equal(old.body, body) {
			return old, true, nil
		}
		t.Version = old.Version + 1
	}
	var problems []fault.Problem
	if old != nil {
		problems = t.follows(old)
	}
	problems = append(problems, c.clashes(t)...)
	if len(problems) > 0 {
		return nil, false, fault.InvalidInput("the licence type cannot be added", problems...)
	}
	return t, false, nil
}

// clashes says what a type shares with another that must be its own, and what a
// bundle with it would not carry.
func (c *catalog) clashes(t *Type) (problems []fault.Problem) {
	all, size := []*Type{t}, len(t.body)
	for _, o := range c.order {
		if o.ID == t.ID {
			continue
		}
		all, size = append(all, o), size+len(o.body)
		if o.Code == t.Code {
			problems = append(problems, fault.Problem{Path: "/code", Message: "is the code of " + o.ID})
		}
		if o.Identifier == t.Identifier {
			problems = append(problems, fault.Problem{Path: "/identifier", Message: "is the identifier of " + o.ID})
		}
		if t.Dictionary != "" && o.Dictionary == t.Dictionary {
			problems = append(problems, fault.Problem{Path: "/dictionary", Message: "is the dictionary of " + o.ID})
		}
	}
	switch {
	case len(all) > maxTypes:
		problems = append(problems, fault.Problem{Message: fmt.Sprintf("a city has at most %d types", maxTypes)})
	case size > maxAllTypes:
		problems = append(problems, fault.Problem{Message: "all types together would be too large for a bundle"})
	case t.Version > maxVersions:
		problems = append(problems, fault.Problem{Message: fmt.Sprintf("a type has at most %d versions", maxVersions)})
	}
	if len(problems) == 0 {
		if err := published(all); err != nil {
			problems = append(problems, fault.Problem{Message: "no bundle could carry it: " + err.Error()})
		}
	}
	return problems
}

// wrongFile turns what ParseType says into problems, one for each line.
func wrongFile(err error) error {
	var problems []fault.Problem
	for _, line := range strings.Split(err.Error(), "\n") {
		line = strings.TrimSpace(line)
		if n := len(problems); n > 0 && strings.HasPrefix(line, "- ") { // the schema's own list
			problems[n-1].Message += " " + line
			continue
		}
		path, message, ok := strings.Cut(line, ": ")
		if path = "/" + path; !ok || path == "/yaml" || strings.ContainsAny(path, " \t") {
			path, message = "", line
		}
		problems = append(problems, fault.Problem{Path: path, Message: message})
	}
	return fault.InvalidInput("the type file has problems", problems...)
}

// errTypesMoved says that another version was added since the catalogue was read.
var errTypesMoved = errors.New("the licence types have moved on")

// insertType stores a version that was checked against a generation of the
// catalogue, if that is still the last one: what two add at once is checked against
// each other.
func (s *Service) insertType(ctx context.Context, caller web.Caller, generation int64, t *Type) error {
	sum := sha256.Sum256(t.body)
	now := s.now()
	return s.db.Update(ctx, func(tx db.Tx) error {
		var next []int64
		rows, err := tx.QueryContext(ctx, `INSERT INTO license_counters (name, next) VALUES ($1, 1)
			ON CONFLICT (name) DO UPDATE SET next = license_counters.next + 1 WHERE license_counters.next = $2 RETURNING next`, typesCounter, generation)
		if err != nil {
			return err
		}
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				return errors.Join(err, rows.Close())
			}
			next = append(next, n)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if !slices.Equal(next, []int64{generation + 1}) {
			return errTypesMoved
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO license_types (id, version, body, added_by, added_at) VALUES ($1, $2, $3, $4, $5)",
			t.ID, t.Version, t.body, caller.Actor(), db.Micros(now))
		if err != nil {
			return err
		}
		if _, err := audit.Append(ctx, tx, audit.Event{Kind: EventType, Actor: caller.Actor(), Object: "license_type:" + t.ID,
			Data: map[string]any{"version": int64(t.Version), "code": int64(t.Code), "file": sum[:]}}); err != nil {
			return err
		}
		return db.Notify(ctx, tx, typesTopic)
	})
}
