-- +goose Up
-- Who may ask for and approve what takes two people. version counts the changes to the set of officers:
-- who came with a later one than a request was made under may not approve it. Every transaction that
-- depends on the set updates this row first.
CREATE TABLE approval_state (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL,
    quorum  BYTEA -- JSON: the keys kept offline for when no two officers are left, NULL before the founding
);
INSERT INTO approval_state (one, version) VALUES (1, 0);

-- handle names the officer to authenticators. A removed officer's row stays, for what they signed.
CREATE TABLE officers (
    person     TEXT PRIMARY KEY REFERENCES registry_people (id),
    handle     BYTEA NOT NULL UNIQUE,
    since      BIGINT NOT NULL, -- version with which they came
    added_at   BIGINT NOT NULL,
    added_by   TEXT NOT NULL,    -- request, 'founding' for the first ones
    removed_at BIGINT NOT NULL DEFAULT 0
);

-- What officers approve with, and nothing else is done with. Rows stay, as the officers' do.
CREATE TABLE officer_credentials (
    id              TEXT PRIMARY KEY,
    person          TEXT NOT NULL REFERENCES officers (person),
    kind            TEXT NOT NULL CHECK (kind IN ('passkey', 'key')),
    handle          BYTEA NOT NULL UNIQUE, -- the authenticator's id of it, or SHA-256 of the SubjectPublicKeyInfo
    public_key      BYTEA NOT NULL,        -- COSE_Key, or SubjectPublicKeyInfo
    rp_id           TEXT NOT NULL,
    sign_count      BIGINT NOT NULL,
    backup_eligible BIGINT NOT NULL,
    ends_at         BIGINT NOT NULL,     -- that of the certificate, 0 for none
    name            TEXT NOT NULL,        -- chosen by its owner
    added_at        BIGINT NOT NULL,
    added_by        TEXT NOT NULL,        -- enrolment
    used_at         BIGINT NOT NULL DEFAULT 0,
    removed_at      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX officer_credentials_by_person ON officer_credentials (person);

-- Leave to enrol one credential. id is that of the request that gives it; code is the hash of the code, NULL
-- until it is drawn; drawer is the officer who may draw it.
CREATE TABLE officer_enrolments (
    id         TEXT PRIMARY KEY,
    person     TEXT NOT NULL REFERENCES officers (person),
    code       BYTEA UNIQUE,
    drawer     TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX officer_enrolments_by_person ON officer_enrolments (person);

-- A challenge is deleted when it is used. hash is that of the challenge.
CREATE TABLE approval_challenges (
    hash       BYTEA PRIMARY KEY,
    enrolment  TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX approval_challenges_expiry ON approval_challenges (expires_at);

-- A row in state 'approved' is on its way to 'done' or 'failed'. runner is who runs it until leased_until;
-- started_at is 0 until everything has been checked again and the run was announced in the log.
CREATE TABLE approval_requests (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    params       BYTEA NOT NULL, -- canonical JSON
    resolved     BYTEA NOT NULL, -- canonical JSON: what is approved
    shown        BYTEA NOT NULL, -- JSON
    subject      TEXT NOT NULL, -- person, '' for none
    requester    TEXT NOT NULL, -- person
    reason       TEXT NOT NULL,
    request_key  TEXT NOT NULL, -- of the requester's form
    request_hash BYTEA NOT NULL,
    nonce        BYTEA NOT NULL,
    version      BIGINT NOT NULL, -- of the set of officers
    state        TEXT NOT NULL CHECK (state IN ('open', 'approved', 'done', 'failed', 'rejected', 'withdrawn', 'expired')),
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    decider      TEXT NOT NULL DEFAULT '', -- person
    decided_at   BIGINT NOT NULL DEFAULT 0,
    statement    BYTEA, -- APR1
    method       TEXT NOT NULL DEFAULT '',
    proof        BYTEA,
    credential   TEXT NOT NULL DEFAULT '',
    runner       TEXT NOT NULL DEFAULT '',
    leased_until BIGINT NOT NULL DEFAULT 0,
    attempts     BIGINT NOT NULL DEFAULT 0,
    started_at   BIGINT NOT NULL DEFAULT 0,
    finished_at  BIGINT NOT NULL DEFAULT 0,
    note         TEXT NOT NULL DEFAULT '',
    UNIQUE (requester, request_key)
);
CREATE INDEX approval_requests_by_state ON approval_requests (state, id);

-- Requests that have changed the officers, so that each does so once.
CREATE TABLE officer_changes (
    request TEXT PRIMARY KEY
);

-- +goose Down
DROP TABLE officer_changes;
DROP TABLE approval_requests;
DROP TABLE approval_challenges;
DROP TABLE officer_enrolments;
DROP TABLE officer_credentials;
DROP TABLE officers;
DROP TABLE approval_state;
