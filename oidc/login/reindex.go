package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
)

// accountIndex finds accounts by username.
func accountIndex() registry.Index {
	return registry.Index{Table: "login_accounts", Key: "person", Hashes: "login_lookups"}
}

// accountUnder returns the account that stands under one of the hashes, nil if none
// does.
func accountUnder(ctx context.Context, tx db.Tx, lookups [][]byte) (*account, error) {
	args := make([]any, len(lookups))
	for i, hash := range lookups {
		args[i] = hash
	}
	var a account
	err := tx.QueryRowContext(ctx, "SELECT person, password, sealed FROM login_accounts WHERE lookup IN "+db.Values(1, len(args)), args...).
		Scan(&a.person, &a.password, &a.sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &a, err
}

// Reindex hashes again the usernames of at most limit accounts (1 to 1000) whose
// persons come after the given one, "" for the first, under every generation of
// the sealer's secret: the username is sealed in the account. It returns how many
// were not up to date and where the next page begins, "" after the last. It may be
// repeated, be cut off anywhere, and run while people sign in. It fails if an
// account cannot be opened, and with kind Conflict when two have one username;
// no account of the page is changed then.
func (s *Service) Reindex(ctx context.Context, after string, limit int) (next string, n int, err error) {
	limit = min(max(limit, 1), 1000)
	rows, err := s.page(ctx, after, limit)
	if err == nil && len(rows) > 0 {
		n, err = accountIndex().Move(ctx, s.o.DB, rows)
	}
	if err != nil {
		return "", 0, fmt.Errorf("reindex accounts: %w", err)
	}
	if len(rows) == limit {
		next = rows[limit-1].Key
	}
	return next, n, nil
}

// page returns accounts with the hashes of their usernames.
func (s *Service) page(ctx context.Context, after string, limit int) (list []registry.Hashed, err error) {
	var sealed [][]byte
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT person, lookup, sealed FROM login_accounts WHERE person > $1 ORDER BY person LIMIT $2`, after, limit)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var h registry.Hashed
			var data []byte
			if err := rows.Scan(&h.Key, &h.Lookup, &data); err != nil {
				return err
			}
			list, sealed = append(list, h), append(sealed, data)
		}
		return rows.Err()
	})
	for i := range list {
		if err != nil {
			break
		}
		var a sealedAccount
		if a, err = s.openAccount(ctx, list[i].Key, sealed[i]); err == nil {
			list[i].Lookups, err = s.lookups(ctx, a.Username)
		}
		if err != nil {
			err = fmt.Errorf("account of %s: %w", list[i].Key, err)
		}
	}
	return list, err
}
