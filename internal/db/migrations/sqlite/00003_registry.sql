-- +goose Up
CREATE TABLE registry_agencies (
    id        TEXT PRIMARY KEY,
    uscc      TEXT NOT NULL UNIQUE,
    name_zh   TEXT NOT NULL,
    name_en   TEXT NOT NULL,
    level     TEXT NOT NULL CHECK (level IN ('city', 'district')),
    parent    TEXT REFERENCES registry_agencies (id),
    area      TEXT NOT NULL,
    issuer    TEXT NOT NULL,
    successor TEXT REFERENCES registry_agencies (id),
    created   INTEGER NOT NULL
) STRICT;

CREATE TABLE registry_authorities (
    agency  TEXT NOT NULL REFERENCES registry_agencies (id),
    type    TEXT NOT NULL,
    area    TEXT NOT NULL,
    starts  INTEGER NOT NULL,
    ends    INTEGER NOT NULL CHECK (ends > starts),
    created INTEGER NOT NULL,
    PRIMARY KEY (agency, type, area, starts)
) STRICT;

-- Counts the changes to the two tables above, so that replicas can keep them in memory.
CREATE TABLE registry_version (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO registry_version (one, version) VALUES (1, 0);

-- lookup is a keyed hash of kind and number; sealed holds number and name encrypted.
CREATE TABLE registry_people (
    id      TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    lookup  BLOB NOT NULL,
    sealed  BLOB NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (kind, lookup)
) STRICT;

CREATE TABLE registry_firms (
    uscc      TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    legal_rep TEXT NOT NULL REFERENCES registry_people (id),
    created   INTEGER NOT NULL
) STRICT;
CREATE INDEX registry_firms_by_legal_rep ON registry_firms (legal_rep);

CREATE TABLE registry_operators (
    id      TEXT PRIMARY KEY,
    role    TEXT NOT NULL,
    sealed  BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE registry_operators;
DROP TABLE registry_firms;
DROP TABLE registry_people;
DROP TABLE registry_version;
DROP TABLE registry_authorities;
DROP TABLE registry_agencies;
