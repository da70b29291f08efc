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

// The profiles of clients. Both have a secret.
const (
	// ProfileService is a program that acts for itself, with the client
	// credentials grant.
	ProfileService = "service"
	// ProfileBasic is a site that signs people in, with the authorization code
	// grant, PKCE and rotated refresh tokens.
	ProfileBasic = "basic"

	// deskClientID stands for the desk where callers are told apart; it has no secret.
	deskClientID = "desk"
)

// Client is a program that is given tokens.
type Client struct {
	ID       string    `json:"id"` // lowercase letters, digits and hyphens; AddClient makes one if ""
	Name     string    `json:"name"`
	Agency   string    `json:"agency,omitzero"` // whose program it is, "" for the city's own
	Scopes   []string  `json:"scopes"`          // what it may ask for
	Profile  string    `json:"profile"`         // ProfileService or ProfileBasic
	Created  time.Time `json:"created,omitzero"`
	Disabled time.Time `json:"disabled,omitzero"` // zero while it is not

	// RedirectURIs are where people are sent back to, for ProfileBasic: https
	// addresses, or http on localhost and 127.0.0.1, compared character by
	// character.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
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
	scopes, redirects := strings.Join(c.Scopes, " "), strings.Join(c.RedirectURIs, " ")
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO oidc_clients (id, secret_hash, agency, scopes, name, profile, created, redirect_uris)
			VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			c.ID, hash[:], c.Agency, scopes, c.Name, c.Profile, db.Micros(c.Created), redirects)
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
			Data: map[string]any{"agency": c.Agency, "scopes": scopes, "profile": c.Profile, "name": c.Name, "redirect_uris": redirects}})
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

const clientColumns = `id, secret_hash, COALESCE(agency, ''), scopes, name, profile, created, disabled, redirect_uris`

func scanClient(row interface{ Scan(...any) error }) (*client, error) {
	var c client
	var hash []byte
	var scopes, redirects string
	var created, disabled int64
	if err := row.Scan(&c.ID, &hash, &c.Agency, &scopes, &c.Name, &c.Profile, &created, &disabled, &redirects); err != nil {
		return nil, err
	}
	if copy(c.hash[:], hash) != len(c.hash) {
		return nil, errors.New("stored hash is too short")
	}
	c.Scopes, c.Created, c.Disabled = strings.Fields(scopes), db.Time(created), db.Time(disabled)
	if redirects != "" {
		c.RedirectURIs = strings.Fields(redirects)
	}
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
	bad(c.ID == deskClientID, "/id", "is the id under which officers' desks act")
	bad(!isName(c.Name), "/name", "must be 1 to 120 visible characters")
	switch c.Profile {
	case ProfileService:
		bad(!p.serviceScopes(c.Scopes), "/scopes", "must be 1 to 32 different scopes for programs that this service knows")
		bad(len(c.RedirectURIs) > 0, "/redirect_uris", "are for clients that sign people in")
	case ProfileBasic:
		bad(!areScopes(c.Scopes) || !slices.Contains(c.Scopes, scopeOpenID) || slices.ContainsFunc(c.Scopes, isNotForPeople),
			"/scopes", "must be openid and any of "+strings.Join(peopleScopes[1:], ", "))
		bad(len(c.RedirectURIs) < 1 || len(c.RedirectURIs) > 16 || repeats(c.RedirectURIs), "/redirect_uris", "must be 1 to 16 different addresses")
		for i, uri := range c.RedirectURIs {
			err := checkRedirect(uri)
			bad(err != nil, fmt.Sprintf("/redirect_uris/%d", i), fmt.Sprint(err))
		}
	default:
		bad(true, "/profile", `must be "service" or "basic"`)
	}
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

// serviceScopes reports whether a program may be given these scopes. Those for
// people are never among them.
func (p *Provider) serviceScopes(scopes []string) bool {
	return areScopes(scopes) && !slices.ContainsFunc(scopes, func(s string) bool {
		return !isNotForPeople(s) || p.o.Scopes != nil && !slices.Contains(p.o.Scopes, s)
	})
}

func areScopes(scopes []string) bool {
	return len(scopes) >= 1 && len(scopes) <= 32 && !repeats(scopes) && !slices.ContainsFunc(scopes, func(s string) bool { return !isScope(s) })
}

func repeats(list []string) bool {
	for i, s := range list {
		if slices.Contains(list[:i], s) {
			return true
		}
	}
	return false
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

func (c *client) GetID() string                   { return c.ID }
func (c *client) GetHashedSecret() []byte         { return c.hash[:] }
func (c *client) GetRedirectURIs() []string       { return c.RedirectURIs }
func (c *client) GetScopes() fosite.Arguments     { return c.Scopes }
func (c *client) IsPublic() bool                  { return false }
func (c *client) GetAudience() fosite.Arguments   { return nil }
func (c *client) GetGrantTypes() fosite.Arguments { return grantsOf[c.Profile] }
func (c *client) GetResponseTypes() fosite.Arguments {
	if c.Profile == ProfileBasic {
		return fosite.Arguments{responseCode}
	}
	return nil
}

// grantsOf says which grants a profile may use.
var grantsOf = map[string]fosite.Arguments{
	ProfileService: {grantClientCredentials},
	ProfileBasic:   {grantCode, grantRefresh},
}
