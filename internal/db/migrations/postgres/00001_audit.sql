-- +goose Up
-- seq is NULL until the event is sealed. at, kind and object repeat what stands in content, so that
-- they can be searched. salt is empty for a certificate, whose content is its DER.
CREATE TABLE audit_events (
    id      TEXT COLLATE "C" PRIMARY KEY,
    at      BIGINT NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    object  TEXT COLLATE "C" NOT NULL,
    salt    BYTEA NOT NULL,
    content BYTEA NOT NULL,
    entry   BYTEA NOT NULL,
    seq     BIGINT
);
CREATE INDEX audit_events_by_kind ON audit_events (kind, id);
CREATE INDEX audit_events_by_object ON audit_events (object);
CREATE UNIQUE INDEX audit_events_sealed ON audit_events (seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_events_pending ON audit_events (at, id) WHERE seq IS NULL;

-- Up to 256 consecutive hashes of level 8*level of the tree. On level 0, events holds the 26-character
-- ids of the events behind them.
CREATE TABLE audit_tiles (
    level  BIGINT NOT NULL,
    n      BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (level, n)
);
ALTER TABLE audit_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes do not compress

CREATE TABLE audit_head (
    one  BIGINT PRIMARY KEY CHECK (one = 1),
    size BIGINT NOT NULL,
    hash BYTEA NOT NULL
);
INSERT INTO audit_head (one, size, hash)
VALUES (1, 0, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');

CREATE TABLE audit_checkpoints (
    size   BIGINT PRIMARY KEY,
    hash   BYTEA NOT NULL,
    note   BYTEA NOT NULL,
    signed BIGINT NOT NULL
);

-- +goose Down
DROP TABLE audit_checkpoints;
DROP TABLE audit_head;
DROP TABLE audit_tiles;
DROP TABLE audit_events;
