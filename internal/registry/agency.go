package registry

import (
	"context"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Level is the level of government that an agency belongs to.
type Level string

// The two levels.
const (
	City     Level = "city"
	District Level = "district"
)

// Agency is a body of the city or of one of its districts.
type Agency struct {
	ID        string    `json:"id"` // lowercase letters, digits and hyphens
	USCC      string    `json:"uscc"`
	NameZH    string    `json:"name_zh"`
	NameEN    string    `json:"name_en"`
	Level     Level     `json:"level"`
	Parent    string    `json:"parent,omitzero"` // the agency above, "" for none
	Area      string    `json:"area"`            // GB/T 2260: NNNN00 for a city, otherwise a district
	Issuer    string    `json:"issuer"`          // the CA that certifies it
	Successor string    `json:"successor,omitzero"`
	Created   time.Time `json:"created,omitzero"` // set by AddAgency
}

// ErrAgency is returned when no agency has the id asked for.
var ErrAgency = fault.New(fault.NotFound, "no such agency")

// AddAgency registers an agency and reports whether it was new. It fails with
// kind Invalid for wrong particulars or an unknown parent, and with kind Conflict
// if the id or the code is taken by an agency that differs.
func (r *Registry) AddAgency(ctx context.Context, actor string, a Agency) (created bool, err error) {
	if err := checkAgency(a); err != nil {
		return false, err
	}
	a.Created = r.now()
	event := audit.Event{Kind: "registry.agency.add", Actor: actor, Object: "agency:" + a.ID, Data: map[string]any{
		"uscc": a.USCC, "level": string(a.Level), "parent": a.Parent, "area": a.Area, "issuer": a.Issuer, "name_zh": a.NameZH, "name_en": a.NameEN,
	}}
	err = r.db.Update(ctx, func(tx db.Tx) error {
		if err := checkParent(ctx, tx, a); err != nil {
			return err
		}
		created, err = insert(ctx, tx, event, `INSERT INTO registry_agencies
			(id, uscc, name_zh, name_en, level, parent, area, issuer, created)
			VALUES ($1, $2, $3, $4, $5, NULLIF($6, ''), $7, $8, $9) ON CONFLICT DO NOTHING`,
			a.ID, a.USCC, a.NameZH, a.NameEN, string(a.Level), a.Parent, a.Area, a.Issuer, db.Micros(a.Created))
		if err != nil {
			return err
		}
		if created {
			return bump(ctx, tx)
		}
		old, err := agencies(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if len(old) == 0 || !sameAgency(old[0], a) {
			return conflict("the agency's id or code")
		}
		return nil
	})
	if created && err == nil {
		r.changed()
	}
	return created && err == nil, wrap("add agency", err)
}

// sameAgency compares what AddAgency sets.
func sameAgency(old, a Agency) bool {
	old.Created, old.Successor = a.Created, a.Successor
	return old == a
}

func checkAgency(a Agency) error {
	c := checker{}
	c.add("/id", slug(a.ID))
	c.add("/uscc", CheckUSCC(a.USCC))
	c.add("/name_zh", name(a.NameZH))
	c.add("/name_en", name(a.NameEN))
	c.add("/issuer", slug(a.Issuer))
	c.add("/area", areaOfLevel(a.Level, a.Area))
	if a.Parent != "" {
		c.add("/parent", slug(a.Parent))
	}
	if a.Parent == a.ID && a.ID != "" {
		c.problem("/parent", "is the agency itself")
	}
	if a.Successor != "" {
		c.problem("/successor", "is set when one agency takes over from another")
	}
	if !a.Created.IsZero() {
		c.problem("/created", "is set by the registry")
	}
	return c.fault("the agency is not as it should be")
}

func areaOfLevel(level Level, area string) error {
	if err := CheckArea(area); err != nil {
		return err
	}
	switch whole := area[4:] == "00"; {
	case level != City && level != District:
		return fault.New(fault.Invalid, "the level is city or district")
	case level == City && !whole:
		return fault.New(fault.Invalid, "a city's area ends in 00")
	case level == District && whole:
		return fault.New(fault.Invalid, "a district's area does not end in 00")
	}
	return nil
}

// checkParent finds the parent: an agency of the city whose area holds the child's.
func checkParent(ctx context.Context, tx db.Tx, a Agency) error {
	if a.Parent == "" {
		return nil
	}
	found, err := agencies(ctx, tx, a.Parent)
	if err != nil {
		return err
	}
	if len(found) == 0 || found[0].Level != City || !Covers(found[0].Area, a.Area) {
		return fault.InvalidInput("the agency is not as it should be",
			fault.Problem{Path: "/parent", Message: "is no agency of the city around it"})
	}
	return nil
}

// FindAgency returns the agency with the given id, or ErrAgency. The answer may
// be a second old.
func (r *Registry) FindAgency(ctx context.Context, id string) (Agency, error) {
	v, err := r.current(ctx, viewAge)
	if err != nil {
		return Agency{}, wrap("find agency", err)
	}
	a, ok := v.find(id)
	if !ok {
		return Agency{}, ErrAgency
	}
	return a, nil
}

// ListAgencies returns every agency in the order of their ids, as of now.
func (r *Registry) ListAgencies(ctx context.Context) ([]Agency, error) {
	v, err := r.current(ctx, 0)
	if err != nil {
		return nil, wrap("list agencies", err)
	}
	return slices.Clone(v.agencies), nil
}
