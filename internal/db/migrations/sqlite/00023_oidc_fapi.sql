-- +goose Up
-- How a client proves itself, and the form of what it is given. The defaults are what clients had before.
-- What is encrypted for a client is "ALG ENC"; lists are separated by spaces.
ALTER TABLE oidc_clients ADD COLUMN auth_method TEXT NOT NULL DEFAULT 'client_secret_basic';
ALTER TABLE oidc_clients ADD COLUMN jwks TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN jwks_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN dpop INTEGER NOT NULL DEFAULT 0;
ALTER TABLE oidc_clients ADD COLUMN id_token_alg TEXT NOT NULL DEFAULT 'ES256';
ALTER TABLE oidc_clients ADD COLUMN id_token_enc TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN userinfo_enc TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN sector TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN default_acr TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN contacts TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN post_logout_redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN backchannel_logout_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_clients ADD COLUMN backchannel_logout_session INTEGER NOT NULL DEFAULT 0;

-- The key that a code is bound to (RFC 9449 section 10), and the claims asked for one by one.
ALTER TABLE oidc_grants ADD COLUMN jkt TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_grants ADD COLUMN id_claims TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_grants ADD COLUMN info_claims TEXT NOT NULL DEFAULT '';

-- Requests that clients have pushed (RFC 9126). hash is that of the secret part of request_uri;
-- interaction is what the request has led to, for a browser that loads its address again.
CREATE TABLE oidc_pushed (
    hash        BLOB PRIMARY KEY,
    client      TEXT NOT NULL,
    request     TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    used        INTEGER NOT NULL DEFAULT 0,
    interaction TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX oidc_pushed_by_expires ON oidc_pushed (expires);

-- What may come once: hashes of the identifiers of client assertions and of proofs of keys.
CREATE TABLE oidc_once (
    hash    BLOB PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX oidc_once_by_expires ON oidc_once (expires);

-- +goose Down
DROP TABLE oidc_once;
DROP TABLE oidc_pushed;
ALTER TABLE oidc_grants DROP COLUMN info_claims;
ALTER TABLE oidc_grants DROP COLUMN id_claims;
ALTER TABLE oidc_grants DROP COLUMN jkt;
ALTER TABLE oidc_clients DROP COLUMN backchannel_logout_session;
ALTER TABLE oidc_clients DROP COLUMN backchannel_logout_uri;
ALTER TABLE oidc_clients DROP COLUMN post_logout_redirect_uris;
ALTER TABLE oidc_clients DROP COLUMN contacts;
ALTER TABLE oidc_clients DROP COLUMN default_acr;
ALTER TABLE oidc_clients DROP COLUMN sector;
ALTER TABLE oidc_clients DROP COLUMN userinfo_enc;
ALTER TABLE oidc_clients DROP COLUMN id_token_enc;
ALTER TABLE oidc_clients DROP COLUMN id_token_alg;
ALTER TABLE oidc_clients DROP COLUMN dpop;
ALTER TABLE oidc_clients DROP COLUMN jwks_uri;
ALTER TABLE oidc_clients DROP COLUMN jwks;
ALTER TABLE oidc_clients DROP COLUMN auth_method;
