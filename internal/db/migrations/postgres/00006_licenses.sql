-- +goose Up
CREATE TABLE licenses (
    id           TEXT PRIMARY KEY,
    number       TEXT NOT NULL UNIQUE,
    type         TEXT NOT NULL,
    agency       TEXT NOT NULL,
    holder_kind  TEXT NOT NULL,
    holder       TEXT NOT NULL, -- USCC of a firm, id of a person
    record       BYTEA NOT NULL, -- sealed: the claims and data as they were approved
    status       TEXT NOT NULL, -- signing, issued, suspended, revoked
    reason       TEXT NOT NULL DEFAULT '',
    place        BIGINT NOT NULL UNIQUE, -- where its status stands, see index.go
    client       TEXT NOT NULL,
    request_key  TEXT NOT NULL, -- the client's idempotency key
    request_hash BYTEA NOT NULL,
    not_after    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL,
    UNIQUE (client, request_key)
);
CREATE INDEX licenses_holder ON licenses (holder, holder_kind);
CREATE INDEX licenses_signing ON licenses (created_at) WHERE status = 'signing';
CREATE INDEX licenses_listed ON licenses (place) WHERE status IN ('revoked', 'suspended');

CREATE TABLE permits (
    license   TEXT PRIMARY KEY REFERENCES licenses (id),
    key       TEXT NOT NULL, -- of the keyring
    issued_at BIGINT NOT NULL,
    body      BYTEA NOT NULL  -- sealed: EL1 text
);

CREATE TABLE license_acts (
    client       TEXT NOT NULL,
    request_key  TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    license      TEXT NOT NULL REFERENCES licenses (id),
    at           BIGINT NOT NULL,
    PRIMARY KEY (client, request_key)
);

-- Counters are leased in blocks, so that no issue waits for another's row.
CREATE TABLE license_counters (
    name TEXT PRIMARY KEY,
    next BIGINT NOT NULL
);

-- +goose Down
DROP TABLE license_counters;
DROP TABLE license_acts;
DROP TABLE permits;
DROP TABLE licenses;
