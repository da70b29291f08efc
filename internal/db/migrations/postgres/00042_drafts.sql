-- +goose Up
-- Forms that somebody has begun and not sent in. A row goes when its form is submitted, thrown away, or
-- not touched for thirty days.
CREATE TABLE license_drafts (
    person     TEXT NOT NULL, -- who fills it in; nobody else sees it
    id         TEXT NOT NULL, -- the form's key, under which it is submitted
    agency     TEXT NOT NULL, -- at whose desk, '' for an applicant's
    kind       TEXT NOT NULL, -- of the holder that an applicant fills it in for, '' for a clerk's
    holder     TEXT NOT NULL, -- USCC of a firm, id of a person, '' for a clerk's
    type       TEXT NOT NULL,
    body       BYTEA NOT NULL, -- sealed: the inputs as they were typed
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (person, id)
);
CREATE INDEX license_drafts_changed ON license_drafts (changed_at);

-- One row for each person who has begun a draft: taking it makes those who count a person's drafts wait
-- for each other.
CREATE TABLE license_drafters (
    person TEXT PRIMARY KEY,
    begun  BIGINT NOT NULL -- how often
);

-- +goose Down
DROP TABLE license_drafters;
DROP TABLE license_drafts;
