-- +goose Up
-- Where a client's people may be sent back to, separated by spaces; none for programs.
ALTER TABLE oidc_clients ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '';

-- What a client calls a person: another name in every sector (an agency, or a client that
-- belongs to none), so that agencies cannot put together what they know.
CREATE TABLE oidc_subjects (
    sector  TEXT NOT NULL,
    person  TEXT NOT NULL REFERENCES registry_people (id),
    sub     TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    PRIMARY KEY (sector, person)
) STRICT;

-- What a person lets a client know. A grant lives only as long as the consent it was made
-- under: id is another one when consent is given again after it was withdrawn.
CREATE TABLE oidc_consents (
    person  TEXT NOT NULL REFERENCES registry_people (id),
    client  TEXT NOT NULL REFERENCES oidc_clients (id),
    id      TEXT NOT NULL,
    scopes  TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (person, client)
) STRICT;

-- Requests that wait for a person. browser is the hash of a cookie.
CREATE TABLE oidc_interactions (
    id       TEXT PRIMARY KEY,
    browser  BLOB NOT NULL,
    request  TEXT NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    outcome  TEXT NOT NULL DEFAULT '',
    grant_id TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX oidc_interactions_by_expires ON oidc_interactions (expires);

-- A code and the family of tokens that comes of it. Rows come and go with every sign-in, so
-- they refer to others without foreign keys, whose checks would lock a client's row again and
-- again. expires is set once: what redeeming changes stands in no index.
CREATE TABLE oidc_grants (
    id           TEXT PRIMARY KEY,
    person       TEXT NOT NULL,
    client       TEXT NOT NULL,
    session      TEXT NOT NULL,
    consent      TEXT NOT NULL,
    sub          TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    firm         TEXT NOT NULL,
    firm_name    TEXT NOT NULL,
    acr          TEXT NOT NULL,
    amr          TEXT NOT NULL,
    auth_time    INTEGER NOT NULL,
    code_hash    BLOB NOT NULL,
    challenge    TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    nonce        TEXT NOT NULL,
    created      INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    redeemed     INTEGER NOT NULL DEFAULT 0,
    generation   INTEGER NOT NULL DEFAULT 0,
    rotated      INTEGER NOT NULL DEFAULT 0,
    ended        INTEGER NOT NULL DEFAULT 0,
    reason       TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX oidc_grants_by_expires ON oidc_grants (expires);

CREATE TABLE oidc_refresh_tokens (
    grant_id   TEXT NOT NULL REFERENCES oidc_grants (id) ON DELETE CASCADE,
    hash       BLOB NOT NULL,
    generation INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    PRIMARY KEY (grant_id, hash)
) STRICT;

-- +goose Down
DROP TABLE oidc_refresh_tokens;
DROP TABLE oidc_grants;
DROP TABLE oidc_interactions;
DROP TABLE oidc_consents;
DROP TABLE oidc_subjects;
ALTER TABLE oidc_clients DROP COLUMN redirect_uris;
