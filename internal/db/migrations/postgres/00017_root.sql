-- +goose Up
-- Acts of the root: what the city asks of a key that is kept offline, and what came back. At most one is
-- under way. A signed one is done once the keys that it is about have moved.
CREATE TABLE ca_root_acts (
    id         TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('open', 'signed', 'done', 'withdrawn')),
    request    BYTEA NOT NULL,
    response   BYTEA,
    actor      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX ca_root_acts_one ON ca_root_acts ((1)) WHERE state IN ('open', 'signed');

-- The roots before the one in ca_state, whose certificates and CRLs live on. key is what issuer_key says.
CREATE TABLE ca_roots (
    key   TEXT PRIMARY KEY,
    der   BYTEA NOT NULL,
    until BIGINT NOT NULL -- when the next one took over
);
ALTER TABLE ca_state ADD COLUMN root_key TEXT NOT NULL DEFAULT 'root';

-- +goose Down
ALTER TABLE ca_state DROP COLUMN root_key;
DROP TABLE ca_roots;
DROP TABLE ca_root_acts;
