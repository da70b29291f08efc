-- +goose Up
-- Public keys that get no certificate. spki is the SHA-256 of the SubjectPublicKeyInfo in DER.
CREATE TABLE ca_blocked_keys (
    spki       BLOB PRIMARY KEY,
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Names that agencies may have for their servers: a host, an IP address, or '.zone' for what is below a
-- zone. Of two that fit a host the longer one decides whose it is.
CREATE TABLE ca_names (
    name       TEXT PRIMARY KEY,
    agency     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX ca_names_agency ON ca_names (agency, name);

-- Requests for certificates that an officer decides on. Times are 0 until they happen. An approved one
-- becomes issued or failed as soon as the certificate is made or refused.
CREATE TABLE ca_requests (
    id           TEXT PRIMARY KEY,
    agency       TEXT NOT NULL, -- whose certificate it is, '' for firms and citizens
    profile      TEXT NOT NULL,
    firm         TEXT NOT NULL,
    person       TEXT NOT NULL,
    issuer       TEXT NOT NULL,
    name         TEXT NOT NULL,
    hosts        TEXT NOT NULL, -- separated by spaces
    csr          BLOB NOT NULL,
    not_before   INTEGER NOT NULL,
    not_after    INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'issued', 'rejected', 'withdrawn', 'expired', 'failed')),
    requester    TEXT NOT NULL,
    request_key  TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    decider      TEXT NOT NULL DEFAULT '',
    decide_key   TEXT NOT NULL DEFAULT '',
    reason       TEXT NOT NULL DEFAULT '',
    note         TEXT NOT NULL DEFAULT '', -- why it failed
    serial       TEXT NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    decided_at   INTEGER NOT NULL DEFAULT 0,
    changed_at   INTEGER NOT NULL,
    UNIQUE (requester, request_key)
) STRICT;
CREATE INDEX ca_requests_agency ON ca_requests (agency, id);
CREATE INDEX ca_requests_open ON ca_requests (state, id) WHERE state IN ('waiting', 'approved');

-- +goose Down
DROP TABLE ca_requests;
DROP TABLE ca_names;
DROP TABLE ca_blocked_keys;
