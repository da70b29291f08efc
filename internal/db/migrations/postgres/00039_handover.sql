-- +goose Up
-- Which agency took another's place for licences of one type. Rows are never changed; like those of
-- agencies and authorities they are counted by registry_version.
CREATE TABLE registry_handovers (
    agency    TEXT NOT NULL REFERENCES registry_agencies (id),
    type      TEXT NOT NULL,
    successor TEXT NOT NULL REFERENCES registry_agencies (id),
    created   BIGINT NOT NULL,
    PRIMARY KEY (agency, type)
);

-- +goose Down
DROP TABLE registry_handovers;
