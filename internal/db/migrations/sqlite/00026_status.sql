-- +goose Up
-- The last changes of status, by the number that the counter 'changes' had after each: a replica that
-- knows one state reads what came after it instead of every licence that is not valid. Where numbers
-- are missing, as those of the previous binary are, it reads everything.
CREATE TABLE license_changes (
    version INTEGER PRIMARY KEY,
    place   INTEGER NOT NULL,
    status  TEXT NOT NULL
) STRICT;

-- What changed from one snapshot to the next, for deltas. A snapshot of the previous binary has no
-- row; no delta leads over it.
CREATE TABLE trust_steps (
    seq     INTEGER PRIMARY KEY, -- of the snapshot
    follows INTEGER NOT NULL,    -- that of the one before it, or 0
    hash    BLOB NOT NULL,       -- of its file
    changes BLOB NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX trust_steps_made ON trust_steps (made_at);

-- +goose Down
DROP TABLE trust_steps;
DROP TABLE license_changes;
