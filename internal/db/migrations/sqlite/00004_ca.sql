-- +goose Up
-- Written last in the ceremony: without this row there is no city.
CREATE TABLE ca_state (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    plan      BLOB NOT NULL, -- the reviewed file
    root      BLOB NOT NULL, -- DER
    statement BLOB NOT NULL, -- the root statement's file
    held_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE ca_issuers (
    id    TEXT PRIMARY KEY,
    level TEXT NOT NULL CHECK (level IN ('city', 'district')),
    area  TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE ca_certificates (
    serial       TEXT PRIMARY KEY, -- lowercase hex
    issuer       TEXT NOT NULL,    -- 'root', or an id of ca_issuers
    issuer_key   TEXT NOT NULL,    -- key of the keyring that signs, 'root' for the root's
    shard        INTEGER NOT NULL, -- of the issuer's CRLs; 0 for the root itself
    profile      TEXT NOT NULL,
    agency       TEXT NOT NULL,    -- '' for the city's own
    subject      TEXT NOT NULL,    -- common name
    status       TEXT NOT NULL CHECK (status IN ('intent', 'issued', 'revoked', 'abandoned')),
    tbs_hash     BLOB NOT NULL,    -- SHA-256 of what was linted
    key_hash     BLOB NOT NULL,    -- SHA-256 of the subject's public key
    der          BLOB,             -- NULL until it is issued
    not_before   INTEGER NOT NULL,
    not_after    INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    request_key  TEXT,             -- the actor's idempotency key
    request_hash BLOB NOT NULL,
    reason       INTEGER NOT NULL DEFAULT 0,
    revoked_at   INTEGER NOT NULL DEFAULT 0,
    revoke_key   TEXT,             -- who revoked it under which idempotency key
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    UNIQUE (actor, request_key)
) STRICT;
CREATE INDEX ca_certificates_key ON ca_certificates (key_hash);
CREATE INDEX ca_certificates_agency ON ca_certificates (agency, serial);
CREATE INDEX ca_certificates_intent ON ca_certificates (created_at) WHERE status = 'intent';
CREATE INDEX ca_certificates_revoked ON ca_certificates (issuer, shard) WHERE status = 'revoked';

-- A shard is one CRL of one CA key: the certificates that name its address.
CREATE TABLE ca_shards (
    issuer      TEXT NOT NULL,
    shard       INTEGER NOT NULL,
    issuer_key  TEXT NOT NULL,
    url         TEXT NOT NULL,
    leased      INTEGER NOT NULL,           -- places given out, in blocks
    changes     INTEGER NOT NULL DEFAULT 0, -- counts revocations
    reserved    INTEGER NOT NULL DEFAULT 0, -- last CRL number given out
    busy_until  INTEGER NOT NULL DEFAULT 0, -- somebody is making one
    number      INTEGER NOT NULL DEFAULT 0, -- of the published CRL, 0 for none
    covered     INTEGER NOT NULL DEFAULT 0, -- changes that it covers
    der         BLOB,
    this_update INTEGER NOT NULL DEFAULT 0,
    next_update INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (issuer, shard)
) STRICT;

-- Who of the replicas does something that one should do.
CREATE TABLE ca_turns (
    name  TEXT PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE ca_turns;
DROP TABLE ca_shards;
DROP TABLE ca_certificates;
DROP TABLE ca_issuers;
DROP TABLE ca_state;
