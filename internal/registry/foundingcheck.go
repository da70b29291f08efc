package registry

import (
	"context"
	"database/sql"
	"errors"

	"github.com/signet-city/signet/internal/db"
)

// CheckFounded says what is missing of what FoundTx wrote for a firm, by its USCC, and
// the person who was its legal representative then: the firm, the name that it took,
// and the delegation, withdrawn or not. The problems go on behind "the founding".
func (r *Registry) CheckFounded(ctx context.Context, tx db.Tx, firm, person string) (problems []string, err error) {
	var name string
	var delegations int64
	err = tx.QueryRowContext(ctx, `SELECT name, (SELECT COUNT(*) FROM registry_delegations d
		WHERE d.firm = f.uscc AND d.person = $2 AND d.ends IS NULL AND d.created = f.created) FROM registry_firms f WHERE uscc = $1`, firm, person).Scan(&name, &delegations)
	if errors.Is(err, sql.ErrNoRows) {
		return []string{"names a firm that is not in the register"}, nil
	}
	if err != nil {
		return nil, wrap("check founded firm", err)
	}
	if delegations != 1 {
		problems = append(problems, "has no delegation of the legal representative")
	}
	var holder string
	err = tx.QueryRowContext(ctx, `SELECT firm FROM registry_firm_names WHERE name = $1`, foldName(name)).Scan(&holder)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, wrap("check founded firm", err)
	}
	if holder != firm {
		problems = append(problems, "has a firm whose name is not taken by it")
	}
	return problems, nil
}
