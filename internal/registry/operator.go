package registry

import (
	"context"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// Role is what an operator is there for.
type Role string

// The roles of the city's staff.
const (
	RoleOperator Role = "operator" // runs the service and the register
	RoleOfficer  Role = "officer"  // answers for the keys
)

// Operator is a member of the city's staff. ID stands in audit events; the name is
// encrypted at rest.
type Operator struct {
	ID      string
	Name    string
	Role    Role
	Created time.Time // set by AddOperator
}

// String returns the ID.
func (o Operator) String() string { return "operator " + o.ID }

// AddOperator registers an operator and reports whether they were new. It fails
// with kind Invalid for wrong particulars and Conflict if the id is taken by an
// operator who differs.
func (r *Registry) AddOperator(ctx context.Context, actor string, o Operator) (created bool, err error) {
	if err := checkOperator(o); err != nil {
		return false, err
	}
	sealed, err := r.seal(ctx, "operator:"+o.ID, personal{Name: o.Name})
	if err != nil {
		return false, wrap("add operator", err)
	}
	event := audit.Event{Kind: "registry.operator.add", Actor: actor, Object: "operator:" + o.ID, Data: map[string]any{"role": string(o.Role)}}
	err = r.db.Update(ctx, func(tx db.Tx) error {
		created, err = insert(ctx, tx, event, `INSERT INTO registry_operators (id, role, sealed, created)
			VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, o.ID, string(o.Role), sealed, db.Micros(r.now()))
		return err
	})
	if err != nil || created {
		return created && err == nil, wrap("add operator", err)
	}
	all, err := r.ListOperators(ctx)
	if err != nil {
		return false, wrap("add operator", err)
	}
	for _, old := range all {
		if old.ID == o.ID && old.Name == o.Name && old.Role == o.Role {
			return false, nil
		}
	}
	return false, conflict("the operator")
}

func checkOperator(o Operator) error {
	c := checker{}
	c.add("/id", slug(o.ID))
	c.add("/name", name(o.Name))
	if o.Role != RoleOperator && o.Role != RoleOfficer {
		c.problem("/role", "is operator or officer")
	}
	if !o.Created.IsZero() {
		c.problem("/created", "is set by the registry")
	}
	return c.fault("the operator is not as they should be")
}

// ListOperators returns every operator in the order of their ids.
func (r *Registry) ListOperators(ctx context.Context) ([]Operator, error) {
	var list []Operator
	var sealed [][]byte
	err := r.db.Read(ctx, func(tx db.Tx) error {
		sealed = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, role, sealed, created FROM registry_operators`)
		list, err = collect(rows, err, func(o *Operator) ([]any, func()) {
			var created int64
			var data []byte
			return []any{&o.ID, &o.Role, &data, &created}, func() {
				o.Created = db.Time(created)
				sealed = append(sealed, data)
			}
		})
		return err
	})
	if err != nil {
		return nil, wrap("list operators", err)
	}
	for i := range list {
		p, err := r.unseal(ctx, "operator:"+list[i].ID, sealed[i])
		if err != nil {
			return nil, wrap("list operators", err)
		}
		list[i].Name = p.Name
	}
	sortBy(list, func(o Operator) string { return o.ID })
	return list, nil
}
