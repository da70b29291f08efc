-- +goose Up
-- A person may act for a firm from starts until ends (NULL: open-ended), unless it was withdrawn before.
-- A row is written once; only withdrawn is set later, once.
CREATE TABLE registry_delegations (
    id        TEXT PRIMARY KEY,
    firm      TEXT NOT NULL REFERENCES registry_firms (uscc),
    person    TEXT NOT NULL REFERENCES registry_people (id),
    starts    BIGINT NOT NULL,
    ends      BIGINT CHECK (ends > starts),
    withdrawn BIGINT,
    created   BIGINT NOT NULL
);
CREATE INDEX registry_delegations_by_person ON registry_delegations (person, firm);
CREATE INDEX registry_delegations_by_firm ON registry_delegations (firm, starts);

-- agency NULL is the city itself. A post is held while ended is NULL, by a person once at a time.
CREATE TABLE registry_posts (
    id      TEXT PRIMARY KEY,
    person  TEXT NOT NULL REFERENCES registry_people (id),
    agency  TEXT REFERENCES registry_agencies (id),
    role    TEXT NOT NULL,
    created BIGINT NOT NULL,
    ended   BIGINT
);
CREATE UNIQUE INDEX registry_posts_held ON registry_posts (person, COALESCE(agency, ''), role) WHERE ended IS NULL;

-- +goose Down
DROP TABLE registry_posts;
DROP TABLE registry_delegations;
