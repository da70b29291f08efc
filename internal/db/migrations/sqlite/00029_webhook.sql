-- +goose Up
-- Who is told of what by signed calls. Secrets are sealed. since is the place in the log from which on a
-- subscription is told; failing since when nothing arrives, disabled and removed say that it is over.
CREATE TABLE webhook_subscriptions (
    id           TEXT PRIMARY KEY,
    area         TEXT NOT NULL,
    agency       TEXT NOT NULL, -- '' for the city
    url          TEXT NOT NULL,
    types        TEXT NOT NULL, -- with spaces between them
    client       TEXT NOT NULL,
    request_key  TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    rotate_key   TEXT NOT NULL DEFAULT '', -- of the newest rotation
    test_key     TEXT NOT NULL DEFAULT '', -- of the newest test
    since        INTEGER NOT NULL,
    created      INTEGER NOT NULL,
    generation   INTEGER NOT NULL DEFAULT 1,
    secret       BLOB NOT NULL,
    previous     BLOB, -- the secret of the generation before
    rotated      INTEGER NOT NULL DEFAULT 0,
    failing      INTEGER NOT NULL DEFAULT 0,
    disabled     INTEGER NOT NULL DEFAULT 0,
    reason       TEXT NOT NULL DEFAULT '', -- why it was disabled
    removed      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (area, client, request_key)
) STRICT;
CREATE INDEX webhook_subscriptions_by_agency ON webhook_subscriptions (area, agency);

-- The place in the log that is read next, by area.
CREATE TABLE webhook_cursors (
    area TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE webhook_cursors;
DROP TABLE webhook_subscriptions;
