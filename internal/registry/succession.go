package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// handOverAfter is how long after a succession the authorities change hands. A
// replica may act on what it knew a second ago, and what it has begun must be signed
// before the authority ends: a permit from after that is none.
const handOverAfter = 2 * time.Minute

// maxSuccessions bounds how often agencies were merged, renamed or split one after
// the other.
const maxSuccessions = 64

// Succession says that one agency takes the place of another: of a merged or renamed
// one for everything, of a split one for a type of licence. What the former agency
// issued stays what it is.
type Succession struct {
	Agency      string `json:"-"`
	Successor   string `json:"successor"`
	Type        string `json:"type,omitzero"`        // only for licences of this type
	Authorities bool   `json:"authorities,omitzero"` // the authorities change hands too, two minutes later
}

// Succeed records that one agency has taken another's place, once and for all.
// Repeating it is harmless. With Authorities, whatever the former agency may issue
// ends for it and begins for the successor at one moment, which is why the
// successor's area must cover theirs. It fails with kind NotFound if either agency
// does not exist, Invalid for a circle or an area that is too small, and Conflict if
// another agency has taken over.
func (r *Registry) Succeed(ctx context.Context, actor string, s Succession) error {
	if err := cmpErr(slug(s.Agency), slug(s.Successor)); err != nil {
		return ErrAgency
	}
	if s.Type != "" && slug(s.Type) != nil {
		return fault.InvalidInput("the succession is not as it should be", fault.Problem{Path: "/type", Message: "is no licence type"})
	}
	err := r.db.Update(ctx, func(tx db.Tx) error {
		// Taken first, the version row makes successions wait for each other, so
		// that two at once cannot close a circle.
		if err := bump(ctx, tx); err != nil {
			return err
		}
		if err := s.record(ctx, tx, actor, r.now()); err != nil || !s.Authorities {
			return err
		}
		return s.handOver(ctx, tx, actor, r.now())
	})
	if err == nil {
		r.changed()
	}
	return wrap("succeed agency", err)
}

// record writes the succession, unless it stands already.
func (s Succession) record(ctx context.Context, tx db.Tx, actor string, now time.Time) error {
	v := &view{}
	if err := v.load(ctx, tx, nil); err != nil {
		return err
	}
	former, known := v.find(s.Agency)
	if _, there := v.find(s.Successor); !known || !there {
		return ErrAgency
	}
	standing := former.Successor
	if s.Type != "" {
		standing = v.handovers[agencyType{s.Agency, s.Type}]
	}
	switch {
	case standing == s.Successor:
		return nil
	case standing != "":
		return fault.New(fault.Conflict, "another agency has taken over already")
	case s.closes(v):
		return fault.New(fault.Invalid, "an agency cannot succeed itself")
	}
	data := map[string]any{"successor": s.Successor}
	query, args := `UPDATE registry_agencies SET successor = $1 WHERE id = $2`, []any{s.Successor, s.Agency}
	if s.Type != "" {
		data["type"] = s.Type
		query = `INSERT INTO registry_handovers (successor, agency, type, created) VALUES ($1, $2, $3, $4)`
		args = append(args, s.Type, db.Micros(now))
	}
	if _, err := tx.ExecContext(ctx, query, args...); err != nil {
		return err
	}
	_, err := audit.Append(ctx, tx, audit.Event{Kind: "registry.agency.succeed", Actor: actor, Object: "agency:" + s.Agency, Data: data})
	return err
}

// closes reports whether the succession would lead an agency back to itself, for any
// type.
func (s Succession) closes(v *view) bool {
	types := map[string]bool{s.Type: true}
	for key := range v.handovers {
		types[key.licenseType] = types[key.licenseType] || s.Type == ""
	}
	for t, in := range types {
		elsewhere := s.Type == "" && v.handovers[agencyType{s.Agency, t}] != ""
		if in && !elsewhere && v.inherits(s.Agency, s.Successor, t) {
			return true
		}
	}
	return false
}

// handOver ends the former agency's authorities and begins the successor's.
func (s Succession) handOver(ctx context.Context, tx db.Tx, actor string, now time.Time) error {
	at := now.Add(handOverAfter).UTC().Truncate(time.Second)
	found, err := agencies(ctx, tx, s.Successor)
	if err != nil {
		return err
	}
	all, err := authorities(ctx, tx)
	if err != nil {
		return err
	}
	c := checker{}
	for _, a := range all {
		if a.Agency != s.Agency || s.Type != "" && a.Type != s.Type || !a.Until.After(at) {
			continue
		}
		if !Covers(found[0].Area, a.Area) {
			c.problem("/successor", fmt.Sprintf("has an area that does not cover %s, where the other may issue %s", a.Area, a.Type))
			continue
		}
		if err := a.move(ctx, tx, actor, s.Successor, at); err != nil {
			return err
		}
	}
	return c.fault("the authorities cannot change hands")
}

// move ends an authority at a moment and begins the successor's.
func (a Authority) move(ctx context.Context, tx db.Tx, actor, successor string, at time.Time) error {
	query := `UPDATE registry_authorities SET ends = $1 WHERE agency = $2 AND type = $3 AND area = $4 AND starts = $5`
	args := []any{db.Micros(at), a.Agency, a.Type, a.Area, db.Micros(a.From)}
	if !a.From.Before(at) { // it has not begun, and does not
		query, args = `DELETE FROM registry_authorities WHERE agency = $1 AND type = $2 AND area = $3 AND starts = $4`, args[1:]
	}
	if _, err := tx.ExecContext(ctx, query, args...); err != nil {
		return err
	}
	_, err := audit.Append(ctx, tx, audit.Event{Kind: "registry.agency.deauthorize", Actor: actor, Object: "agency:" + a.Agency,
		Data: map[string]any{"type": a.Type, "area": a.Area, "from": a.From.Unix(), "until": at.Unix()}})
	if err != nil {
		return err
	}
	a.Agency = successor
	if a.From.Before(at) {
		a.From = at
	}
	_, err = a.insert(ctx, tx, actor, at)
	return err
}

// Inherits reports whether an agency is the one named or has taken its place for
// licences of a type, however many others did in between. The answer may be a second
// old.
func (r *Registry) Inherits(ctx context.Context, agency, former, licenseType string) (bool, error) {
	v, err := r.current(ctx, viewAge)
	if err != nil {
		return false, wrap("follow successions", err)
	}
	return v.inherits(agency, former, licenseType), nil
}

func (v *view) inherits(agency, former, licenseType string) bool {
	return agency != "" && slices.Contains(v.line(former, licenseType), agency)
}

// handovers returns who took an agency's place for a type alone.
func handovers(ctx context.Context, tx db.Tx) (map[agencyType]string, error) {
	type handover struct {
		from agencyType
		to   string
	}
	rows, err := tx.QueryContext(ctx, `SELECT agency, type, successor FROM registry_handovers`)
	list, err := collect(rows, err, func(h *handover) ([]any, func()) {
		return []any{&h.from.agency, &h.from.licenseType, &h.to}, func() {}
	})
	taken := make(map[agencyType]string, len(list))
	for _, h := range list {
		taken[h.from] = h.to
	}
	return taken, err
}
