-- +goose Up
-- What clerks apply for at a desk, until it is decided. A row in state 'approved' is on its way to a
-- licence: the desk's sweeper completes it.
CREATE TABLE license_applications (
    id           TEXT PRIMARY KEY,
    agency       TEXT NOT NULL,
    type         TEXT NOT NULL,
    body         BLOB NOT NULL, -- sealed: the request as it was applied for
    state        TEXT NOT NULL, -- submitted, approved, rejected, issued, failed
    submitter    TEXT NOT NULL, -- person
    request_key  TEXT NOT NULL, -- of the submitter's form
    request_hash BLOB NOT NULL, -- keyed hash of agency and body
    decider      TEXT NOT NULL DEFAULT '', -- person
    note         BLOB, -- sealed: why it was rejected or failed
    license      TEXT NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    decided_at   INTEGER NOT NULL DEFAULT 0,
    changed_at   INTEGER NOT NULL,
    UNIQUE (submitter, request_key)
) STRICT;
CREATE INDEX license_applications_queue ON license_applications (agency, state, id);
CREATE INDEX license_applications_approved ON license_applications (id) WHERE state = 'approved';
CREATE INDEX license_applications_license ON license_applications (license) WHERE license <> '';

-- An agency's licences by type, newest first; those that are not valid apart.
CREATE INDEX licenses_by_agency ON licenses (agency, type, id);
CREATE INDEX licenses_listed_by_agency ON licenses (agency, id) WHERE status IN ('revoked', 'suspended');

-- +goose Down
DROP INDEX licenses_listed_by_agency;
DROP INDEX licenses_by_agency;
DROP TABLE license_applications;
