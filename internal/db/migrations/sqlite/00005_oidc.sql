-- +goose Up
CREATE TABLE oidc_clients (
    id          TEXT PRIMARY KEY,
    secret_hash BLOB NOT NULL,
    agency      TEXT REFERENCES registry_agencies (id),
    scopes      TEXT NOT NULL,
    name        TEXT NOT NULL,
    profile     TEXT NOT NULL,
    created     INTEGER NOT NULL,
    disabled    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- +goose Down
DROP TABLE oidc_clients;
