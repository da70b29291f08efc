-- +goose Up
-- Until when a client of the sandbox lives; 0 for every other. The profile of such a client is stored as 'sandbox-fapi2'
-- or 'sandbox-basic', which the release before this one knows no grants for: to it the client can do nothing.
ALTER TABLE oidc_clients ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
CREATE INDEX oidc_clients_expiry ON oidc_clients (expires) WHERE expires > 0;

-- How many of them there are, in its one row, so that the bound holds whoever races.
CREATE TABLE oidc_sandbox_room (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    taken INTEGER NOT NULL
) STRICT;
INSERT INTO oidc_sandbox_room (one, taken) VALUES (1, 0);

-- Where a test persona is signed in: at one client, in one browser. id is that of the interaction that it began with, so
-- that an answer which is sent twice begins one. browser is the hash of a cookie, sid what the client calls the session.
CREATE TABLE oidc_sandbox_sessions (
    id      TEXT PRIMARY KEY,
    client  TEXT NOT NULL,
    persona TEXT NOT NULL,
    firm    TEXT NOT NULL,
    acr     TEXT NOT NULL,
    browser BLOB NOT NULL,
    sid     TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX oidc_sandbox_sessions_by_client ON oidc_sandbox_sessions (client, browser);
CREATE INDEX oidc_sandbox_sessions_by_expires ON oidc_sandbox_sessions (expires);

-- +goose Down
DROP TABLE oidc_sandbox_sessions;
DROP TABLE oidc_sandbox_room;
DROP INDEX oidc_clients_expiry;
ALTER TABLE oidc_clients DROP COLUMN expires;
