-- +goose Up
-- Whose each keyed hash is, under every generation of the secret that its writer knew. A row of registry_people
-- is found by its own lookup, which is under one generation; that nobody is registered twice is what these keys
-- say. A hash stays taken until its generation is dropped, so that whoever still writes under that one is
-- refused, also after the person's own lookup is under another. It is taken before the person is written: no
-- foreign key. Rows of a program that does not know this table get theirs by Reindex.
CREATE TABLE registry_lookups (
    lookup BLOB NOT NULL PRIMARY KEY,
    person TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX registry_lookups_by_person ON registry_lookups (person);
INSERT INTO registry_lookups (lookup, person) SELECT lookup, id FROM registry_people;

-- The same of usernames.
CREATE TABLE login_lookups (
    lookup BLOB NOT NULL PRIMARY KEY,
    person TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_lookups_by_person ON login_lookups (person);
INSERT INTO login_lookups (lookup, person) SELECT lookup, person FROM login_accounts;

-- +goose Down
DROP TABLE login_lookups;
DROP TABLE registry_lookups;
