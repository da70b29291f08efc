package registry

import (
	"context"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Authority says that an agency may issue licences of a type in an area, from
// From until Until (exclusive), both whole seconds.
type Authority struct {
	Agency string    `json:"agency"`
	Type   string    `json:"type"`
	Area   string    `json:"area"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
}

// Authorize lets an agency issue licences of a type and reports whether that was
// new. It fails with kind NotFound for an unknown agency, Invalid for an area
// outside the agency's or dates out of order, and Conflict if the same authority
// begins at the same moment with another end.
func (r *Registry) Authorize(ctx context.Context, actor string, a Authority) (created bool, err error) {
	if err := checkAuthority(a); err != nil {
		return false, err
	}
	err = r.db.Update(ctx, func(tx db.Tx) error {
		found, err := agencies(ctx, tx, a.Agency)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrAgency
		}
		if !Covers(found[0].Area, a.Area) {
			return fault.InvalidInput("the authority is not as it should be",
				fault.Problem{Path: "/area", Message: "is outside the agency's area"})
		}
		created, err = a.insert(ctx, tx, actor, r.now())
		if err != nil {
			return err
		}
		if created {
			return bump(ctx, tx)
		}
		return sameEnd(ctx, tx, a)
	})
	if created && err == nil {
		r.changed()
	}
	return created && err == nil, wrap("authorize agency", err)
}

// insert writes the authority and its event, and reports whether it was new.
func (a Authority) insert(ctx context.Context, tx db.Tx, actor string, now time.Time) (bool, error) {
	event := audit.Event{Kind: "registry.agency.authorize", Actor: actor, Object: "agency:" + a.Agency, Data: map[string]any{
		"type": a.Type, "area": a.Area, "from": a.From.Unix(), "until": a.Until.Unix(),
	}}
	return insert(ctx, tx, event, `INSERT INTO registry_authorities (agency, type, area, starts, ends, created)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		a.Agency, a.Type, a.Area, db.Micros(a.From), db.Micros(a.Until), db.Micros(now))
}

func sameEnd(ctx context.Context, tx db.Tx, a Authority) error {
	var until int64
	if err := tx.QueryRowContext(ctx, `SELECT ends FROM registry_authorities
		WHERE agency = $1 AND type = $2 AND area = $3 AND starts = $4`,
		a.Agency, a.Type, a.Area, db.Micros(a.From)).Scan(&until); err != nil {
		return err
	}
	if until != db.Micros(a.Until) {
		return conflict("the authority")
	}
	return nil
}

func checkAuthority(a Authority) error {
	c := checker{}
	c.add("/agency", slug(a.Agency))
	c.add("/type", slug(a.Type))
	c.add("/area", CheckArea(a.Area))
	if a.From.Unix() <= 0 || a.From.Nanosecond() != 0 || a.Until.Nanosecond() != 0 || a.Until.Year() > 9999 {
		c.problem("/from", "from and until are whole seconds between 1970 and 9999")
	}
	if !a.Until.After(a.From) {
		c.problem("/until", "is not after from")
	}
	return c.fault("the authority is not as it should be")
}

// ListAuthorities returns every authority ever given, past ones too, ordered by
// agency, type, area and beginning, as of now.
func (r *Registry) ListAuthorities(ctx context.Context) ([]Authority, error) {
	v, err := r.current(ctx, 0)
	if err != nil {
		return nil, wrap("list authorities", err)
	}
	return slices.Clone(v.authorities), nil
}

// MayIssue reports whether the agency has authority at that moment for licences
// of the type in the area. The answer may be a second old.
func (r *Registry) MayIssue(ctx context.Context, agency, licenseType, area string, at time.Time) (bool, error) {
	v, err := r.current(ctx, viewAge)
	if err != nil {
		return false, wrap("check authority", err)
	}
	return v.mayIssue(agency, licenseType, area, at), nil
}

func (v *view) mayIssue(agency, licenseType, area string, at time.Time) bool {
	return slices.ContainsFunc(v.byAgency[agencyType{agency, licenseType}], func(a Authority) bool {
		return Covers(a.Area, area) && !at.Before(a.From) && at.Before(a.Until)
	})
}
