package oidc

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json/jsontext"
	"errors"
	"strings"

	"github.com/signet-city/signet/internal/db"
)

const clientColumns = `id, secret_hash, COALESCE(agency, ''), scopes, name, profile, created, disabled, redirect_uris, auth_method, jwks, jwks_uri, dpop,
	id_token_alg, id_token_enc, userinfo_enc, sector, default_acr, contacts, post_logout_redirect_uris, backchannel_logout_uri, backchannel_logout_session, expires`

func scanClient(row interface{ Scan(...any) error }) (*client, error) {
	var c client
	var hash []byte
	var scopes, redirects, jwks, idEnc, infoEnc, contacts, logouts string
	var created, disabled, dpop, sid, expires int64
	err := row.Scan(&c.ID, &hash, &c.Agency, &scopes, &c.Name, &c.Profile, &created, &disabled, &redirects, &c.AuthMethod, &jwks, &c.JWKSURI, &dpop,
		&c.IDTokenAlg, &idEnc, &infoEnc, &c.SectorIdentifier, &c.DefaultACR, &contacts, &logouts, &c.BackchannelLogoutURI, &sid, &expires)
	if err != nil {
		return nil, err
	}
	if copy(c.hash[:], hash) != len(c.hash) {
		return nil, errors.New("stored hash is too short")
	}
	c.Profile, c.Sandbox = strings.CutPrefix(c.Profile, sandboxPrefix)
	c.Expires = db.Time(expires)
	c.Scopes, c.Created, c.Disabled = strings.Fields(scopes), db.Time(created), db.Time(disabled)
	c.RedirectURIs, c.Contacts, c.PostLogoutRedirectURIs = fields(redirects), fields(contacts), fields(logouts)
	c.DPoP, c.BackchannelLogoutSessionRequired = dpop != 0, sid != 0
	c.IDTokenKeyAlg, c.IDTokenEnc, _ = strings.Cut(idEnc, " ")
	c.UserinfoKeyAlg, c.UserinfoEnc, _ = strings.Cut(infoEnc, " ")
	if jwks != "" {
		c.JWKS = jsontext.Value(jwks)
		if c.keys, err = parseJWKS(c.JWKS); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// fields splits a list that was joined by spaces, nil for an empty one.
func fields(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Fields(s)
}

func readClient(ctx context.Context, tx db.Tx, id string) (*client, error) {
	c, err := scanClient(tx.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM oidc_clients WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrClient
	}
	return c, err
}

// particulars are the columns that UpdateClient may write, in the order of values.
const particulars = `scopes, name, redirect_uris, jwks, jwks_uri, dpop, id_token_alg, id_token_enc, userinfo_enc, default_acr, contacts,
	post_logout_redirect_uris, backchannel_logout_uri, backchannel_logout_session`

func (c *Client) values() []any {
	number := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	return []any{strings.Join(c.Scopes, " "), c.Name, strings.Join(c.RedirectURIs, " "), string(c.JWKS), c.JWKSURI, number(c.DPoP), c.IDTokenAlg,
		pair(c.IDTokenKeyAlg, c.IDTokenEnc), pair(c.UserinfoKeyAlg, c.UserinfoEnc), c.DefaultACR, strings.Join(c.Contacts, " "),
		strings.Join(c.PostLogoutRedirectURIs, " "), c.BackchannelLogoutURI, number(c.BackchannelLogoutSessionRequired)}
}

// pair is how an encryption is stored, and told: "" for none.
func pair(alg, enc string) string { return strings.TrimSpace(alg + " " + enc) }

// storedProfile is the profile as it is stored: a client of the sandbox is none to a
// release that knows no sandbox.
func (c *Client) storedProfile() string {
	if c.Sandbox {
		return sandboxPrefix + c.Profile
	}
	return c.Profile
}

// insertClient writes a client unless its id is taken.
func insertClient(ctx context.Context, tx db.Tx, c Client, hash [sha256.Size]byte) (bool, error) {
	values := append(c.values(), c.ID, hash[:], sql.NullString{String: c.Agency, Valid: c.Agency != ""}, c.storedProfile(), db.Micros(c.Created), c.AuthMethod,
		c.SectorIdentifier, db.Micros(c.Expires))
	return db.Changed(tx.ExecContext(ctx, `INSERT INTO oidc_clients (`+particulars+`, id, secret_hash, agency, profile, created, auth_method, sector, expires) VALUES `+
		db.Values(1, len(values))+` ON CONFLICT DO NOTHING`, values...))
}

// eventData is what the log tells of a client. Keys are told by their thumbprints.
func (c *Client) eventData() map[string]any {
	data := map[string]any{"agency": c.Agency, "scopes": strings.Join(c.Scopes, " "), "profile": c.Profile, "name": c.Name,
		"redirect_uris": strings.Join(c.RedirectURIs, " "), "auth_method": c.AuthMethod}
	for name, value := range map[string]string{"keys": thumbprints(c.JWKS), "jwks_uri": c.JWKSURI, "sector": c.SectorIdentifier, "default_acr": c.DefaultACR,
		"post_logout_redirect_uris": strings.Join(c.PostLogoutRedirectURIs, " "), "backchannel_logout_uri": c.BackchannelLogoutURI,
		"id_token_alg": c.IDTokenAlg, "id_token_encryption": pair(c.IDTokenKeyAlg, c.IDTokenEnc), "userinfo_encryption": pair(c.UserinfoKeyAlg, c.UserinfoEnc)} {
		if value != "" {
			data[name] = value
		}
	}
	if c.DPoP {
		data["dpop"] = true
	}
	return data
}
