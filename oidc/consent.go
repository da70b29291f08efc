package oidc

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Consent is what a person lets a client know until they withdraw it.
type Consent struct {
	Client  string
	Scopes  []string
	Created time.Time
}

// standing is what is stored of a person and a client, all "" at first.
type standing struct {
	sub     string
	consent string // its id
	scopes  []string
}

// sector returns whom a person has one sub with: the clients that were given the same
// sector identifier, or else those of an agency (OpenID Connect Core section 8.1).
func (c *client) sector() string {
	if c.SectorIdentifier != "" {
		return "sector:" + c.SectorIdentifier
	}
	if c.Agency != "" {
		return "agency:" + c.Agency
	}
	return "client:" + c.ID
}

func (p *Provider) standing(ctx context.Context, c *client, person string) (st standing, err error) {
	err = p.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		st, err = readStanding(ctx, tx, c, person)
		return err
	})
	if err != nil {
		return standing{}, fmt.Errorf("read consent: %w", err)
	}
	return st, nil
}

func readStanding(ctx context.Context, tx db.Tx, c *client, person string) (st standing, err error) {
	var scopes string
	err = tx.QueryRowContext(ctx, `SELECT s.sub, COALESCE(c.id, ''), COALESCE(c.scopes, '') FROM oidc_subjects s
		LEFT JOIN oidc_consents c ON c.client = $1 AND c.person = s.person WHERE s.sector = $2 AND s.person = $3`,
		c.ID, c.sector(), person).Scan(&st.sub, &st.consent, &scopes)
	if errors.Is(err, sql.ErrNoRows) {
		return standing{}, nil
	}
	st.scopes = strings.Fields(scopes)
	return st, err
}

// giveConsent adds scopes to what the person lets the client know, and returns the
// consent's id and what the client calls the person.
func giveConsent(ctx context.Context, tx db.Tx, c *client, person string, scopes []string, now time.Time) (id, sub string, err error) {
	_, err = tx.ExecContext(ctx, `INSERT INTO oidc_subjects (sector, person, sub, created) VALUES ($1, $2, $3, $4) ON CONFLICT (sector, person) DO NOTHING`,
		c.sector(), person, rand.Text(), db.Micros(now)) // 130 random bits
	if err != nil {
		return "", "", err
	}
	if err := tx.QueryRowContext(ctx, `SELECT sub FROM oidc_subjects WHERE sector = $1 AND person = $2`, c.sector(), person).Scan(&sub); err != nil {
		return "", "", err
	}
	var old string
	err = tx.QueryRowContext(ctx, `SELECT scopes FROM oidc_consents WHERE person = $1 AND client = $2`, person, c.ID).Scan(&old)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", "", err
	}
	all := strings.Fields(old)
	for _, s := range scopes {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO oidc_consents (person, client, id, scopes, created) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (person, client) DO UPDATE SET scopes = excluded.scopes RETURNING id`,
		person, c.ID, db.NewID(), strings.Join(all, " "), db.Micros(now)).Scan(&id)
	if err != nil {
		return "", "", err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.consent.give", Actor: "person:" + person, Object: "client:" + c.ID,
		Data: map[string]any{"scopes": strings.Join(scopes, " ")}})
	return id, sub, err
}

// ListConsents returns what a person lets clients know, by client.
func (p *Provider) ListConsents(ctx context.Context, person string) (list []Consent, err error) {
	err = p.o.DB.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT client, scopes, created FROM oidc_consents WHERE person = $1 ORDER BY client`, person)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var c Consent
			var scopes string
			var created int64
			if err := rows.Scan(&c.Client, &scopes, &created); err != nil {
				return err
			}
			c.Scopes, c.Created = strings.Fields(scopes), db.Time(created)
			list = append(list, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list consents: %w", err)
	}
	return list, nil
}

// WithdrawConsent takes back what a person lets a client know: every grant made under
// it is dead from then on, and the client must ask again. Repeating it is harmless. It
// fails with kind Invalid for an id that no client has.
func (p *Provider) WithdrawConsent(ctx context.Context, actor, person, client string) error {
	if !isClientID(client) {
		return fault.New(fault.Invalid, "this is no client")
	}
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		ok, err := db.Changed(tx.ExecContext(ctx, `DELETE FROM oidc_consents WHERE person = $1 AND client = $2`, person, client))
		if err != nil || !ok {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.consent.withdraw", Actor: actor, Object: "client:" + client,
			Data: map[string]any{"person": person}})
		return err
	})
	if err != nil {
		return fmt.Errorf("withdraw consent: %w", err)
	}
	return nil
}
