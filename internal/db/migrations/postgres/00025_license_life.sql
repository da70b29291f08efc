-- +goose Up
-- Versions of licence types that were added to the shipped ones, which are version 1 of theirs. Rows
-- are never changed; license_counters.next of 'types' counts them.
CREATE TABLE license_types (
    id       TEXT NOT NULL,
    version  BIGINT NOT NULL,
    body     BYTEA NOT NULL, -- the file
    added_by TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (id, version)
);

-- Which licence took another's place: renewed, changed or printed once more. A row is written with the
-- intent of the new licence, whose number is that of the old one with the version after a point. The
-- old licence is in status 'replacing' until the new one is signed, and revoked from then on.
CREATE TABLE license_replacements (
    license  TEXT PRIMARY KEY,     -- the new one
    replaces TEXT NOT NULL UNIQUE, -- the old one
    number   TEXT NOT NULL,        -- of all versions
    version  BIGINT NOT NULL,     -- of the new one, from 2
    kind     TEXT NOT NULL,        -- renewed, changed, reprinted
    UNIQUE (number, version)
);

-- +goose Down
DROP TABLE license_replacements;
DROP TABLE license_types;
