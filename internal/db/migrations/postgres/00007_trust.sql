-- +goose Up
-- What was published. inputs says what it was made from, so that it is made again only when that changes.
CREATE TABLE trust_objects (
    kind       TEXT NOT NULL CHECK (kind IN ('bundle', 'snapshot', 'head')),
    seq        BIGINT NOT NULL,
    hash       BYTEA NOT NULL,
    body       BYTEA NOT NULL,
    inputs     TEXT NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (kind, seq)
);

-- allocated is the last sequence number given to anybody, current that of the object being served, or 0.
CREATE TABLE trust_state (
    kind      TEXT PRIMARY KEY,
    allocated BIGINT NOT NULL,
    current   BIGINT NOT NULL CHECK (current <= allocated)
);
INSERT INTO trust_state (kind, allocated, current) VALUES ('bundle', 0, 0), ('snapshot', 0, 0), ('head', 0, 0);

-- +goose Down
DROP TABLE trust_state;
DROP TABLE trust_objects;
