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
    created   BIGINT NOT NULL
);

CREATE TABLE registry_authorities (
    agency  TEXT NOT NULL REFERENCES registry_agencies (id),
    type    TEXT NOT NULL,
    area    TEXT NOT NULL,
    starts  BIGINT NOT NULL,
    ends    BIGINT NOT NULL CHECK (ends > starts),
    created BIGINT NOT NULL,
    PRIMARY KEY (agency, type, area, starts)
);

-- Counts the changes to the two tables above, so that replicas can keep them in memory.
CREATE TABLE registry_version (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL
);
INSERT INTO registry_version (one, version) VALUES (1, 0);

-- lookup is a keyed hash of kind and number; sealed holds number and name encrypted.
CREATE TABLE registry_people (
    id      TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    lookup  BYTEA NOT NULL,
    sealed  BYTEA NOT NULL,
    created BIGINT NOT NULL,
    UNIQUE (kind, lookup)
);

CREATE TABLE registry_firms (
    uscc      TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    legal_rep TEXT NOT NULL REFERENCES registry_people (id),
    created   BIGINT NOT NULL
);
CREATE INDEX registry_firms_by_legal_rep ON registry_firms (legal_rep);

CREATE TABLE registry_operators (
    id      TEXT PRIMARY KEY,
    role    TEXT NOT NULL,
    sealed  BYTEA NOT NULL,
    created BIGINT NOT NULL
);

-- +goose Down
DROP TABLE registry_operators;
DROP TABLE registry_firms;
DROP TABLE registry_people;
DROP TABLE registry_version;
DROP TABLE registry_authorities;
DROP TABLE registry_agencies;
