-- +goose Up
CREATE TABLE licenses (
    id           TEXT PRIMARY KEY,
    number       TEXT NOT NULL UNIQUE,
    type         TEXT NOT NULL,
    agency       TEXT NOT NULL,
    holder_kind  TEXT NOT NULL,
    holder       TEXT NOT NULL, -- USCC of a firm, id of a person
    record       BLOB NOT NULL, -- sealed: the claims and data as they were approved
    status       TEXT NOT NULL, -- signing, issued, suspended, revoked
    reason       TEXT NOT NULL DEFAULT '',
    place        INTEGER NOT NULL UNIQUE, -- where its status stands, see index.go
    client       TEXT NOT NULL,
    request_key  TEXT NOT NULL, -- the client's idempotency key
    request_hash BLOB NOT NULL,
    not_after    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    UNIQUE (client, request_key)
) STRICT;
CREATE INDEX licenses_holder ON licenses (holder, holder_kind);
CREATE INDEX licenses_signing ON licenses (created_at) WHERE status = 'signing';
CREATE INDEX licenses_listed ON licenses (place) WHERE status IN ('revoked', 'suspended');

CREATE TABLE permits (
    license   TEXT PRIMARY KEY REFERENCES licenses (id),
    key       TEXT NOT NULL, -- of the keyring
    issued_at INTEGER NOT NULL,
    body      BLOB NOT NULL  -- sealed: EL1 text
) STRICT;

CREATE TABLE license_acts (
    client       TEXT NOT NULL,
    request_key  TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    license      TEXT NOT NULL REFERENCES licenses (id),
    at           INTEGER NOT NULL,
    PRIMARY KEY (client, request_key)
) STRICT;

-- Counters are leased in blocks, so that no issue waits for another's row.
CREATE TABLE license_counters (
    name TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE license_counters;
DROP TABLE license_acts;
DROP TABLE permits;
DROP TABLE licenses;
