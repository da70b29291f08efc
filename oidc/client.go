package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/jsontext"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// The profiles of clients.
const (
	// ProfileService is a program that acts for itself, with the client
	// credentials grant.
	ProfileService = "service"
	// ProfileFAPI2 is a site that signs people in by the FAPI 2.0 Security Profile:
	// it pushes its requests, proves itself with a key, and has its tokens bound to
	// one.
	ProfileFAPI2 = "fapi2"
	// ProfileBasic is an older site that signs people in, with the authorization
	// code grant, PKCE and rotated refresh tokens.
	ProfileBasic = "basic"

	// deskClientID stands for the desk where callers are told apart; it has no secret.
	deskClientID = "desk"
)

// How a client proves itself (OpenID Connect Core section 9).
const (
	AuthSecret = "client_secret_basic" // the default, but for ProfileFAPI2
	AuthKey    = "private_key_jwt"     // RFC 7523
)

// Client is a program that is given tokens. Its members are named as in RFC 7591 and
// OpenID Connect Dynamic Client Registration where those have a name.
type Client struct {
	ID       string    `json:"id"` // lowercase letters, digits and hyphens; AddClient makes one if ""
	Name     string    `json:"name"`
	Agency   string    `json:"agency,omitzero"` // whose program it is, "" for the city's own
	Scopes   []string  `json:"scopes"`          // what it may ask for
	Profile  string    `json:"profile"`         // ProfileService, ProfileFAPI2 or ProfileBasic
	Created  time.Time `json:"created,omitzero"`
	Disabled time.Time `json:"disabled,omitzero"` // zero while it is not

	// Sandbox is set for a client that AddSandboxClient made: it is shown invented people
	// and nobody else, until Expires.
	Sandbox bool      `json:"sandbox,omitzero"`
	Expires time.Time `json:"expires,omitzero"`

	// RedirectURIs are where people are sent back to, for sites: https addresses, or
	// http on localhost and 127.0.0.1, compared character by character.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	AuthMethod string         `json:"token_endpoint_auth_method,omitzero"` // AuthSecret or AuthKey; "" means the profile's default
	JWKS       jsontext.Value `json:"jwks,omitzero"`                       // its public keys (RFC 7517 section 5), instead of JWKSURI
	JWKSURI    string         `json:"jwks_uri,omitzero"`                   // the https address where they are
	DPoP       bool           `json:"dpop_bound_access_tokens,omitzero"`   // every token is bound to a key (RFC 9449); always for ProfileFAPI2

	IDTokenAlg       string `json:"id_token_signed_response_alg,omitzero"`    // ES256, the default, EdDSA or, for ProfileBasic alone, RS256
	IDTokenKeyAlg    string `json:"id_token_encrypted_response_alg,omitzero"` // "" leaves ID tokens in the clear
	IDTokenEnc       string `json:"id_token_encrypted_response_enc,omitzero"`
	UserinfoKeyAlg   string `json:"userinfo_encrypted_response_alg,omitzero"` // "" leaves userinfo in the clear
	UserinfoEnc      string `json:"userinfo_encrypted_response_enc,omitzero"`
	DefaultACR       string `json:"default_acr,omitzero"`       // asked for by a request that asks for none
	SectorIdentifier string `json:"sector_identifier,omitzero"` // a host name; clients that share it share a person's sub; "" means the agency

	Contacts []string `json:"contacts,omitempty"` // mail addresses

	// Where a person may be sent after signing out, and where the site is told that a
	// session has ended (OpenID Connect RP-Initiated Logout and Back-Channel Logout).
	PostLogoutRedirectURIs           []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI             string   `json:"backchannel_logout_uri,omitzero"`
	BackchannelLogoutSessionRequired bool     `json:"backchannel_logout_session_required,omitzero"`
}

// signsIn reports whether the client signs people in.
func (c *Client) signsIn() bool { return c.Profile == ProfileBasic || c.Profile == ProfileFAPI2 }

// ErrClient is returned when no client has the id asked for.
var ErrClient = fault.New(fault.NotFound, "no such client")

// AddClient registers a client and returns it with its secret, which cannot be
// had again and is "" for a client that proves itself with a key. It fails with kind Invalid for wrong particulars or an unknown
// agency, and with kind Conflict if the id is taken.
func (p *Provider) AddClient(ctx context.Context, actor string, c Client) (Client, string, error) {
	c.fill()
	if strings.HasPrefix(c.ID, sandboxPrefix) {
		return Client{}, "", fault.InvalidInput("the client is not as it should be", fault.Problem{Path: "/id", Message: "must not begin with " + sandboxPrefix})
	}
	if err := p.checkClient(ctx, c); err != nil {
		return Client{}, "", err
	}
	if err := p.needKeys(ctx, c.IDTokenAlg, actor); err != nil {
		return Client{}, "", err
	}
	if c.ID == "" {
		c.ID = db.NewID()
	}
	c.Created = db.Time(db.Micros(p.o.Now()))
	// A client with keys has a secret that nobody knows: the column is never empty.
	secret, hash := newSecret()
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		ok, err := insertClient(ctx, tx, c, hash)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Conflict, "there is a client with this id; its secret is not shown again")
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.client.add", Actor: actor, Object: "client:" + c.ID, Data: c.eventData()})
		return err
	})
	if err != nil {
		return Client{}, "", fmt.Errorf("add client: %w", err)
	}
	if c.AuthMethod == AuthKey {
		secret = ""
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

// client is a Client with its secret's hash, as fosite sees it.
type client struct {
	Client
	hash [sha256.Size]byte
	keys []jose.JSONWebKey // of JWKS
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
	if c.signsIn() {
		return fosite.Arguments{responseCode}
	}
	return nil
}

// grantsOf says which grants a profile may use.
var grantsOf = map[string]fosite.Arguments{
	ProfileService: {grantClientCredentials},
	ProfileBasic:   {grantCode, grantRefresh},
	ProfileFAPI2:   {grantCode, grantRefresh},
}
