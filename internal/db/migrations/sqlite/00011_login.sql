-- +goose Up
-- lookup is a keyed hash of the username; sealed holds username and TOTP secret encrypted. password is a PHC
-- string. totp_step is the last time step whose code was used. handle names the person to authenticators,
-- NULL until their first passkey.
CREATE TABLE login_accounts (
    person    TEXT PRIMARY KEY REFERENCES registry_people (id),
    lookup    BLOB NOT NULL UNIQUE,
    sealed    BLOB NOT NULL,
    password  TEXT NOT NULL,
    totp_step INTEGER NOT NULL DEFAULT 0,
    handle    BLOB UNIQUE,
    created   INTEGER NOT NULL
) STRICT;

CREATE TABLE login_passkeys (
    id              TEXT PRIMARY KEY,
    person          TEXT NOT NULL REFERENCES login_accounts (person),
    credential      BLOB NOT NULL UNIQUE, -- the authenticator's id of it
    public_key      BLOB NOT NULL,        -- COSE_Key
    sign_count      INTEGER NOT NULL,
    aaguid          BLOB NOT NULL,        -- model of the authenticator, zeros for unknown
    backup_eligible INTEGER NOT NULL,
    backed_up       INTEGER NOT NULL,
    name            TEXT NOT NULL,        -- chosen by its owner
    created         INTEGER NOT NULL,
    used            INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX login_passkeys_by_person ON login_passkeys (person);

-- A challenge is deleted when it is used. hash is that of the challenge, browser that of the cookie of the
-- browser that asked for it; person is '' where it is to sign in.
CREATE TABLE login_challenges (
    hash    BLOB PRIMARY KEY,
    browser BLOB NOT NULL,
    person  TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX login_challenges_expiry ON login_challenges (expires);

-- A session is deleted when it ends. hash is that of its cookie, seen the last use, to the minute.
CREATE TABLE login_sessions (
    id        TEXT PRIMARY KEY,
    hash      BLOB NOT NULL UNIQUE,
    person    TEXT NOT NULL REFERENCES login_accounts (person),
    acr       TEXT NOT NULL,
    amr       TEXT NOT NULL, -- with spaces between
    auth_time INTEGER NOT NULL,
    seen      INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    firm      TEXT NOT NULL DEFAULT '',
    firm_name TEXT NOT NULL DEFAULT '',
    chosen    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX login_sessions_by_person ON login_sessions (person);
CREATE INDEX login_sessions_expiry ON login_sessions (expires);
CREATE INDEX login_sessions_idle ON login_sessions (seen);

-- +goose Down
DROP TABLE login_sessions;
DROP TABLE login_challenges;
DROP TABLE login_passkeys;
DROP TABLE login_accounts;
