package ca

import (
	"context"
	"fmt"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
)

// Filter says which certificates List returns. Empty fields do not restrict.
type Filter struct {
	Agency  string
	Status  Status
	Profile profile.Kind
	After   string // only serial numbers after this one
	Limit   int    // at most so many; 0, and everything over 1000, means 1000
}

// List returns certificates in the order of their serial numbers.
func (c *CA) List(ctx context.Context, f Filter) (list []Certificate, err error) {
	if f.Limit <= 0 || f.Limit > maxList {
		f.Limit = maxList
	}
	where, args := `serial > $1`, []any{f.After}
	for column, value := range map[string]string{"agency": f.Agency, "status": string(f.Status), "profile": string(f.Profile)} {
		if value != "" {
			args = append(args, value)
			where += fmt.Sprintf(" AND %s = $%d", column, len(args))
		}
	}
	args = append(args, f.Limit)
	where += fmt.Sprintf(" ORDER BY serial LIMIT $%d", len(args))
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		list, err = listCertificates(ctx, tx, where, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return list, nil
}
