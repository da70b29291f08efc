package ca

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Name is a name that an agency may have for its servers. Of two that fit a host the
// more specific one decides whose it is, so that a zone of the city's and one below
// it of a district's do not get into each other's way.
type Name struct {
	Name   string // a host, an IP address, or ".zone" for what is below one
	Agency string
	Actor  string
	At     time.Time
}

// errForeignName is the cause when a host is not the agency's.
var errForeignName = errors.New("a name is not the agency's")

// AddName gives an agency a name. Repeating it changes nothing. It fails with kind
// Invalid for what is no name, or one where anybody may register, NotFound for an
// unknown agency, Denied for one that no issuer certifies, and Conflict for a name
// that another agency has.
func (c *CA) AddName(ctx context.Context, actor, agency, name string) error {
	if !isText(actor, 1, 128) {
		return fault.New(fault.Invalid, "the actor is missing, too long or not printable")
	}
	name, err := profile.ParseGrant(name)
	if err != nil {
		return fault.New(fault.Invalid, "this name cannot be given: "+err.Error())
	}
	a, err := c.agencies.FindAgency(ctx, agency)
	if err != nil {
		return fmt.Errorf("add name: %w", err)
	}
	if _, err := c.issuerOf(a); err != nil {
		return fmt.Errorf("add name: %w", err)
	}
	err = c.db.Update(ctx, func(tx db.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO ca_names (name, agency, actor, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING`,
			name, agency, actor, db.Micros(c.now()))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return cmpErr(err, appendName(ctx, tx, "add", actor, agency, name))
		}
		owner, err := ownerOf(ctx, tx, []string{name})
		if err == nil && owner != agency {
			err = fault.New(fault.Conflict, "another agency has this name")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add name: %w", err)
	}
	return nil
}

// RemoveName takes a name from an agency: no certificate is issued or renewed for it
// from then on, and those that there are stay. Repeating it changes nothing.
func (c *CA) RemoveName(ctx context.Context, actor, agency, name string) error {
	if !isText(actor, 1, 128) || !isText(agency, 1, 128) {
		return fault.New(fault.Invalid, "the actor or the agency is missing, too long or not printable")
	}
	name, err := profile.ParseGrant(name)
	if err != nil {
		return fault.New(fault.Invalid, "no agency has such a name: "+err.Error())
	}
	err = c.db.Update(ctx, func(tx db.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM ca_names WHERE name = $1 AND agency = $2`, name, agency)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return appendName(ctx, tx, "remove", actor, agency, name)
	})
	if err != nil {
		return fmt.Errorf("remove name: %w", err)
	}
	return nil
}

// maxNames is the most that Names returns.
const maxNames = 1000

// Names returns the names of an agency, or of all for "", in their order: at most
// 1000 of those after the given one. It fails with kind Invalid for what is no text.
func (c *CA) Names(ctx context.Context, agency, after string) (list []Name, err error) {
	if !isText(agency, 0, 128) || !isText(after, 0, 256) {
		return nil, fault.New(fault.Invalid, "the agency or the name is too long or not printable")
	}
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		list, err = readNames(ctx, tx, agency, after)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	return list, nil
}

func readNames(ctx context.Context, tx db.Tx, agency, after string) (list []Name, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, agency, actor, created_at FROM ca_names
		WHERE ($1 = '' OR agency = $1) AND name > $2 ORDER BY name LIMIT $3`, agency, after, maxNames)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n Name
		var at int64
		if err := rows.Scan(&n.Name, &n.Agency, &n.Actor, &at); err != nil {
			return nil, err
		}
		n.At = db.Time(at)
		list = append(list, n)
	}
	return list, rows.Err()
}

func appendName(ctx context.Context, tx db.Tx, what, actor, agency, name string) error {
	_, err := audit.Append(ctx, tx, audit.Event{Kind: "certificate.name." + what, Actor: actor, Object: "agency:" + agency, Data: map[string]any{"name": name}})
	return err
}

// ownerOf returns whose the first of the names is that anybody has, "" for none.
func ownerOf(ctx context.Context, tx db.Tx, names []string) (agency string, err error) {
	for _, name := range names {
		err := tx.QueryRowContext(ctx, `SELECT agency FROM ca_names WHERE name = $1`, name).Scan(&agency)
		if !errors.Is(err, sql.ErrNoRows) {
			return agency, err
		}
	}
	return "", nil
}

// checkNames fails with kind Denied unless every host is the agency's.
func checkNames(ctx context.Context, tx db.Tx, row *Certificate) error {
	if row.Profile != profile.SystemServer {
		return nil
	}
	for _, host := range row.hosts {
		owner, err := ownerOf(ctx, tx, profile.Grants(host))
		if err != nil {
			return err
		}
		if owner == "" || owner != row.Agency {
			name := fmt.Sprintf("%.253q", host)
			text := web.Text{ZH: nameRefused.ZH + name, EN: nameRefused.EN + name}
			return web.Explain(fault.Wrap(fault.Denied, text.EN, errForeignName), text)
		}
	}
	return nil
}
