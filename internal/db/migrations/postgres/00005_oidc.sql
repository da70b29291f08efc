-- +goose Up
CREATE TABLE oidc_clients (
    id          TEXT PRIMARY KEY,
    secret_hash BYTEA NOT NULL,
    agency      TEXT REFERENCES registry_agencies (id),
    scopes      TEXT NOT NULL,
    name        TEXT NOT NULL,
    profile     TEXT NOT NULL,
    created     BIGINT NOT NULL,
    disabled    BIGINT NOT NULL DEFAULT 0
);

-- +goose Down
DROP TABLE oidc_clients;
