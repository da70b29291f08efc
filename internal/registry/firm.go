package registry

import (
	"context"
	"iter"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Firm is a legal person. Its name is public.
type Firm struct {
	USCC     string    `json:"uscc"`
	Name     string    `json:"name"`
	LegalRep string    `json:"legal_rep"`        // the Person.ID of its legal representative
	Created  time.Time `json:"created,omitzero"` // set by AddFirm
}

// ErrFirm is returned when no firm has the code asked for.
var ErrFirm = fault.New(fault.NotFound, "no such firm")

// AddFirm registers a firm and reports whether it was new. It fails with kind
// Invalid for wrong particulars or an unknown legal representative, and with kind
// Conflict if the code is taken by a firm that differs.
func (r *Registry) AddFirm(ctx context.Context, actor string, f Firm) (created bool, err error) {
	if err := checkFirm(f); err != nil {
		return false, err
	}
	event := audit.Event{Kind: "registry.firm.add", Actor: actor, Object: "firm:" + f.USCC, Data: map[string]any{"legal_rep": f.LegalRep}}
	err = r.db.Update(ctx, func(tx db.Tx) error {
		var known int64
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM registry_people WHERE id = $1`, f.LegalRep).Scan(&known); err != nil {
			return err
		}
		if known == 0 {
			return fault.InvalidInput("the firm is not as it should be", fault.Problem{Path: "/legal_rep", Message: "is no registered person"})
		}
		created, err = insert(ctx, tx, event, `INSERT INTO registry_firms (uscc, name, legal_rep, created)
			VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, f.USCC, f.Name, f.LegalRep, db.Micros(r.now()))
		if err != nil || created {
			return err
		}
		old, err := r.FindFirms(ctx, tx, []string{f.USCC})
		if err != nil {
			return err
		}
		if o := old[f.USCC]; o.Name != f.Name || o.LegalRep != f.LegalRep {
			return conflict("the firm")
		}
		return nil
	})
	return created && err == nil, wrap("add firm", err)
}

func checkFirm(f Firm) error {
	c := checker{}
	c.add("/uscc", CheckUSCC(f.USCC))
	c.add("/name", name(f.Name))
	c.add("/legal_rep", slug(f.LegalRep))
	if !f.Created.IsZero() {
		c.problem("/created", "is set by the registry")
	}
	return c.fault("the firm is not as it should be")
}

// FindFirm returns the firm with that code. It fails with ErrFirm if there is none.
func (r *Registry) FindFirm(ctx context.Context, uscc string) (Firm, error) {
	var found map[string]Firm
	err := r.db.Read(ctx, func(tx db.Tx) (err error) {
		found, err = r.FindFirms(ctx, tx, []string{uscc})
		return err
	})
	if err != nil {
		return Firm{}, err
	}
	f, ok := found[uscc]
	if !ok {
		return Firm{}, ErrFirm
	}
	return f, nil
}

// FindFirms returns those of the codes that are registered, by code, in the
// caller's transaction. It fails with kind Invalid for an impossible code.
func (r *Registry) FindFirms(ctx context.Context, tx db.Tx, usccs []string) (map[string]Firm, error) {
	for _, uscc := range usccs {
		if err := CheckUSCC(uscc); err != nil {
			return nil, err
		}
	}
	found := make(map[string]Firm, len(usccs))
	for args, list := range chunks(usccs) {
		rows, err := tx.QueryContext(ctx, `SELECT uscc, name, legal_rep, created FROM registry_firms WHERE uscc IN `+list, args...)
		some, err := collect(rows, err, scanFirm)
		if err != nil {
			return nil, wrap("find firms", err)
		}
		for _, f := range some {
			found[f.USCC] = f
		}
	}
	return found, nil
}

// ListFirms returns at most limit firms (1 to 1000) with codes after the given
// one, in the order of their codes; "" begins.
func (r *Registry) ListFirms(ctx context.Context, after string, limit int) (list []Firm, err error) {
	err = r.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT uscc, name, legal_rep, created FROM registry_firms
			WHERE uscc > $1 ORDER BY uscc LIMIT $2`, after, min(max(limit, 1), 1000))
		list, err = collect(rows, err, scanFirm)
		return err
	})
	return list, wrap("list firms", err)
}

func scanFirm(f *Firm) ([]any, func()) {
	var created int64
	return []any{&f.USCC, &f.Name, &f.LegalRep, &created}, func() { f.Created = db.Time(created) }
}

// chunks cuts values into groups for "IN": the arguments and their placeholders.
// Groups are filled up to a power of two with their last value, so that an engine
// meets ten different statements and not a thousand.
func chunks[T any](values []T) iter.Seq2[[]any, string] {
	const most = 512
	return func(yield func([]any, string) bool) {
		for len(values) > 0 {
			n := min(len(values), most)
			args := make([]any, 0, most)
			for _, v := range values[:n] {
				args = append(args, v)
			}
			for len(args)&(len(args)-1) != 0 {
				args = append(args, values[n-1])
			}
			if values = values[n:]; !yield(args, db.Values(1, len(args))) {
				return
			}
		}
	}
}
