-- +goose Up
-- Messages that must arrive, written with the change that they tell of. due is when the next attempt
-- may be made, leased until when somebody is at it; done and failed say that it is over.
CREATE TABLE outbox (
    id       TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    target   TEXT NOT NULL, -- messages to one target share its patience
    body     BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    lease    TEXT NOT NULL DEFAULT '', -- the attempt that is under way
    leased   INTEGER NOT NULL DEFAULT 0,
    done     INTEGER NOT NULL DEFAULT 0,
    failed   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_due ON outbox (due, id) WHERE done = 0 AND failed = 0;
CREATE INDEX outbox_over ON outbox (done, failed) WHERE done > 0 OR failed > 0;

-- +goose Down
DROP TABLE outbox;
