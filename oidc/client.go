package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ory/fosite"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// ProfileService is the profile of a program that acts for itself, with the
// client credentials grant and a secret.
const ProfileService = "service"

// Client is a program that is given tokens.
type Client struct {
	ID       string    `json:"id"` // lowercase letters, digits and hyphens; AddClient makes one if ""
	Name     string    `json:"name"`
	Agency   string    `json:"agency,omitzero"` // whose program it is, "" for the city's own
	Scopes   []string  `json:"scopes"`          // what it may ask for
	Profile  string    `json:"profile"`         // ProfileService
	Created  time.Time `json:"created,omitzero"`
	Disabled time.Time `json:"disabled,omitzero"` // zero while it is not
}

// ErrClient is returned when no client has the id asked for.
var ErrClient = fault.New(fault.NotFound, "no such client")

// AddClient registers a client and returns it with its secret, which cannot be
// had again. It fails with kind Invalid for wrong particulars or an unknown
// agency, and with kind Conflict if the id is taken.
func (p *Provider) AddClient(ctx context.Context, actor string, c Client) (Client, string, error) {
	if err := p.checkClient(ctx, c); err != nil {
		return Client{}, "", err
	}
	if c.ID == "" {
		c.ID = db.NewID()
	}
	c.Created = db.Time(db.Micros(p.o.Now()))
	secret, hash := newSecret()
	scopes := strings.Join(c.Scopes, " ")
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO oidc_clients (id, secret_hash, agency, scopes, name, profile, created)
			VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			c.ID, hash[:], c.Agency, scopes, c.Name, c.Profile, db.Micros(c.Created))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "there is a client with this id; its secret is not shown again")
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.client.add", Actor: actor, Object: "client:" + c.ID,
			Data: map[string]any{"agency": c.Agency, "scopes": scopes, "profile": c.Profile, "name": c.Name}})
		return err
	})
	if err != nil {
		return Client{}, "", fmt.Errorf("add client: %w", err)
	}
	return c, secret, nil
}

// newSecret returns 256 random bits as text, and their hash.
func newSecret() (string, [sha256.Size]byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	secret := base64.RawURLEncoding.EncodeToString(b[:])
	return secret, sha256.Sum256([]byte(secret))
}

// DisableClient ends a client: it gets no more tokens, and within two seconds no
// replica accepts those it has. Repeating it is harmless. It fails with ErrClient
// if there is none.
func (p *Provider) DisableClient(ctx context.Context, actor, id string) error {
	if !isClientID(id) {
		return ErrClient
	}
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		if _, err := readClient(ctx, tx, id); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE oidc_clients SET disabled = $1 WHERE id = $2 AND disabled = 0`,
			db.Micros(p.o.Now()), id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.client.disable", Actor: actor, Object: "client:" + id})
		return err
	})
	if err != nil {
		return fmt.Errorf("disable client: %w", err)
	}
	p.clients.forget(id)
	return nil
}

// ListClients returns every client in the order of their ids.
func (p *Provider) ListClients(ctx context.Context) ([]Client, error) {
	var list []Client
	err := p.o.DB.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT `+clientColumns+` FROM oidc_clients`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			c, err := scanClient(rows)
			if err != nil {
				return err
			}
			list = append(list, c.Client)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	slices.SortFunc(list, func(a, b Client) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

const clientColumns = `id, secret_hash, COALESCE(agency, ''), scopes, name, profile, created, disabled`

func scanClient(row interface{ Scan(...any) error }) (*client, error) {
	var c client
	var hash []byte
	var scopes string
	var created, disabled int64
	if err := row.Scan(&c.ID, &hash, &c.Agency, &scopes, &c.Name, &c.Profile, &created, &disabled); err != nil {
		return nil, err
	}
	if copy(c.hash[:], hash) != len(c.hash) {
		return nil, errors.New("stored hash is too short")
	}
	c.Scopes, c.Created, c.Disabled = strings.Fields(scopes), db.Time(created), db.Time(disabled)
	return &c, nil
}

func readClient(ctx context.Context, tx db.Tx, id string) (*client, error) {
	c, err := scanClient(tx.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM oidc_clients WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrClient
	}
	return c, err
}

func (p *Provider) checkClient(ctx context.Context, c Client) error {
	var problems []fault.Problem
	bad := func(wrong bool, path, message string) {
		if wrong {
			problems = append(problems, fault.Problem{Path: path, Message: message})
		}
	}
	bad(c.ID != "" && !isClientID(c.ID), "/id", "must be 1 to 64 lowercase letters, digits and hyphens")
	bad(!isName(c.Name), "/name", "must be 1 to 120 visible characters")
	bad(c.Profile != ProfileService, "/profile", `must be "service"`)
	bad(!p.knownScopes(c.Scopes), "/scopes", "must be 1 to 32 different scopes that this service knows")
	bad(!c.Created.IsZero() || !c.Disabled.IsZero(), "/created", "is set by the service")
	if c.Agency != "" {
		_, err := p.o.Agencies.FindAgency(ctx, c.Agency)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return fmt.Errorf("add client: %w", err)
		}
		bad(err != nil, "/agency", "is no agency")
	}
	if len(problems) > 0 {
		return fault.InvalidInput("the client is not as it should be", problems...)
	}
	return nil
}

func (p *Provider) knownScopes(scopes []string) bool {
	for i, s := range scopes {
		if !isScope(s) || slices.Contains(scopes[:i], s) || p.o.Scopes != nil && !slices.Contains(p.o.Scopes, s) {
			return false
		}
	}
	return len(scopes) >= 1 && len(scopes) <= 32
}

func isClientID(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func isName(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= 120 && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// isScope reports whether s is a scope-token of RFC 6749 section 3.3, and short.
func isScope(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// client is a Client with its secret's hash, as fosite sees it.
type client struct {
	Client
	hash [sha256.Size]byte
}

var _ fosite.Client = (*client)(nil)

// The methods of fosite.Client.

func (c *client) GetID() string                      { return c.ID }
func (c *client) GetHashedSecret() []byte            { return c.hash[:] }
func (c *client) GetRedirectURIs() []string          { return nil }
func (c *client) GetGrantTypes() fosite.Arguments    { return fosite.Arguments{grantClientCredentials} }
func (c *client) GetResponseTypes() fosite.Arguments { return nil }
func (c *client) GetScopes() fosite.Arguments        { return c.Scopes }
func (c *client) IsPublic() bool                     { return false }
func (c *client) GetAudience() fosite.Arguments      { return nil }
