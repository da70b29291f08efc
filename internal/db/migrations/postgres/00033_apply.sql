-- +goose Up
-- Which applications came from their holder, in the wallet, and what holder and clerks write to each
-- other about them.
CREATE TABLE license_holder_applications (
    application TEXT PRIMARY KEY,
    kind        TEXT NOT NULL, -- of the holder: firm, person
    holder      TEXT NOT NULL, -- USCC of a firm, id of a person
    messages    BIGINT NOT NULL DEFAULT 0, -- how many there are
    asked       BIGINT NOT NULL DEFAULT 0  -- 1 while the last message is a clerk's question
);
CREATE INDEX license_holder_applications_holder ON license_holder_applications (kind, holder, application);

-- One row for each holder that has applied: taking it makes those who count a holder's open
-- applications wait for each other.
CREATE TABLE license_applicants (
    kind    TEXT NOT NULL,
    holder  TEXT NOT NULL,
    applied BIGINT NOT NULL, -- how often
    PRIMARY KEY (kind, holder)
);

CREATE TABLE license_messages (
    application TEXT NOT NULL,
    seq         BIGINT NOT NULL, -- from 1
    author      TEXT NOT NULL, -- agency, holder
    person      TEXT NOT NULL,
    body        BYTEA NOT NULL, -- sealed
    request_key TEXT NOT NULL, -- of the person's form
    at          BIGINT NOT NULL,
    PRIMARY KEY (application, seq),
    UNIQUE (application, person, request_key)
);

-- +goose Down
DROP TABLE license_messages;
DROP TABLE license_applicants;
DROP TABLE license_holder_applications;
