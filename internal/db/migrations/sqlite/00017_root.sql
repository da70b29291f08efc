-- +goose Up
-- Acts of the root: what the city asks of a key that is kept offline, and what came back. At most one is
-- under way. A signed one is done once the keys that it is about have moved.
CREATE TABLE ca_root_acts (
    id         TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('open', 'signed', 'done', 'withdrawn')),
    request    BLOB NOT NULL,
    response   BLOB,
    actor      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX ca_root_acts_one ON ca_root_acts ((1)) WHERE state IN ('open', 'signed');

-- The roots before the one in ca_state, whose certificates and CRLs live on. key is what issuer_key says.
CREATE TABLE ca_roots (
    key   TEXT PRIMARY KEY,
    der   BLOB NOT NULL,
    until INTEGER NOT NULL -- when the next one took over
) STRICT;
ALTER TABLE ca_state ADD COLUMN root_key TEXT NOT NULL DEFAULT 'root';

-- +goose Down
ALTER TABLE ca_state DROP COLUMN root_key;
DROP TABLE ca_roots;
DROP TABLE ca_root_acts;
