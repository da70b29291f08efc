-- +goose Up
-- One-time codes that an identity desk gave to people whom it had seen with their documents. hash is keyed; clerk is
-- the person who saw them, agency their desk; request is the page that asked, so that none asks twice. A code works
-- until expires and is over once ended is set: used, replaced by another one, or cancelled.
CREATE TABLE login_reproofs (
    id      TEXT PRIMARY KEY,
    person  TEXT NOT NULL REFERENCES login_accounts (person),
    hash    BLOB NOT NULL UNIQUE,
    clerk   TEXT NOT NULL,
    agency  TEXT NOT NULL,
    request TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX login_reproofs_open ON login_reproofs (person) WHERE ended = 0;
CREATE INDEX login_reproofs_by_clerk ON login_reproofs (clerk, created);
CREATE INDEX login_reproofs_expiry ON login_reproofs (expires);

-- agency is the desk that did what an entry tells, '' for nobody's.
ALTER TABLE login_history ADD COLUMN agency TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE login_history DROP COLUMN agency;
DROP TABLE login_reproofs;
