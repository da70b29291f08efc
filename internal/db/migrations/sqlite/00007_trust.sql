-- +goose Up
-- What was published. inputs says what it was made from, so that it is made again only when that changes.
CREATE TABLE trust_objects (
    kind       TEXT NOT NULL CHECK (kind IN ('bundle', 'snapshot', 'head')),
    seq        INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    body       BLOB NOT NULL,
    inputs     TEXT NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (kind, seq)
) STRICT;

-- allocated is the last sequence number given to anybody, current that of the object being served, or 0.
CREATE TABLE trust_state (
    kind      TEXT PRIMARY KEY,
    allocated INTEGER NOT NULL,
    current   INTEGER NOT NULL CHECK (current <= allocated)
) STRICT;
INSERT INTO trust_state (kind, allocated, current) VALUES ('bundle', 0, 0), ('snapshot', 0, 0), ('head', 0, 0);

-- +goose Down
DROP TABLE trust_state;
DROP TABLE trust_objects;
