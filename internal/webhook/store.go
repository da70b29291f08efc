package webhook

import (
	"context"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// subscription is a row of webhook_subscriptions.
type subscription struct {
	id, area, agency, url      string
	types                      []string
	client, requestKey         string
	hash                       []byte
	rotateKey                  string
	since, created, generation int64
	secret, previous           []byte // sealed
	rotated                    int64
	failing, disabled, removed int64
	reason                     string
}

const columns = `id, area, agency, url, types, client, request_key, request_hash, rotate_key, since, created, generation, secret, previous, rotated, failing, disabled, removed, reason`

// find returns the subscriptions for which where holds, the oldest first.
func find(ctx context.Context, tx db.Tx, where string, args ...any) ([]*subscription, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+columns+` FROM webhook_subscriptions WHERE `+where+` ORDER BY id`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []*subscription
	for rows.Next() {
		var u subscription
		var types string
		err := rows.Scan(&u.id, &u.area, &u.agency, &u.url, &types, &u.client, &u.requestKey, &u.hash, &u.rotateKey, &u.since, &u.created,
			&u.generation, &u.secret, &u.previous, &u.rotated, &u.failing, &u.disabled, &u.removed, &u.reason)
		if err != nil {
			return nil, err
		}
		u.types = strings.Fields(types)
		list = append(list, &u)
	}
	return list, rows.Err()
}

// live returns a subscription of whatever area, errNone if there is none or it was removed.
func live(ctx context.Context, tx db.Tx, id string) (*subscription, error) {
	list, err := find(ctx, tx, `id = $1 AND removed = 0`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errNone
	}
	return list[0], nil
}

func (u *subscription) insert(ctx context.Context, tx db.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO webhook_subscriptions (id, area, agency, url, types, client, request_key, request_hash, since, created, secret)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		u.id, u.area, u.agency, u.url, strings.Join(u.types, " "), u.client, u.requestKey, u.hash, u.since, u.created, u.secret)
	return err
}

// previousUntil returns until when the secret before signs too, zero if it does not.
func (u *subscription) previousUntil(now time.Time) time.Time {
	if until := db.Time(u.rotated).Add(overlap); u.rotated > 0 && len(u.previous) > 0 && now.Before(until) {
		return until
	}
	return time.Time{}
}
