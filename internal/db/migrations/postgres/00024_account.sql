-- +goose Up
-- Which sites have signed a person in under a session and want to be told that it has ended. Grants go sooner:
-- a site's own session outlives its tokens. A row goes when they are told, or with the session's age.
CREATE TABLE oidc_visits (
    session TEXT NOT NULL,
    client  TEXT NOT NULL,
    sub     TEXT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (session, client)
);
CREATE INDEX oidc_visits_by_expires ON oidc_visits (expires);

-- Where a session is, coarsely: family of browser and system, and the network sealed.
ALTER TABLE login_sessions ADD COLUMN browser TEXT NOT NULL DEFAULT '';
ALTER TABLE login_sessions ADD COLUMN place BYTEA;

-- disabled: since when nobody signs in with the account. told: the newest entry of the history that its owner
-- has been shown.
ALTER TABLE login_accounts ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE login_accounts ADD COLUMN told TEXT NOT NULL DEFAULT '';

-- What has happened to an account, for its owner: the newest hundred entries. The log keeps everything.
CREATE TABLE login_history (
    person  TEXT NOT NULL,
    id      TEXT NOT NULL,
    at      BIGINT NOT NULL,
    kind    TEXT NOT NULL,
    session TEXT NOT NULL,
    browser TEXT NOT NULL,
    place   BYTEA,
    PRIMARY KEY (person, id)
);

-- Recovery codes, hashed with their person. used: when, 0 for not yet.
CREATE TABLE login_codes (
    person  TEXT NOT NULL,
    hash    BYTEA NOT NULL,
    created BIGINT NOT NULL,
    used    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (person, hash)
);

-- People who get their account back. It is no session, so that nothing takes it for one. hash is that of a
-- cookie; it may be completed from ready until expires, and is over once ended is set.
CREATE TABLE login_recoveries (
    id      TEXT PRIMARY KEY,
    person  TEXT NOT NULL,
    hash    BYTEA NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    ready   BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    ended   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX login_recoveries_open ON login_recoveries (person) WHERE ended = 0;
CREATE INDEX login_recoveries_expiry ON login_recoveries (expires);

-- Tries to sign in, counted for all replicas together: for an account, or a browser that is known to it, and a
-- window of time. hash is made of the keyed hash of the username.
CREATE TABLE login_tries (
    hash    BYTEA PRIMARY KEY,
    tries   BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX login_tries_expiry ON login_tries (expires);

-- +goose Down
DROP TABLE login_tries;
DROP TABLE login_recoveries;
DROP TABLE login_codes;
DROP TABLE login_history;
ALTER TABLE login_accounts DROP COLUMN told;
ALTER TABLE login_accounts DROP COLUMN disabled;
ALTER TABLE login_sessions DROP COLUMN place;
ALTER TABLE login_sessions DROP COLUMN browser;
DROP TABLE oidc_visits;
