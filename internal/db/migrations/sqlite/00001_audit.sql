-- +goose Up
-- seq is NULL until the event is sealed. at, kind and object repeat what stands in content, so that
-- they can be searched. salt is empty for a certificate, whose content is its DER.
CREATE TABLE audit_events (
    id      TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    object  TEXT NOT NULL,
    salt    BLOB NOT NULL,
    content BLOB NOT NULL,
    entry   BLOB NOT NULL,
    seq     INTEGER
) STRICT;
CREATE INDEX audit_events_by_kind ON audit_events (kind, id);
CREATE INDEX audit_events_by_object ON audit_events (object);
CREATE UNIQUE INDEX audit_events_sealed ON audit_events (seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_events_pending ON audit_events (at, id) WHERE seq IS NULL;

-- Up to 256 consecutive hashes of level 8*level of the tree. On level 0, events holds the 26-character
-- ids of the events behind them.
CREATE TABLE audit_tiles (
    level  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    events TEXT NOT NULL,
    PRIMARY KEY (level, n)
) STRICT;

CREATE TABLE audit_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_head (one, size, hash)
VALUES (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');

CREATE TABLE audit_checkpoints (
    size   INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL,
    note   BLOB NOT NULL,
    signed INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE audit_checkpoints;
DROP TABLE audit_head;
DROP TABLE audit_tiles;
DROP TABLE audit_events;
